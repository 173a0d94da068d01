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
from typing import TYPE_CHECKING, Any

import numpy as np

from components import progress
from pipelines.base import training
from pipelines.stock_prices import kernels
from pipelines.stock_prices.features import (
    ANCHOR_XF,
    CURVE_XF,
    DAY_KEY,
    DAY_XF,
    DAYS_PER_YEAR,
    STOCK_KEY,
    STOCK_VOCABULARY,
    STOCK_XF,
    YEAR_KEY,
    YEAR_XF,
)

if TYPE_CHECKING:
    import tensorflow as tf

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


def make_forecaster(
    histories: Sequence[History], fits: Sequence[Mapping[int, Mapping[str, float]]], variant: str, stride: int
) -> tf.Module:
    """A module with `forecast(stock, year, quarter)` and `at_day(stock, year, day)`; see `signatures`."""
    import tensorflow as tf

    names = list(kernels.START[variant])
    kept = [history.thinned(stride) for history in histories]
    width = max(map(len, kept))
    years = max(len(fit) for fit in fits)
    points = np.zeros((len(kept), width, 2))
    values, anchors, hyper = (
        np.zeros((len(kept), width)),
        np.zeros((len(kept), years)),
        np.ones((len(kept), years, len(names))),
    )
    for i, (history, rows, fit) in enumerate(zip(histories, kept, fits, strict=True)):
        points[i, : len(rows)], values[i, : len(rows)] = history.points[rows], history.curve[rows]
        # Padding lies in the far future, so that no forecast conditions on it.
        points[i, len(rows) :] = 1e6
        for j, year in enumerate(sorted(fit)):
            hyper[i, j] = [fit[year][name] for name in names]
            if year <= history.year[-1]:
                anchors[i, j] = history.anchor[history.year == year][0]

    class Forecaster(tf.Module):
        """Constants as variables, so that the SavedModel stores them beside the graph and not inside it."""

        def __init__(self) -> None:
            super().__init__(name="forecaster")
            self.stocks = tf.Variable([history.stock for history in histories], trainable=False)
            self.begin = tf.Variable(
                [history.begin for history in histories], trainable=False, dtype=tf.int64
            )
            self.last = tf.Variable([int(h.year[-1]) for h in histories], trainable=False, dtype=tf.int64)
            self.points = tf.Variable(points, trainable=False)
            self.values = tf.Variable(values, trainable=False)
            self.anchors = tf.Variable(anchors, trainable=False)
            self.hyper = tf.Variable(hyper, trainable=False)

        def _posterior(
            self, i: tf.Tensor, year: tf.Tensor, origin: tf.Tensor, wanted: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            """Mean and variance of the curve at `wanted` [m, 2], from what came before day `origin` of `year`."""
            at, row = self.points[i], self.hyper[i, year - self.begin[i]]
            now, start = tf.cast(year, tf.float64), tf.cast(origin, tf.float64) / DAYS_PER_YEAR
            mask = (at[:, 0] < now) | ((at[:, 0] == now) & (at[:, 1] < start - 1e-6))
            theta = {name: row[j] for j, name in enumerate(names)}
            return kernels.condition(variant, theta, at, self.values[i], mask, wanted)

        def _anchor(self, i: tf.Tensor, year: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            """Mean and variance of the logarithm of the last close before `year`: known, or a forecast itself."""

            def ahead() -> tuple[tf.Tensor, tf.Tensor]:
                end = tf.stack([tf.cast(year - 1, tf.float64), tf.constant(1.0, tf.float64)])[None]
                mean, variance = self._posterior(i, year - 1, tf.constant(10**6, tf.int64), end)
                return mean[0] + self.anchors[i, year - 1 - self.begin[i]], variance[0]

            known = lambda: (self.anchors[i, year - self.begin[i]], tf.constant(0.0, tf.float64))  # noqa: E731
            return tf.cond(year <= self.last[i], known, ahead)

        def _index(self, stock: tf.Tensor, year: tf.Tensor) -> tf.Tensor:
            same = tf.equal(self.stocks, stock)
            all_names = tf.strings.reduce_join(self.stocks, separator=", ")
            i = tf.argmax(tf.cast(same, tf.int32))
            checks = [
                tf.debugging.Assert(tf.reduce_any(same), ["Stock is not known:", stock, "Known:", all_names]),
                tf.debugging.Assert(
                    (year >= self.begin[i]) & (year <= self.last[i] + 1),
                    ["Year cannot be forecast:", year, "first:", self.begin[i], "last:", self.last[i] + 1],
                ),
            ]
            with tf.control_dependencies([check for check in checks if check is not None]):
                return tf.identity(i)

        def curve(self, stock: tf.Tensor, year: tf.Tensor, origin: tf.Tensor, days: tf.Tensor) -> tf.Tensor:
            """[3, m] float32: mean, lower and upper price at `days` [m] of `year`, as known before day `origin`."""
            i = self._index(stock, year)
            u = tf.cast(days, tf.float64) / DAYS_PER_YEAR
            wanted = tf.stack([tf.fill(tf.shape(u), tf.cast(year, tf.float64)), u], axis=1)
            mean, variance = self._posterior(i, year, origin, wanted)
            anchor, unsure = self._anchor(i, year)
            mean, half = mean + anchor, BAND * tf.sqrt(variance + unsure)
            return tf.cast(tf.exp(tf.stack([mean, mean - half, mean + half])), tf.float32)

    return Forecaster()


def weekdays(year: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    """Days of `year` from `first` to `last` that are Monday to Friday, int64 [m]."""
    import tensorflow as tf

    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    last = tf.minimum(last, tf.where(leap, tf.constant(366, tf.int64), tf.constant(365, tf.int64)))
    days, before = tf.range(first, last + 1), year - 1
    # 1 January of year 1 was a Monday; 0 is Sunday.
    new_year = 365 * before + before // 4 - before // 100 + before // 400 + 1
    weekday = (new_year + days - 1) % 7
    return tf.boolean_mask(days, (weekday > 0) & (weekday < 6))


def signatures(forecaster: tf.Module) -> dict[str, Any]:
    """`serving_default`: stock, year, quarter [n] -> days, mean, lower, upper [n, days]; `serve_examples`: per row.

    Quarter 0 is the whole year. `days` are days of the year, Monday to Friday; rows with fewer days than others in
    the same request end in day 0 and NaN. `serve_examples` forecasts each row's day from the beginning of its year.
    """
    import tensorflow as tf

    starts, ends = (tf.constant(days, tf.int64) for days in (QUARTER_STARTS, QUARTER_ENDS))

    def period(row: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        stock, year, quarter = row
        days = weekdays(year, starts[quarter], ends[quarter])
        curve = forecaster.curve(stock, year, starts[quarter], days)
        return tf.RaggedTensor.from_tensor(days[None])[0], tf.transpose(curve)

    vector = lambda dtype, name: tf.TensorSpec([None], dtype, name=name)  # noqa: E731

    @tf.function(
        input_signature=[vector(tf.string, "stock"), vector(tf.int64, "year"), vector(tf.int64, "quarter")]
    )
    def forecast(stock: tf.Tensor, year: tf.Tensor, quarter: tf.Tensor) -> dict[str, tf.Tensor]:
        known = tf.reduce_all((quarter >= 0) & (quarter <= 4))
        check = tf.debugging.Assert(known, ["Quarter must be 0 (the whole year) to 4:", quarter])
        with tf.control_dependencies([check] if check is not None else []):
            quarter = tf.identity(quarter)
        days, curves = tf.map_fn(
            period,
            (stock, year, quarter),
            fn_output_signature=(
                tf.RaggedTensorSpec([None], tf.int64, ragged_rank=0),
                tf.RaggedTensorSpec([None, 3], tf.float32, ragged_rank=0),
            ),
        )
        prices = curves.to_tensor(float("nan"))
        return {
            "days": days.to_tensor(),
            "mean": prices[..., 0],
            "lower": prices[..., 1],
            "upper": prices[..., 2],
        }

    spec = {
        STOCK_KEY: tf.io.FixedLenFeature([], tf.string),
        YEAR_KEY: tf.io.FixedLenFeature([], tf.int64),
        DAY_KEY: tf.io.FixedLenFeature([], tf.int64),
    }

    @tf.function(input_signature=[vector(tf.string, "examples")])
    def serve_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.io.parse_example(examples, spec)
        one = tf.constant(1, tf.int64)
        prices = tf.map_fn(
            lambda row: forecaster.curve(row[0], row[1], one, row[2][None])[:, 0],
            (rows[STOCK_KEY], rows[YEAR_KEY], rows[DAY_KEY]),
            fn_output_signature=tf.float32,
        )
        return {"mean": prices[:, 0], "lower": prices[:, 1], "upper": prices[:, 2]}

    return {"serving_default": forecast, "serve_examples": serve_examples}


def run_fn(fn_args: Any) -> None:
    """Fits every stock for every year of the backtest and for the next, exports the forecaster."""
    import tensorflow_transform as tft

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
