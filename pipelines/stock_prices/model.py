"""One Gaussian process per stock, refitted for every year it forecasts, and a served model that needs no GPflow.

`reverting` is fitted by volatility.py, all stocks together, on windows of earlier days; the others are GPflow's.
The exported model holds each stock's thinned curves and, for every year, the hyper-parameters fitted to the years
before it. A request names a stock and a period; what came before the period is conditioned on inside the graph.
So an answer about a past year is the forecast that would have been made at its beginning, and the backtest
measures exactly what is served. Intraday prices, volumes and other stocks are not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components import progress
from pipelines.base import training
from pipelines.stock_prices import kernels, volatility
from pipelines.stock_prices.features import STOCK_VOCABULARY
from pipelines.stock_prices.histories import History, histories

FITS_FILE = "fits.json"
REVERTING = "reverting"


def fit_years(history: History, variant: str, parameters: Mapping[str, Any]) -> dict[int, dict[str, float]]:
    """Hyper-parameters for each year from `begin` to the one after the last, from the days before that year."""
    kept = history.thinned(parameters["fit_stride"])
    points, curve = history.points[kept], history.curve[kept]
    fits: dict[int, dict[str, float]] = {}
    start: Mapping[str, float] | None = None
    for year in range(history.begin, int(history.year[-1]) + 2):
        before = points[:, 0] < year
        start, likelihood = kernels.fit(
            variant, points[before], curve[before], start, parameters["fit_steps"]
        )
        training.check_loss(-likelihood, f"the fit of {history.stock} for {year}")
        fits[year] = dict(start)
    return fits


def run_fn(fn_args: Any) -> None:
    """Fits every stock for every year of the backtest and for the next, exports the forecaster."""
    from pipelines.stock_prices.forecasting import Reverting, Stocks, make_forecaster, signatures

    run = training.Run.of(fn_args)
    variant = run.parameters["variant"]
    names = [name.decode() for name in run.transformed.vocabulary_by_name(STOCK_VOCABULARY)]
    stocks = histories(fn_args.train_files, fn_args.eval_files, run.spec, names)
    forecaster: Stocks
    if variant == REVERTING:
        weights = averaged(stocks)
        record: dict[str, Any] = {str(year): weight.tolist() for year, weight in weights.items()}
        forecaster = Reverting(stocks, weights)
    else:
        fits = []
        for done, history in enumerate(stocks):
            progress.report(done, len(stocks), "stocks", force=True)
            fits.append(fit_years(history, variant, run.parameters))
        record = {history.stock: fit for history, fit in zip(stocks, fits, strict=True)}
        forecaster = make_forecaster(stocks, fits, variant, run.parameters["stride"])
    progress.report(len(stocks), len(stocks), "stocks", force=True)
    (run.folder / FITS_FILE).write_text(
        json.dumps({"variant": variant, "fits": record}, indent=1), encoding="utf-8"
    )
    training.export(forecaster, fn_args, signatures(forecaster))


def averaged(stocks: Sequence[History]) -> dict[int, np.ndarray]:
    """volatility.weights for every year that can be asked for, of any stock."""
    first, last = min(h.begin for h in stocks), max(int(h.year[-1]) for h in stocks)
    return volatility.weights(stocks, range(first, last + 2))
