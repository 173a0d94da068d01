"""Small made tables with a column of every kind, as CSV files."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

HEADER = ("customer", "plan", "months", "charge", "since", "note", "always", "region code", "churn")
WORDS = "slow fast broken fine support bill phone line month contract price happy angry never".split()  # noqa: SIM905


def write(file: Path, header: Sequence[str], rows: Iterable[Sequence[object]], delimiter: str = ",") -> Path:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return file


def customers(folder: Path, rows: int = 300, seed: int = 1) -> Path:
    """customers.csv: an id, a category, numbers with holes, dates, notes, a constant, codes, and `churn` yes or no."""
    chance = random.Random(seed)
    made = []
    for number in range(rows):
        plan, months = chance.choice(("monthly", "yearly")), int(chance.expovariate(1 / 20)) + 1
        charge = round(chance.gauss(60, 20), 2)
        odds = 2.0 * (plan == "monthly") - 0.08 * months + 0.04 * (charge - 60)
        churn = "yes" if odds + chance.gauss(0, 0.7) > 0 else "no"
        shown = "NA" if chance.random() < 0.1 else charge
        since = f"20{chance.randint(10, 23)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
        note = " ".join(chance.choices(WORDS, k=8))
        made.append(
            (f"c-{number:05}", plan, months, shown, since, note, "x", chance.choice((7, 19, 23)), churn)
        )
    return write(folder / "customers.csv", HEADER, made)


def prices(folder: Path, rows: int = 300, seed: int = 1) -> Path:
    """prices.csv: two numbers, a category and `price`, which follows them."""
    chance = random.Random(seed)
    made = []
    for _ in range(rows):
        size, age, city = chance.uniform(20, 200), chance.randint(0, 90), chance.choice("ABC")
        price = 3 * size - age + {"A": 0, "B": 50, "C": 90}[city] + chance.gauss(0, 10)
        made.append((round(size, 1), age, city, round(price, 2)))
    return write(folder / "prices.csv", ("size", "age", "city", "price"), made)
