"""How near the served forecasts come to what customers spent in the periods that nothing was fitted to.

Beside the model stand three simple forecasts, of the same rows: what the customer spent in the last four weeks, the
customer's mean over all weeks since the first order, and nothing at all. Errors are in currency units. Drawn again are
customers, each with all its periods.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from components import finite
from components.function_evaluator.measuring import Given, Measured, Sampled, SliceKey
from components.report_gen import reading
from pipelines.base import training
from pipelines.customer_spending.features import (
    AS_OF_KEY,
    CENTS_KEY,
    CUSTOMER_KEY,
    DAYS_AGO_KEY,
    LABEL_KEY,
    RECENCY_KEY,
)
from pipelines.customer_spending.rows import HORIZON

RIVALS = ("last_period", "customer_mean", "nothing")
FORECASTS = ("buys", "expected", "median", "lower", "upper")
BATCH = 1024


@dataclass(frozen=True)
class Rows:
    """The rows of a split: [n] each, amounts in currency units; `rivals` are forecasts by name."""

    customer: np.ndarray
    as_of: np.ndarray
    recency: np.ndarray
    spent: np.ndarray
    rivals: dict[str, np.ndarray]


def evaluate(given: Given) -> Sampled:
    """The metrics of `_metrics` for all rows and by recency, and over all rows the worst `total_error` of a recency."""
    files = tuple(given.files)
    rows, told = read(files), ask(reading.signature(given.model, "serve_examples"), files)
    finite.refuse(int(np.isnan(np.stack(list(told.values()))).any(axis=0).sum()), len(rows.spent))
    _, customer = np.unique(rows.customer, return_inverse=True)
    masks: dict[SliceKey, np.ndarray] = {(): np.ones(len(customer), bool)}
    masks |= {(("recency", name),): rows.recency == name for name in np.unique(rows.recency)}
    columns = np.stack(_columns(rows, told), axis=1)

    def measure(drawn: np.ndarray) -> Measured:
        often = drawn[customer]
        measured = {
            key: _metrics((often * mask) @ columns, float((often * mask).sum()))
            for key, mask in masks.items()
            if (often * mask).any()
        }
        errors = [metrics["total_error"] for key, metrics in measured.items() if key]
        return {
            key: {**metrics, "worst_total_error": max(errors)} if key == () else metrics
            for key, metrics in measured.items()
        }

    return Sampled(int(customer.max()) + 1, measure, "customers")


def _columns(rows: Rows, told: dict[str, np.ndarray]) -> list[np.ndarray]:
    """What `_metrics` takes the sums of, row by row."""
    inside = (rows.spent >= told["lower"]) & (rows.spent <= told["upper"])
    errors = [np.abs(rows.spent - forecast) for forecast in (told["median"], told["expected"])]
    return [
        *errors,
        *(np.abs(rows.spent - rows.rivals[name]) for name in RIVALS),
        inside.astype(float),
        told["upper"] - told["lower"],
        rows.spent,
        told["expected"],
        rows.rivals["last_period"],
        rows.rivals["customer_mean"],
    ]


def _metrics(sums: np.ndarray, count: float) -> dict[str, float]:
    """`mae` of the median forecast, `mae_expected`, and the rivals'; `mae_gain_on_best` is the best rival's less `mae`.

    `total_ratio`: all that was expected / all that was spent, and the same of two rivals; `total_error` is how far it
    is from 1. `coverage`: the share of rows in the 80 % interval, whose mean width is `interval_width`.
    """
    mean = sums / count
    mae, mae_expected, *rivals, coverage, width, spent, expected, last, own = map(float, mean)
    ratios = [total / spent if spent > 0 else float("nan") for total in (expected, last, own)]
    return {
        "example_count": count,
        "mae": mae,
        "mae_expected": mae_expected,
        **{f"mae_{name}": value for name, value in zip(RIVALS, rivals, strict=True)},
        "mae_gain_on_best": min(rivals) - mae,
        "coverage": coverage,
        "interval_width": width,
        "mean_spent": spent,
        "total_ratio": ratios[0],
        "total_error": abs(ratios[0] - 1.0),
        "total_ratio_last_period": ratios[1],
        "total_ratio_customer_mean": ratios[2],
    }


@functools.lru_cache(maxsize=1)
def read(files: tuple[str, ...]) -> Rows:
    """The raw rows with the rivals' forecasts; kept, since candidate and baseline meet the same ones."""
    import tensorflow as tf

    spec: dict[str, Any] = {
        key: tf.io.FixedLenFeature([], tf.string) for key in (CUSTOMER_KEY, AS_OF_KEY, RECENCY_KEY)
    }
    spec |= {key: tf.io.RaggedFeature(tf.int64) for key in (DAYS_AGO_KEY, CENTS_KEY)}
    spec[LABEL_KEY] = tf.io.FixedLenFeature([], tf.int64)
    texts: dict[str, list[np.ndarray]] = {key: [] for key in (CUSTOMER_KEY, AS_OF_KEY, RECENCY_KEY)}
    spent, last, mean = [], [], []
    for rows in training.dataset(files, spec, None, BATCH):
        for key, parts in texts.items():
            parts.append(rows[key].numpy().astype(str))
        days, cents = rows[DAYS_AGO_KEY], tf.cast(rows[CENTS_KEY], tf.float64)
        recent = tf.reduce_sum(cents * tf.cast(days < HORIZON, tf.float64), axis=1).numpy()
        periods = np.maximum(tf.reduce_max(days, axis=1).numpy() + 1, HORIZON) / HORIZON
        spent.append(rows[LABEL_KEY].numpy() / 100)
        last.append(np.maximum(recent, 0) / 100)
        mean.append(np.maximum(tf.reduce_sum(cents, axis=1).numpy(), 0) / periods / 100)
    actual = np.concatenate(spent)
    rivals = (np.concatenate(last), np.concatenate(mean), np.zeros(len(actual)))
    names = [np.concatenate(texts[key]) for key in (CUSTOMER_KEY, AS_OF_KEY, RECENCY_KEY)]
    return Rows(names[0], names[1], names[2], actual, dict(zip(RIVALS, rivals, strict=True)))


def ask(signature: Any, files: tuple[str, ...]) -> dict[str, np.ndarray]:
    """FORECASTS [n] of the rows of `files`, in their order, from the served signature over tf.Examples."""
    import tensorflow as tf

    parts: dict[str, list[np.ndarray]] = {name: [] for name in FORECASTS}
    for batch in tf.data.TFRecordDataset(list(files), "GZIP").batch(BATCH):
        answer = signature(examples=batch)
        for name, told in parts.items():
            told.append(answer[name].numpy().astype(np.float64))
    return {name: np.concatenate(told) for name, told in parts.items()}
