"""Rolling-origin backtest: every year and every quarter of the evaluation years, forecast at its beginning.

Asked of the served signature, compared with the closes that came. Errors and likelihoods are of the logarithm of
the price, so that 0.1 is about 10 % for every stock. Beside the model stand two naive forecasts, the last value
and the mean of earlier years, and the book's kernel, fitted here to the same days.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.function_evaluator.measuring import Given, Measured, SliceKey
from pipelines.base import training
from pipelines.stock_prices.features import ANCHOR_KEY, CLOSE_KEY, DAY_KEY, DAYS_PER_YEAR, STOCK_KEY, YEAR_KEY
from pipelines.stock_prices.model import (
    BAND,
    QUARTER_ENDS,
    QUARTER_STARTS,
    History,
    fit_years,
)

REFERENCE = "rbf_white"
# Fewer days than this in a period (the last one, cut off by the end of the data) say nothing about it.
MIN_DAYS = 15
MIN_DEVIATION = 0.01
Curve = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Period:
    """One forecast's task: `actual` [m] log prices at `days` [m] of `year`; the origin is the day before."""

    history: History
    year: int
    quarter: int
    days: np.ndarray
    actual: np.ndarray

    @property
    def key(self) -> dict[str, str]:
        return {"period": "quarter" if self.quarter else "year", "stock": self.history.stock}


def evaluate(given: Given) -> Measured:
    """RMSE, coverage and NLL overall and by kind of period and stock; see `_metrics` for the names."""
    found = read_histories(tuple(given.examples["train"]), tuple(given.files))
    served = load(given.model)
    reference = _reference(
        tuple(given.examples["train"]), tuple(given.files), tuple(sorted(given.parameters.items()))
    )
    scores: dict[SliceKey, list[dict[str, np.ndarray]]] = defaultdict(list)
    for period in periods(found):
        forecasts = {
            "": ask(served, period),
            f"_{REFERENCE}": ask(reference, period),
            "_last_value": last_value(period),
            "_mean_of_years": mean_of_years(period),
        }
        score = {name: _score(period.actual, *curve) for name, curve in forecasts.items()}
        stock, kind = period.key["stock"], period.key["period"]
        keys: tuple[SliceKey, ...] = (
            (),
            (("period", kind),),
            (("stock", stock),),
            (("period", kind), ("stock", stock)),
        )
        for key in keys:
            scores[key].append(score)
    return {key: _metrics(list_of) for key, list_of in scores.items()}


