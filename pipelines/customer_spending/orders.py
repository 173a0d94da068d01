"""From tables of order lines to arrays: customers, days, orders, exact cents.

A line is one product of one order. Lines without a customer belong to nobody and are left out; what was sent back is a
line with a negative quantity. It knows nothing of windows or forecasts.
"""

from __future__ import annotations

import csv
import datetime
import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.base.errors import ProjectError

COLUMNS = ("order_id", "customer", "date", "category", "product", "quantity", "price")
NEEDED = ("order_id", "customer", "date", "quantity", "price")
# How UCI's tables, and copies of them, call the same columns; they have no category.
NAMES = {
    "Invoice": "order_id",
    "InvoiceNo": "order_id",
    "Customer ID": "customer",
    "CustomerID": "customer",
    "InvoiceDate": "date",
    "Description": "product",
    "Quantity": "quantity",
    "Price": "price",
    "UnitPrice": "price",
}
CENT = Decimal(1)


@dataclass(frozen=True)
class Orders:
    """Order lines [n] in the order of customer, day, order id and place in the files.

    `customer` numbers `customers`; `day` counts from 1970-01-01; `order` numbers the orders, each of one customer and
    day; `cents` is quantity times price, rounded to whole cents half to even, negative for what was sent back.
    """

    customers: np.ndarray
    order_ids: np.ndarray
    customer: np.ndarray
    day: np.ndarray
    order: np.ndarray
    cents: np.ndarray

    @property
    def first_day(self) -> int:
        return int(self.day.min())

    @property
    def last_day(self) -> int:
        return int(self.day.max())


def read_orders(files: Sequence[Path]) -> Orders:
    """The lines of all CSV tables (gz or not) among `files`; ProjectError with file and line for another layout."""
    tables = [file for file in files if ".csv" in file.name.lower()]
    if not tables:
        raise ProjectError(f"No .csv among {[f.name for f in files][:5]}; expected tables of order lines.")
    lines = [line for file in tables for line in _lines(file)]
    if not lines:
        raise ProjectError(f"{', '.join(f.name for f in tables)}: no order line names a customer.")
    ids, customers, days, cents = (list(column) for column in zip(*lines, strict=True))
    names, customer = np.unique(np.array(customers, object).astype(str), return_inverse=True)
    order_names, order = np.unique(np.array(ids, object).astype(str), return_inverse=True)
    day, amount = np.array(days, np.int64), np.array(cents, np.int64)
    sort = np.lexsort((np.arange(len(day)), order, day, customer))
    customer, day, order = customer[sort], day[sort], order[sort]
    # An id that two customers or two days share is two orders.
    new = np.r_[True, (np.diff(customer) != 0) | (np.diff(day) != 0) | (np.diff(order) != 0)]
    first = np.flatnonzero(new)
    return Orders(names, order_names[order[first]], customer, day, np.cumsum(new) - 1, amount[sort])


def _lines(file: Path) -> Iterator[tuple[str, str, int, int]]:
    """(order id, customer, day, cents) of each line that names a customer."""
    opened: Any = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text)
        try:
            place = _places(next(rows, []), file)
            for row in rows:
                if row:
                    told = {name: row[at] if at < len(row) else "" for name, at in place.items()}
                    if told["customer"]:
                        yield _line(told, file, rows.line_num)
        except (UnicodeDecodeError, csv.Error, EOFError, OSError) as error:
            raise ProjectError(f"{file}, after line {rows.line_num}: {error}; expected UTF-8 CSV.") from error


def _places(header: Sequence[str], file: Path) -> dict[str, int]:
    names = [NAMES.get(name.strip(), name.strip()) for name in header]
    missing = [name for name in NEEDED if name not in names]
    twice = [name for name in NEEDED if names.count(name) > 1]
    if missing or twice:
        fault = f"no column {missing[0]!r}" if missing else f"two columns {twice[0]!r}"
        raise ProjectError(
            f"{file}: {fault} in {list(header)}; expected {', '.join(COLUMNS)}, or the columns of UCI's workbook."
        )
    return {name: names.index(name) for name in NEEDED}


def _line(told: Mapping[str, str], file: Path, number: int) -> tuple[str, str, int, int]:
    try:
        day = datetime.datetime.fromisoformat(told["date"].strip()).date() - datetime.date(1970, 1, 1)
        amount = Decimal(told["quantity"]) * Decimal(told["price"]) * 100
        cents = int(amount.quantize(CENT, ROUND_HALF_EVEN))
    except (ValueError, InvalidOperation, OverflowError) as error:
        raise ProjectError(
            f"{file}, line {number}: {dict(told)}; expected a date as 2011-12-09 (with or without a time), a whole "
            "quantity and a price in currency units as 12.50."
        ) from error
    if not told["order_id"]:
        raise ProjectError(f"{file}, line {number}: {dict(told)}; expected an order id.")
    # Spreadsheets make 13085.0 of the number 13085.
    return told["order_id"], told["customer"].removesuffix(".0"), day.days, cents
