"""Rolling-origin backtest: every year and every quarter of the evaluation years, forecast at its beginning.

Asked of the served signature, compared with the closes that came. Errors and likelihoods are of the logarithm of
the price, so that 0.1 is about 10 % for every stock. Beside the model stand naive forecasts (the last value with the
variance of all past changes, the same with the mean of theirs and of the last 252 changes', the mean of earlier years)
and the book's kernel, fitted here to the same days.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.function_evaluator.measuring import Given, Measured, Sampled, SliceKey
from components.report_gen import reading
from pipelines.base import training
from pipelines.stock_prices.features import ANCHOR_KEY, CLOSE_KEY, DAY_KEY, DAYS_PER_YEAR, STOCK_KEY, YEAR_KEY
from pipelines.stock_prices.histories import BAND, QUARTER_ENDS, QUARTER_STARTS, History
from pipelines.stock_prices.model import fit_years

REFERENCE = "rbf_white"
RIVALS = ("last_value", "mean_variance", "mean_of_years", REFERENCE)
# Changes that the rival `mean_variance` counts as recent.
RECENT = 252
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


def evaluate(given: Given) -> Sampled:
    """RMSE, coverage and NLL overall and by kind of period and stock; see `_metrics` for the names.

    Drawn again are years: the days of a year, its quarters and the stocks in it rise and fall together.
    """
    stocks = read_histories(tuple(given.examples["train"]), tuple(given.files))
    served = reading.signature(given.model)
    reference = _reference(
        tuple(given.examples["train"]), tuple(given.files), tuple(sorted(given.parameters.items()))
    )
    scores: dict[SliceKey, list[dict[str, np.ndarray]]] = defaultdict(list)
    in_year: dict[SliceKey, list[int]] = defaultdict(list)
    for period in periods(stocks):
        forecasts = {
            "": ask(served, period),
            f"_{REFERENCE}": ask(reference, period),
            "_last_value": last_value(period),
            "_mean_variance": mean_variance(period),
            "_mean_of_years": mean_of_years(period),
        }
        score = {
            name: np.append(_score(period.actual, *curve).sum(axis=1), len(period.actual))
            for name, curve in forecasts.items()
        }
        stock, kind = period.key["stock"], period.key["period"]
        keys: tuple[SliceKey, ...] = (
            (),
            (("period", kind),),
            (("stock", stock),),
            (("period", kind), ("stock", stock)),
        )
        for key in keys:
            scores[key].append(score)
            in_year[key].append(period.year)
    years = {year: number for number, year in enumerate(sorted(set(in_year[()])))}
    place = {key: np.array([years[year] for year in of_key]) for key, of_key in in_year.items()}

    def measure(drawn: np.ndarray) -> Measured:
        return {
            key: _metrics(list_of, drawn[place[key]], place[key])
            for key, list_of in scores.items()
            if drawn[place[key]].any()
        }

    return Sampled(len(years), measure, "years")


def _score(actual: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """[3, m]: squared error, whether inside the band, negative log likelihood in nats, per day."""
    error = actual - mean
    inside = np.abs(error) <= BAND * deviation
    return np.stack(
        [error**2, inside, 0.5 * np.log(2 * np.pi * deviation**2) + 0.5 * (error / deviation) ** 2]
    )


def _metrics(scores: list[dict[str, Any]], drawn: np.ndarray, years: np.ndarray) -> dict[str, float]:
    """`rmse`, `coverage`, `nll` of the model and, with a suffix, of the others; each day counts as often as drawn.

    `scores` are the forecasts' sums of `_score` and their days, by who made them; `drawn` [forecasts] how often each
    counts, `years` [forecasts] what is drawn together.

    `nll_gain_on_rbf_white` is how many nats per day the model's forecasts are likelier than the book's kernel's, and so
    for the other RIVALS; `nll_gain_on_best_upper` is the upper end of the 95 % interval, over years, of the gain on the
    likeliest rival: below 0 the model is shown to be worse.
    """
    metrics: dict[str, float] = {"forecasts": float(drawn.sum())}
    for name in scores[0]:
        squared, inside, nll, days = drawn @ np.stack([score[name] for score in scores])
        metrics[f"rmse{name}"] = float(np.sqrt(squared / days))
        metrics[f"coverage{name}"] = float(inside / days)
        metrics[f"nll{name}"] = float(nll / days)
        metrics["example_count"] = float(days)
    for other in RIVALS:
        metrics[f"nll_gain_on_{other}"] = metrics[f"nll_{other}"] - metrics["nll"]
    best = min(RIVALS, key=lambda name: metrics[f"nll_{name}"])
    gain = metrics[f"nll_gain_on_{best}"]
    excess = [score[f"_{best}"][2] - score[""][2] - gain * score[""][3] for score in scores]
    of_year = np.bincount(years, drawn * np.array(excess))
    # Of a ratio of sums over years, by their deviations from it (Cochran, 1977, section 6.3).
    count = max(2, len(np.unique(years[drawn > 0])))
    error = np.sqrt(np.square(of_year).sum() * count / (count - 1)) / metrics["example_count"]
    metrics["nll_gain_on_best_upper"] = float(gain + 1.96 * error)
    return metrics


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
    stocks = []
    for stock in np.unique(table[STOCK_KEY]):
        mine = np.flatnonzero(table[STOCK_KEY] == stock)
        mine = mine[np.lexsort((table[DAY_KEY][mine], table[YEAR_KEY][mine]))]
        rows = {key: values[mine] for key, values in table.items()}
        anchor = np.log(rows[ANCHOR_KEY].astype(np.float64))
        begin = int(rows[YEAR_KEY][rows["late"] == 1].min())
        curve = np.log(rows[CLOSE_KEY].astype(np.float64)) - anchor
        stocks.append(History(stock.decode(), rows[YEAR_KEY], rows[DAY_KEY], curve, anchor, begin))
    return stocks


def periods(stocks: list[History]) -> Iterator[Period]:
    """Every year and quarter from each stock's first evaluation year on that has days enough."""
    for history in stocks:
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


@functools.lru_cache(maxsize=1)
def _reference(train: tuple[str, ...], late: tuple[str, ...], parameters: tuple[tuple[str, Any], ...]) -> Any:
    """The book's kernel, fitted as the Trainer fits; kept, since candidate and baseline meet the same one."""
    from pipelines.stock_prices.forecasting import make_forecaster, signatures

    values = dict(parameters)
    stocks = read_histories(train, late)
    fits = [fit_years(history, REFERENCE, values) for history in stocks]
    return signatures(make_forecaster(stocks, fits, REFERENCE, values["stride"]))["serving_default"]


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
    return _walk(period, lambda usual, recent: usual)


def mean_variance(period: Period) -> Curve:
    """The last close, with a variance that grows as the mean of all past changes' and of the last RECENT ones'."""
    return _walk(period, lambda usual, recent: (usual + recent) / 2)


def _walk(period: Period, rate: Callable[[float, float], float]) -> Curve:
    """The last close; `rate` makes one variance per year of the usual and of the recent one."""
    history, count = _before(period)
    price, time = history.log_price[:count], history.time[:count]
    late = slice(-RECENT - 1, None)
    usual, recent = (
        float(np.sum(np.diff(price[part]) ** 2) / (time[part][-1] - time[part][0]))
        for part in (slice(None), late)
    )
    ahead = np.maximum(period.year + period.days / DAYS_PER_YEAR - time[-1], 1 / DAYS_PER_YEAR)
    return np.full(len(period.days), price[-1]), np.sqrt(rate(usual, recent) * ahead)


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
