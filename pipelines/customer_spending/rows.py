"""From order lines to one row per customer and date at which a forecast is made, and their split by time.

A row holds what was known at the end of its date: the days with an order and what each came to. What was ordered in the
four weeks after it is the label and nothing else. Spending is net of what was sent back, and at least 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.base.errors import ProjectError
from pipelines.customer_spending.features import (
    AS_OF_KEY,
    CENTS_KEY,
    CUSTOMER_KEY,
    DAYS_AGO_KEY,
    LABEL_KEY,
    RECENCY_KEY,
)
from pipelines.customer_spending.orders import Orders, read_orders
from pipelines.customer_spending.tables import period_of

SPLITS = ("train", "tune", "eval")
HORIZON = 28
# A customer is forecast while an order lies within two years, and known by the newest days with orders.
FORGOTTEN, MOST_DAYS = 730, 200
# Before the first forecast there must be data to know customers by.
BEFORE = 6 * HORIZON
RECENCIES = ((28, "up to 4 weeks"), (84, "5 to 12 weeks"), (FORGOTTEN, "longer"))


def read_rows(files: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(split, row) for every date of `forecast_days`; the last `eval_periods` dates are `eval`, `tune_periods` before
    them `tune`, so that no label of one split lies in the time of the next.

    Raises ProjectError, with what is there, for data too short for that.
    """
    orders = read_orders(files)
    held_out = int(options["eval_periods"]), int(options["tune_periods"])
    days = forecast_days(orders.first_day, orders.last_day)
    if len(days) <= sum(held_out):
        raise ProjectError(
            f"The orders span {period_of(orders.first_day, 'days')} to {period_of(orders.last_day, 'days')}; "
            f"expected {BEFORE + HORIZON * (sum(held_out) + 1)} days or more: {BEFORE} to know customers by and "
            f"{sum(held_out) + 1} times {HORIZON} to learn and judge."
        )
    splits = ["train"] * (len(days) - sum(held_out)) + ["tune"] * held_out[1] + ["eval"] * held_out[0]
    spent = daily(orders)
    for split, day in zip(splits, days, strict=True):
        for row in rows_of(spent, orders.customers, day):
            yield split, row


def forecast_days(first: int, last: int) -> list[int]:
    """The days, oldest first, at whose end forecasts are made: every four weeks, the last four weeks before the end."""
    return list(range(last - HORIZON, first + BEFORE - 2, -HORIZON))[::-1]


def daily(orders: Orders) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Customer number, day and cents [n] per customer and day with an order, in this order."""
    new = np.flatnonzero(np.r_[True, (np.diff(orders.customer) != 0) | (np.diff(orders.day) != 0)])
    return orders.customer[new], orders.day[new], np.add.reduceat(orders.cents, new)


def rows_of(
    spent: tuple[np.ndarray, np.ndarray, np.ndarray], customers: np.ndarray, as_of: int
) -> Iterator[dict[str, Any]]:
    """One row per customer whose last order up to the day `as_of` is not forgotten; `days_ago` counts back from it."""
    customer, day, cents = spent
    starts = np.searchsorted(customer, np.arange(len(customers) + 1))
    for number, name in enumerate(customers):
        mine = slice(starts[number], starts[number + 1])
        known = int(np.searchsorted(day[mine], as_of, side="right"))
        if not known or as_of - day[mine][known - 1] >= FORGOTTEN:
            continue
        end = int(np.searchsorted(day[mine], as_of + HORIZON, side="right"))
        ago = (as_of - day[mine][:known])[::-1][:MOST_DAYS]
        yield {
            CUSTOMER_KEY: str(name),
            AS_OF_KEY: period_of(as_of, "days"),
            DAYS_AGO_KEY: ago.tolist(),
            CENTS_KEY: cents[mine][:known][::-1][:MOST_DAYS].tolist(),
            RECENCY_KEY: next(words for days, words in RECENCIES if ago[0] < days),
            LABEL_KEY: max(0, int(cents[mine][known:end].sum())),
        }