def _score(actual: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """[3, m]: squared error, whether inside the band, negative log likelihood in nats, per day."""
    error = actual - mean
    inside = np.abs(error) <= BAND * deviation
    return np.stack(
        [error**2, inside, 0.5 * np.log(2 * np.pi * deviation**2) + 0.5 * (error / deviation) ** 2]
    )


def _metrics(scores: list[dict[str, Any]]) -> dict[str, float]:
    """`rmse`, `coverage`, `nll` of the model and, with a suffix, of the others; each day counts once.

    `nll_gain_on_rbf_white` is how many nats per day the model's forecasts are likelier than the book's kernel's.
    """
    found: dict[str, float] = {"forecasts": len(scores)}
    for name in scores[0]:
        squared, inside, nll = np.concatenate([score[name] for score in scores], axis=1)
        found[f"rmse{name}"] = float(np.sqrt(squared.mean()))
        found[f"coverage{name}"] = float(inside.mean())
        found[f"nll{name}"] = float(nll.mean())
    found["example_count"] = float(sum(score[""].shape[1] for score in scores))
    for other in (REFERENCE, "last_value", "mean_of_years"):
        found[f"nll_gain_on_{other}"] = found[f"nll_{other}"] - found["nll"]
    return found


@functools.lru_cache(maxsize=2)
def read_histories(train_files: tuple[str, ...], eval_files: tuple[str, ...]) -> list[History]:
    """The raw rows of both splits by stock, as the Trainer sees them after Transform."""
    import tensorflow as tf

    spec: dict[str, Any] = {STOCK_KEY: tf.io.FixedLenFeature([], tf.string)}
    spec |= {key: tf.io.FixedLenFeature([], tf.int64) for key in (YEAR_KEY, DAY_KEY)}
    spec |= {key: tf.io.FixedLenFeature([], tf.float32) for key in (CLOSE_KEY, ANCHOR_KEY)}
    columns: dict[str, list[np.ndarray]] = defaultdict(list)
    for late, files in enumerate((train_files, eval_files)):
        for rows in training.dataset(files, spec, None, 4096):
            for key, values in rows.items():
                columns[key].append(values.numpy())
            columns["late"].append(np.full(len(rows[YEAR_KEY]), late))
    table = {key: np.concatenate(parts) for key, parts in columns.items()}
    found = []
    for stock in np.unique(table[STOCK_KEY]):
        mine = np.flatnonzero(table[STOCK_KEY] == stock)
        mine = mine[np.lexsort((table[DAY_KEY][mine], table[YEAR_KEY][mine]))]
        rows = {key: values[mine] for key, values in table.items()}
        anchor = np.log(rows[ANCHOR_KEY].astype(np.float64))
        begin = int(rows[YEAR_KEY][rows["late"] == 1].min())
        curve = np.log(rows[CLOSE_KEY].astype(np.float64)) - anchor
        found.append(History(stock.decode(), rows[YEAR_KEY], rows[DAY_KEY], curve, anchor, begin))
    return found


def periods(found: list[History]) -> Iterator[Period]:
    """Every year and quarter from each stock's first evaluation year on that has days enough."""
    for history in found:
        for year in range(history.begin, int(history.year[-1]) + 1):
            for quarter in range(5):
                rows = (
                    (history.year == year)
                    & (history.day >= QUARTER_STARTS[quarter])
                    & (history.day <= QUARTER_ENDS[quarter])
                )
                if rows.sum() >= MIN_DAYS:
                    actual = history.curve[rows] + history.anchor[rows]
                    yield Period(history, year, quarter, history.day[rows], actual)


def load(model: Path) -> Any:
    """The `serving_default` signature of a SavedModel, kept alive with its model."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(model))
    signature = loaded.signatures["serving_default"]
    return lambda **inputs: (loaded, signature(**inputs))[1]


@functools.lru_cache(maxsize=1)
def _reference(train: tuple[str, ...], late: tuple[str, ...], parameters: tuple[tuple[str, Any], ...]) -> Any:
    """The book's kernel, fitted as the Trainer fits; kept, since candidate and baseline meet the same one."""
    from pipelines.stock_prices.forecasting import make_forecaster, signatures

    values = dict(parameters)
    found = read_histories(train, late)
    fits = [fit_years(history, REFERENCE, values) for history in found]
    return signatures(make_forecaster(found, fits, REFERENCE, values["stride"]))["serving_default"]


def ask(signature: Any, period: Period) -> Curve:
    """The signature's mean and deviation [m] of the log price on the period's days. Raises what the model raises."""
    import tensorflow as tf

    answer = signature(
        stock=tf.constant([period.history.stock]),
        year=tf.constant([period.year], tf.int64),
        quarter=tf.constant([period.quarter], tf.int64),
    )
    days = answer["days"].numpy()[0]
    # A close on a Saturday would be an error of the data; the nearest forecast day stands in.
    at = np.clip(np.searchsorted(days, period.days), 0, len(days) - 1)
    mean, lower, upper = (
        np.log(answer[key].numpy()[0].astype(np.float64))[at] for key in ("mean", "lower", "upper")
    )
    return mean, (upper - lower) / (2 * BAND)


def _before(period: Period) -> tuple[History, int]:
    """The history and the number of its rows before the period."""
    history = period.history
    origin = QUARTER_STARTS[period.quarter]
    return history, int(
        ((history.year < period.year) | ((history.year == period.year) & (history.day < origin))).sum()
    )


def last_value(period: Period) -> Curve:
    """The last close, with a variance that grows with the days ahead as past squared changes did."""
    history, count = _before(period)
    log_price = (history.curve + history.anchor)[:count]
    time = (history.year + history.day / DAYS_PER_YEAR)[:count]
    rate = float(np.sum(np.diff(log_price) ** 2) / (time[-1] - time[0]))
    ahead = np.maximum(period.year + period.days / DAYS_PER_YEAR - time[-1], 1 / DAYS_PER_YEAR)
    return np.full(len(period.days), log_price[-1]), np.sqrt(rate * ahead)


def mean_of_years(period: Period) -> Curve:
    """The mean of earlier years' curves from the origin on, and their deviation, both by day of the year."""
    history, count = _before(period)
    origin = QUARTER_STARTS[period.quarter]
    curves = []
    for year in np.unique(history.year[: int(np.searchsorted(history.year, period.year))]):
        rows = history.year == year
        if rows.sum() < 200:
            continue
        day, curve = np.r_[0, history.day[rows]], np.r_[0.0, history.curve[rows]]
        at_origin = np.interp(origin - 1, day, curve)
        curves.append(np.interp(period.days, day, curve) - at_origin)
    last = (history.curve + history.anchor)[count - 1]
    spread = np.std(curves, axis=0, ddof=1) if len(curves) > 1 else np.full(len(period.days), 0.2)
    return last + np.mean(curves, axis=0), np.maximum(spread, MIN_DEVIATION)
