"""The served forecaster: conditioning on what came before a period, in plain TensorFlow, for any stock and year.

It fits nothing (see model.py) and knows no GPflow. An answer about a past year is the forecast that would have been
made at its beginning; an answer about the year after the data takes the end of the data's last year as unsure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.stock_prices import kernels, volatility
from pipelines.stock_prices.features import DAY_KEY, DAYS_PER_YEAR, STOCK_KEY, YEAR_KEY
from pipelines.stock_prices.histories import BAND, QUARTER_ENDS, QUARTER_STARTS, History


class Stocks(tf.Module):
    """What is known of which stocks. Constants are variables, so that the SavedModel stores them beside the graph."""

    def __init__(self, histories: Sequence[History]) -> None:
        super().__init__(name="forecaster")
        self.stocks = tf.Variable([history.stock for history in histories], trainable=False)
        self.begin = tf.Variable([history.begin for history in histories], trainable=False, dtype=tf.int64)
        self.last = tf.Variable([int(h.year[-1]) for h in histories], trainable=False, dtype=tf.int64)

    def index(self, stock: tf.Tensor, year: tf.Tensor) -> tf.Tensor:
        """The stock's number. InvalidArgument for an unknown stock or year, with what is known."""
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
        raise NotImplementedError


def bands(mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """[3, m] float32 prices from mean and variance [m] of their logarithm."""
    half = BAND * tf.sqrt(variance)
    return tf.cast(tf.exp(tf.stack([mean, mean - half, mean + half])), tf.float32)


class Reverting(Stocks):
    """The form of volatility.py: the last close, and a variance that returns to what it usually is."""

    def __init__(self, histories: Sequence[History], weights: Mapping[int, np.ndarray]) -> None:
        """`weights` of volatility.weights for every year from the first `begin` to the one after the last."""
        super().__init__(histories)
        width = max(len(history.year) for history in histories)
        time, price = (np.full((len(histories), width), fill) for fill in (1e6, 0.0))
        for i, history in enumerate(histories):
            # Padding lies in the far future, so that no forecast looks at it.
            time[i, : len(history.year)], price[i, : len(history.year)] = history.time, history.log_price
        self.time, self.price = tf.Variable(time, trainable=False), tf.Variable(price, trainable=False)
        self.first = tf.Variable(min(weights), trainable=False, dtype=tf.int64)
        shares = np.array(volatility.SHARES)
        combined = np.stack([weights[year] @ shares for year in sorted(weights)])
        self.weights = tf.Variable(combined, trainable=False)

    def curve(self, stock: tf.Tensor, year: tf.Tensor, origin: tf.Tensor, days: tf.Tensor) -> tf.Tensor:
        i = self.index(stock, year)
        now = tf.cast(year, tf.float64)
        start = now + tf.cast(origin, tf.float64) / DAYS_PER_YEAR - 1e-6
        known = tf.reduce_sum(tf.cast(self.time[i] < start, tf.int32))
        time, price = self.time[i][:known], self.price[i][:known]
        squared = tf.square(price[1:] - price[:-1])
        per_year = tf.cast(known - 1, tf.float64) / (time[-1] - time[0])
        age = tf.cast(tf.range(known - 1)[::-1], tf.float64)
        lives = tf.constant(volatility.HALF_LIVES, tf.float64)[:, None]
        fading = tf.pow(tf.constant(0.5, tf.float64), age / lives)
        usual = tf.reduce_mean(squared) * per_year
        recent = tf.linalg.matvec(fading, squared) / tf.reduce_sum(fading, axis=1) * per_year
        ahead = tf.maximum(now + tf.cast(days, tf.float64) / DAYS_PER_YEAR - time[-1], 1 / DAYS_PER_YEAR)
        speeds = tf.constant(volatility.SPEEDS, tf.float64)[:, None]
        decayed = (1 - tf.exp(-speeds * ahead)) / speeds
        extra = tf.linalg.matvec(self.weights[year - self.first], recent - usual, transpose_a=True)
        variance = usual * ahead + tf.linalg.matvec(decayed, extra, transpose_a=True)
        return bands(tf.fill(tf.shape(ahead), price[-1]), tf.maximum(variance, volatility.LEAST))


class Forecaster(Stocks):
    """The kernels' posterior."""

    def __init__(
        self,
        variant: str,
        histories: Sequence[History],
        points: np.ndarray,
        values: np.ndarray,
        anchors: np.ndarray,
        hyper: np.ndarray,
    ) -> None:
        """Per stock: points [s, n, 2] and values [s, n] to condition on; per stock and year to forecast: the log of
        the anchor [s, years] and the hyper-parameters [s, years, parameters] in the order of kernels.START.
        """
        super().__init__(histories)
        self.variant, self.names = variant, list(kernels.START[variant])
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
        theta = {name: row[j] for j, name in enumerate(self.names)}
        return kernels.condition(self.variant, theta, at, self.values[i], mask, wanted)

    def _anchor(self, i: tf.Tensor, year: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance of the logarithm of the last close before `year`: known, or a forecast itself."""

        def ahead() -> tuple[tf.Tensor, tf.Tensor]:
            end = tf.stack([tf.cast(year - 1, tf.float64), tf.constant(1.0, tf.float64)])[None]
            mean, variance = self._posterior(i, year - 1, tf.constant(10**6, tf.int64), end)
            return mean[0] + self.anchors[i, year - 1 - self.begin[i]], variance[0]

        def known() -> tuple[tf.Tensor, tf.Tensor]:
            return self.anchors[i, year - self.begin[i]], tf.constant(0.0, tf.float64)

        return tf.cond(year <= self.last[i], known, ahead)

    def curve(self, stock: tf.Tensor, year: tf.Tensor, origin: tf.Tensor, days: tf.Tensor) -> tf.Tensor:
        i = self.index(stock, year)
        u = tf.cast(days, tf.float64) / DAYS_PER_YEAR
        wanted = tf.stack([tf.fill(tf.shape(u), tf.cast(year, tf.float64)), u], axis=1)
        mean, variance = self._posterior(i, year, origin, wanted)
        anchor, unsure = self._anchor(i, year)
        return bands(mean + anchor, variance + unsure)


def make_forecaster(
    histories: Sequence[History], fits: Sequence[Mapping[int, Mapping[str, float]]], variant: str, stride: int
) -> Forecaster:
    """A Forecaster of `histories`, thinned to every `stride`-th day, with each stock's `fits` by year."""
    names = list(kernels.START[variant])
    kept = [history.thinned(stride) for history in histories]
    width = max(map(len, kept))
    years = max(len(fit) for fit in fits)
    points = np.zeros((len(kept), width, 2))
    values, anchors = np.zeros((len(kept), width)), np.zeros((len(kept), years))
    hyper = np.ones((len(kept), years, len(names)))
    for i, (history, rows, fit) in enumerate(zip(histories, kept, fits, strict=True)):
        points[i, : len(rows)], values[i, : len(rows)] = history.points[rows], history.curve[rows]
        # Padding lies in the far future, so that no forecast conditions on it.
        points[i, len(rows) :] = 1e6
        for j, year in enumerate(sorted(fit)):
            hyper[i, j] = [fit[year][name] for name in names]
            if year <= history.year[-1]:
                anchors[i, j] = history.anchor[history.year == year][0]
    return Forecaster(variant, histories, points, values, anchors, hyper)


def weekdays(year: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    """Days of `year` from `first` to `last` that are Monday to Friday, int64 [m]."""
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    last = tf.minimum(last, tf.where(leap, tf.constant(366, tf.int64), tf.constant(365, tf.int64)))
    days, before = tf.range(first, last + 1), year - 1
    # 1 January of year 1 was a Monday; 0 is Sunday.
    new_year = 365 * before + before // 4 - before // 100 + before // 400 + 1
    weekday = (new_year + days - 1) % 7
    return tf.boolean_mask(days, (weekday > 0) & (weekday < 6))


def signatures(forecaster: Stocks) -> dict[str, Any]:
    """`serving_default`: stock, year, quarter [n] -> days, mean, lower, upper [n, days]; `serve_examples`: per row.

    Quarter 0 is the whole year. `days` are days of the year, Monday to Friday; rows with fewer days than others in
    the same request end in day 0 and NaN. `serve_examples` forecasts each row's day from the beginning of its year.
    """
    starts, ends = (tf.constant(days, tf.int64) for days in (QUARTER_STARTS, QUARTER_ENDS))

    def period(row: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        stock, year, quarter = row
        days = weekdays(year, starts[quarter], ends[quarter])
        curve = forecaster.curve(stock, year, starts[quarter], days)
        return days, tf.transpose(curve)

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
