"""The tables of spending that people look at: per order, per day, week and month, and per customer.

Sums are whole cents and exact. Frames count rows in a total order (customer, day, order id), never values: a frame by
value would add up all orders of one day in each of their rows. `bridges.spark.windows` makes the same tables on Spark.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.customer_spending.orders import Orders, read_orders

TABLES = ("orders", "days", "weeks", "months", "customers")
# How many rows back a period's moving average looks, besides its own.
BACK = {"days": 7, "weeks": 4, "months": 3}
Table = dict[str, np.ndarray]


def read_rows(files: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(table, row) of all tables: what FunctionExampleGen asks for, a table being a split. Raises as `read_orders`."""
    for name, table in make_tables(read_orders(files)).items():
        columns = [values.tolist() for values in table.values()]
        for row in zip(*columns, strict=True):
            yield name, dict(zip(table, row, strict=True))


def make_tables(orders: Orders) -> dict[str, Table]:
    """All tables, each a dict of columns [rows], sorted by customer and time.

    orders: customer, date, order_id, cents; `cumulative_cents` of the customer so far; `average_last_4` and
      `average_of_5`, the mean cents over rows -3 to 0 and -2 to 2.
    days, weeks, months: customer, `period` (2011-12-09, 2011-W49, 2011-12), cents; `back_cents`, the sum of this and
      of the 7, 4 or 3 periods with an order before it. Weeks are ISO's: each has its year, so that no two are mixed.
    customers: customer, first and last date, `days` with an order, `orders`, cents, `returned` (1 if there was an
      order on a second day, else 0).
    """
    return {
        "orders": _orders(orders),
        **{name: _periods(orders, name, back) for name, back in BACK.items()},
        "customers": _customers(orders),
    }


def framed_sums(
    values: np.ndarray, group: np.ndarray, before: int, after: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of `values` [n] over rows -before to +after within runs of equal `group` [n], and the rows in each."""
    rows = np.arange(len(values))
    starts = np.flatnonzero(np.r_[True, np.diff(group) != 0])
    run = np.searchsorted(starts, rows, side="right") - 1
    first, last = starts[run], np.r_[starts[1:], len(values)][run]
    begin, end = np.maximum(rows - before, first), np.minimum(rows + after + 1, last)
    total = np.r_[0, np.cumsum(values)]
    return total[end] - total[begin], end - begin


def _orders(orders: Orders) -> Table:
    first = np.flatnonzero(np.r_[True, np.diff(orders.order) != 0])
    cents = np.add.reduceat(orders.cents, first)
    customer = orders.customer[first]
    table = {
        "customer": orders.customers[customer],
        "date": _dates(orders.day[first]),
        "order_id": orders.order_ids,
        "cents": cents,
        "cumulative_cents": framed_sums(cents, customer, len(cents), 0)[0],
    }
    for name, before, after in (("average_last_4", 3, 0), ("average_of_5", 2, 2)):
        total, rows = framed_sums(cents, customer, before, after)
        table[name] = total / rows
    return table


def _periods(orders: Orders, name: str, back: int) -> Table:
    days, place = np.unique(orders.day, return_inverse=True)
    names, number = np.unique([period_of(int(day), name) for day in days], return_inverse=True)
    period = number[place]
    first = np.flatnonzero(np.r_[True, (np.diff(orders.customer) != 0) | (np.diff(period) != 0)])
    cents, customer = np.add.reduceat(orders.cents, first), orders.customer[first]
    return {
        "customer": orders.customers[customer],
        "period": names[period[first]],
        "cents": cents,
        "back_cents": framed_sums(cents, customer, back, 0)[0],
    }


def _customers(orders: Orders) -> Table:
    first = np.flatnonzero(np.r_[True, np.diff(orders.customer) != 0])
    last = np.r_[first[1:], len(orders.customer)] - 1
    new_day = np.r_[True, (np.diff(orders.customer) != 0) | (np.diff(orders.day) != 0)]
    days = np.add.reduceat(new_day.astype(np.int64), first)
    return {
        "customer": orders.customers[orders.customer[first]],
        "first_date": _dates(orders.day[first]),
        "last_date": _dates(orders.day[last]),
        "days": days,
        "orders": orders.order[last] - orders.order[first] + 1,
        "cents": np.add.reduceat(orders.cents, first),
        "returned": (days > 1).astype(np.int64),
    }


def period_of(day: int, kind: str) -> str:
    """The name of the day, ISO week or month that `day` (since 1970-01-01) lies in; names sort as time does."""
    date = datetime.date(1970, 1, 1) + datetime.timedelta(days=day)
    if kind == "weeks":
        year, week, _ = date.isocalendar()
        return f"{year:04d}-W{week:02d}"
    return date.isoformat() if kind == "days" else f"{date:%Y-%m}"


def _dates(days: np.ndarray) -> np.ndarray:
    return days.astype("datetime64[D]").astype(str)
