"""Where orders come from: UCI's Online Retail II, or a made-up shop of the same kind.

`sample` makes what is hard about such a shop: most customers buy once or twice and some every week, many leave without
a word, amounts have a heavy tail, November is three times February, nothing is sold on Saturdays, and some of it comes
back.
"""

from __future__ import annotations

import csv
import datetime
import io
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.base.errors import ProjectError
from pipelines.customer_spending.orders import COLUMNS
from pipelines.customer_spending.project import PROJECT

ARCHIVE = "https://archive.ics.uci.edu/static/public/502/online+retail+ii.zip"
WORKBOOK, FILE = "online_retail_II.xlsx", "orders.csv"
LAST_DAY = datetime.date(2011, 12, 9)
DAYS = 739
CATEGORIES = ("kitchen", "garden", "toys", "stationery", "christmas")
# What a day sells relative to others: Monday to Sunday, January to December.
WEEK = (1.0, 1.15, 1.15, 1.25, 1.0, 0.0, 0.65)
YEAR = (0.75, 0.7, 0.85, 0.8, 0.9, 0.9, 0.85, 0.9, 1.2, 1.5, 1.9, 1.0)
LINES_PER_ORDER, SENT_BACK = 4.0, 0.02


def fetch(folder: Path) -> None:
    """Downloads UCI's workbook (45 MB) and writes its lines to orders.csv; raises ProjectError with the other way."""
    try:
        with urllib.request.urlopen(ARCHIVE, timeout=120) as response:
            archive = response.read()
    except (urllib.error.URLError, OSError) as error:
        raise ProjectError(
            f"{PROJECT.name}: {ARCHIVE} cannot be fetched: {error}. Save order lines as CSV with the columns "
            f"{', '.join(COLUMNS)} and pass them: viaduct run {PROJECT.name} --data FILE."
        ) from error
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        write_workbook(io.BytesIO(files.read(WORKBOOK)), folder / FILE)


def write_workbook(workbook: io.BytesIO, file: Path) -> None:
    """Writes the rows of all sheets of UCI's workbook as one CSV, in its columns; dates become ISO."""
    import openpyxl

    book = openpyxl.load_workbook(workbook, read_only=True)
    with file.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        for number, sheet in enumerate(book.worksheets):
            rows = sheet.iter_rows(values_only=True)
            header = next(rows)
            if not number:
                writer.writerow(header)
            for row in rows:
                writer.writerow(
                    [cell.isoformat(" ") if isinstance(cell, datetime.datetime) else cell for cell in row]
                )


def sample(folder: Path, rows: int, seed: int) -> None:
    """Writes about `rows` made-up order lines to orders.csv, oldest first; same seed, same bytes."""
    random = np.random.default_rng(seed)
    with (folder / FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        lines = 0
        for number, (day, customer, level) in enumerate(_orders(random, rows)):
            if lines >= rows:
                break
            lines += _write_order(writer, random, number, day, customer, level)


def _orders(random: np.random.Generator, rows: int) -> Iterator[tuple[datetime.date, int, float]]:
    """(day, customer, level of spending) of orders, oldest first; each buys at a rate of its own until it leaves."""
    customers = max(40, int(rows / LINES_PER_ORDER / 9))
    begin = LAST_DAY - datetime.timedelta(days=DAYS - 1)
    # Half of the customers were there before the data begin.
    enters = np.where(random.random(customers) < 0.5, 0, random.uniform(0, DAYS, customers))
    stays = random.exponential(500, customers)
    rate = random.gamma(0.9, 1 / 40, customers) + 1 / 250
    level = random.normal(4.6, 0.8, customers)
    for place in range(DAYS):
        day = begin + datetime.timedelta(days=place)
        there = (enters <= place) & (place < enters + stays)
        chance = np.minimum(rate * there * WEEK[day.weekday()] * YEAR[day.month - 1], 0.9)
        # Whoever enters does so with an order.
        buys = (random.random(customers) < chance) | ((enters > 0) & (enters.astype(int) == place))
        for customer in np.flatnonzero(buys):
            yield day, int(customer), float(level[customer])


def _write_order(
    writer: Any,
    random: np.random.Generator,
    number: int,
    day: datetime.date,
    customer: int,
    level: float,
) -> int:
    """Writes an order's lines, one in fifty of them as something sent back; how many there are."""
    lines = 1 + random.poisson(LINES_PER_ORDER - 1)
    amounts = np.exp(level + random.normal(0, 0.5)) * random.dirichlet(np.ones(lines))
    for amount in amounts:
        product, quantity = int(random.integers(400)), int(random.integers(1, 13))
        price = max(0.05, amount / quantity)
        quantity = -quantity if random.random() < SENT_BACK else quantity
        writer.writerow(
            (
                f"A{number:06d}",
                f"C{customer:05d}",
                day.isoformat(),
                CATEGORIES[product % len(CATEGORIES)],
                f"product {product:03d}",
                quantity,
                f"{price:.2f}",
            )
        )
    return lines
