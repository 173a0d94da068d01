"""One Gaussian process per stock, refitted for every year it forecasts, and a served model that needs no GPflow.

The exported model holds each stock's thinned curves and, for every year, the hyper-parameters fitted to the years
before it. A request names a stock and a period; what came before the period is conditioned on inside the graph.
So an answer about a past year is the forecast that would have been made at its beginning, and the backtest
measures exactly what is served. Intraday prices, volumes and other stocks are not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components import progress
from pipelines.base import training
from pipelines.stock_prices import kernels
from pipelines.stock_prices.features import (
    ANCHOR_XF,
    CURVE_XF,
    DAY_XF,
    DAYS_PER_YEAR,
    STOCK_VOCABULARY,
    STOCK_XF,
    YEAR_XF,
)

FITS_FILE = "fits.json"
# 97.5 % quantile of the normal distribution: the half width of a 95 % band in deviations.
BAND = 1.959963984540054
QUARTER_STARTS = (1, 1, 91, 182, 274)
QUARTER_ENDS = (366, 90, 181, 273, 366)


@dataclass(frozen=True)
class History:
    """One stock's days in order of time: year [n], day of the year [n], log(close / anchor) [n], log(anchor) [n].

    `begin` is the first year to forecast; the first year after the last row is forecast too.
    """

    stock: str
    year: np.ndarray
    day: np.ndarray
    curve: np.ndarray
    anchor: np.ndarray
    begin: int

    @property
    def points(self) -> np.ndarray:
        """[n, 2] float64: year and the part of it that has passed."""
        return np.stack([self.year, self.day / DAYS_PER_YEAR], axis=1).astype(np.float64)

    def thinned(self, stride: int) -> np.ndarray:
        """Indices of every `stride`-th day, counted back from each quarter's last, which is always kept.

        Neighbouring days tell little that is new, and a forecast starts from a quarter's very last close.
        """
        quarter = self.year * 4 + np.searchsorted(QUARTER_STARTS[2:], self.day, side="right")
        kept = [np.flatnonzero(quarter == q)[::-1][::stride] for q in np.unique(quarter)]
        return np.sort(np.concatenate(kept))


def histories(
    train_files: Sequence[str], eval_files: Sequence[str], spec: Mapping[str, Any], stocks: Sequence[str]
) -> list[History]:
    """The transformed rows of both splits by stock; a stock's first `eval` year is the first to forecast."""
    parts = []
    for late, files in enumerate((train_files, eval_files)):
        for rows in training.dataset(files, spec, None, 4096):
            columns = [rows[key].numpy().ravel() for key in (STOCK_XF, YEAR_XF, DAY_XF, CURVE_XF, ANCHOR_XF)]
            parts.append(np.stack([*columns, np.full(len(columns[0]), late)], axis=1).astype(np.float64))
    table = np.concatenate(parts)
    found = []
    for index, stock in enumerate(stocks):
        rows = table[table[:, 0] == index]
        rows = rows[np.lexsort((rows[:, 2], rows[:, 1]))]
        year, day = rows[:, 1].astype(int), np.rint(rows[:, 2] * DAYS_PER_YEAR).astype(int)
        begin = int(year[rows[:, 5] == 1].min())
        found.append(History(stock, year, day, rows[:, 3], rows[:, 4], begin))
    return found


def fit_years(history: History, variant: str, parameters: Mapping[str, Any]) -> dict[int, dict[str, float]]:
    """Hyper-parameters for each year from `begin` to the one after the last, from the days before that year."""
    kept = history.thinned(parameters["fit_stride"])
    points, curve = history.points[kept], history.curve[kept]
    found: dict[int, dict[str, float]] = {}
    start: Mapping[str, float] | None = None
    for year in range(history.begin, int(history.year[-1]) + 2):
        before = points[:, 0] < year
        start, _ = kernels.fit(variant, points[before], curve[before], start, parameters["fit_steps"])
        found[year] = dict(start)
    return found


def run_fn(fn_args: Any) -> None:
    """Fits every stock for every year of the backtest and for the next, exports the forecaster."""
    import tensorflow_transform as tft

    from pipelines.stock_prices.forecasting import make_forecaster, signatures

    parameters = training.parameters(fn_args)
    variant = parameters["variant"]
    transformed = tft.TFTransformOutput(fn_args.transform_output)
    stocks = [name.decode() for name in transformed.vocabulary_by_name(STOCK_VOCABULARY)]
    found = histories(fn_args.train_files, fn_args.eval_files, transformed.transformed_feature_spec(), stocks)
    fits = []
    for done, history in enumerate(found):
        progress.report(done, len(found), "stocks", force=True)
        fits.append(fit_years(history, variant, parameters))
    progress.report(len(found), len(found), "stocks", force=True)
    folder = Path(fn_args.model_run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    record = {history.stock: fit for history, fit in zip(found, fits, strict=True)}
    (folder / FITS_FILE).write_text(
        json.dumps({"variant": variant, "fits": record}, indent=1), encoding="utf-8"
    )
    forecaster = make_forecaster(found, fits, variant, parameters["stride"])
    training.export(forecaster, fn_args, signatures(forecaster))
