"""Four pictures: what the prices did, the normalised curves, forecasts against what came, and the backtest's sums.

Forecasts are asked of the exported model, as a client would ask. It decides nothing; bars are the Evaluator's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.report_gen import pictures, reading
from components.report_gen.context import ReportContext
from pipelines.stock_prices import evaluate
from pipelines.stock_prices.features import DAYS_PER_YEAR
from pipelines.stock_prices.histories import BAND, History

FORECASTERS = ("", "_rbf_white", "_last_value", "_mean_variance", "_mean_of_years")
MAX_STOCKS = 4


def report(context: ReportContext) -> None:
    """Writes history, normalised_curves, forecast_year, forecast_quarters and backtest as PNG."""
    stocks = evaluate.read_histories(tuple(context.files("train")), tuple(context.files("eval")))[:MAX_STOCKS]
    served = reading.signature(context.model)
    variant = str(context.parameters.get("variant", "model"))
    history(stocks, context.folder / "history.png")
    normalised_curves(stocks, context.folder / "normalised_curves.png")
    forecasts(stocks, served, (0,), context.folder / "forecast_year.png", variant)
    forecasts(stocks, served, (1, 2, 3, 4), context.folder / "forecast_quarters.png", variant)
    if context.evaluation is not None:
        sums(context.evaluation, variant, context.folder / "backtest.png")


def history(stocks: Sequence[History], file: Path) -> None:
    """Adjusted closes on a logarithmic axis; the years of the backtest are shaded."""
    drawn = pictures.figure(9, 2.6 * len(stocks))
    for axes, one in zip(np.ravel(drawn.subplots(len(stocks), 1, squeeze=False)), stocks, strict=True):
        time = one.year + one.day / DAYS_PER_YEAR
        axes.semilogy(time, np.exp(one.curve + one.anchor), lw=0.9)
        axes.axvspan(one.begin, time[-1], color="C1", alpha=0.12, label="forecast in the backtest")
        axes.set(title=one.stock, ylabel="adjusted close")
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left", fontsize=8)
    pictures.save(drawn, file)


def normalised_curves(stocks: Sequence[History], file: Path) -> None:
    """What the model sees: each year's log price from the last close of the year before, later years darker."""
    drawn = pictures.figure(4.6 * len(stocks), 3.8)
    for axes, one in zip(np.ravel(drawn.subplots(1, len(stocks), squeeze=False)), stocks, strict=True):
        years = np.unique(one.year)
        for year in years:
            rows = one.year == year
            shade = 0.25 + 0.7 * (year - years[0]) / max(1, years[-1] - years[0])
            axes.plot(one.day[rows], one.curve[rows], lw=0.8, color=(0.1, 0.2, 0.6, shade))
        axes.axhline(0, color="black", lw=0.6)
        axes.set(
            title=f"{one.stock}, {years[0]} to {years[-1]}",
            xlabel="day of the year",
            ylabel="log(close / anchor)",
        )
        axes.grid(alpha=0.3)
    pictures.save(drawn, file)


def forecasts(
    stocks: Sequence[History], served: Any, quarters: Sequence[int], file: Path, variant: str
) -> None:
    """Mean and band of the last two years of each stock that are (nearly) whole, with the closes that came."""
    drawn = pictures.figure(5.2 * len(stocks), 7.0)
    cells = drawn.subplots(2, len(stocks), squeeze=False)
    for column, one in enumerate(stocks):
        whole = [year for year in range(one.begin, int(one.year[-1]) + 1) if (one.year == year).sum() > 200]
        for row, year in enumerate(whole[-2:]):
            axes = cells[row, column]
            for period in evaluate.periods([one]):
                if period.year == year and period.quarter in quarters:
                    _draw(axes, served, period)
            axes.set(title=f"{one.stock} {year}, {variant}", xlabel="day of the year", ylabel="price")
            axes.grid(alpha=0.3)
    handles, labels = cells[0, 0].get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))
    cells[0, 0].legend(by_label.values(), by_label.keys(), fontsize=8, loc="upper left")
    pictures.save(drawn, file)


def _draw(axes: Any, served: Any, period: evaluate.Period) -> None:
    mean, deviation = evaluate.ask(served, period)
    half = BAND * deviation
    axes.fill_between(
        period.days, np.exp(mean - half), np.exp(mean + half), color="C0", alpha=0.2, label="95 % band"
    )
    axes.plot(period.days, np.exp(mean), color="C0", lw=1.4, label="forecast")
    axes.plot(period.days, np.exp(period.actual), color="black", lw=0.8, label="what came")


def sums(evaluation: Path, variant: str, file: Path) -> None:
    """RMSE, coverage and NLL of model and references for years and quarters."""
    measured = reading.evaluation(evaluation)
    drawn = pictures.figure(11, 3.8)
    titles = {"rmse": "RMSE of the log price", "coverage": "coverage of the band", "nll": "NLL, nats per day"}
    for axes, (metric, title) in zip(drawn.subplots(1, 3), titles.items(), strict=True):
        for offset, kind in ((-0.2, "year"), (0.2, "quarter")):
            values = [measured[(("period", kind),)][f"{metric}{name}"] for name in FORECASTERS]
            axes.bar(np.arange(len(values)) + offset, values, 0.38, label=kind)
        if metric == "coverage":
            axes.axhline(0.95, color="black", lw=0.8, ls="--")
            axes.set_ylim(0.5, 1)
        names = [variant, *(name[1:].replace("_", " ") for name in FORECASTERS[1:])]
        axes.set_xticks(np.arange(len(names)), names, rotation=20, fontsize=8)
        axes.set_title(title)
        axes.grid(alpha=0.3, axis="y")
        axes.legend(fontsize=8, loc="lower right")
    pictures.save(drawn, file)
