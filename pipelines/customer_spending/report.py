"""Four pictures: the shop's weeks, totals by recency, forecasts against what was spent, and single customers.

Forecasts are asked of the exported model, as a client would ask. It decides nothing; bars are the Evaluator's.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np

from components.report_gen import pictures, reading
from components.report_gen.context import ReportContext
from pipelines.customer_spending import evaluate
from pipelines.customer_spending.rows import HORIZON, RECENCIES

SHOWN_CUSTOMERS = 12
TENTHS = 10


def report(context: ReportContext) -> None:
    """Writes periods, totals, deciles and customers as PNG."""
    files = tuple(context.files("eval"))
    rows = evaluate.read(files)
    told = evaluate.ask(reading.signature(context.model, "serve_examples"), files)
    periods(rows, told, context.folder / "periods.png")
    totals(rows, told, context.folder / "totals.png")
    deciles(rows, told, context.folder / "deciles.png")
    customers(rows, told, context.folder / "customers.png")


def periods(rows: evaluate.Rows, told: dict[str, np.ndarray], file: Path) -> None:
    """All spent in each period that judges, and what was expected of it by model and rivals."""
    days = np.unique(rows.as_of)
    sums = {
        "spent": rows.spent,
        "model": told["expected"],
        "last four weeks": rows.rivals["last_period"],
        "customer's mean": rows.rivals["customer_mean"],
    }
    drawn = pictures.figure(8, 3.6)
    axes = drawn.subplots()
    for number, (name, values) in enumerate(sums.items()):
        heights = [values[rows.as_of == day].sum() for day in days]
        axes.bar(np.arange(len(days)) + 0.2 * (number - 1.5), heights, 0.19, label=name)
    axes.set_xticks(np.arange(len(days)), [f"{day} to\n{_end(day)}" for day in days], fontsize=8)
    axes.set(title="All customers, four weeks each", ylabel="currency units")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3, axis="y")
    pictures.save(drawn, file)


def _end(day: str) -> str:
    return (datetime.date.fromisoformat(day) + datetime.timedelta(days=HORIZON)).isoformat()


def totals(rows: evaluate.Rows, told: dict[str, np.ndarray], file: Path) -> None:
    """What was expected divided by what was spent, by the time since the last order."""
    names = [name for _, name in RECENCIES if (rows.recency == name).any()]
    sums = {"model": told["expected"], "customer's mean": rows.rivals["customer_mean"]}
    drawn = pictures.figure(8, 3.6)
    axes = drawn.subplots()
    for number, (label, values) in enumerate(sums.items()):
        ratios = [
            values[rows.recency == name].sum() / max(rows.spent[rows.recency == name].sum(), 1e-9)
            for name in names
        ]
        axes.bar(np.arange(len(names)) + 0.3 * (number - 0.5), ratios, 0.28, label=label)
    axes.axhline(1, color="black", lw=0.8, ls="--")
    counts = [int((rows.recency == name).sum()) for name in names]
    axes.set_xticks(
        np.arange(len(names)), [f"{name}\n{count:,} rows" for name, count in zip(names, counts, strict=True)]
    )
    axes.set(title="Expected / spent, by the time since the last order", yscale="log")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3, axis="y")
    pictures.save(drawn, file)


def deciles(rows: evaluate.Rows, told: dict[str, np.ndarray], file: Path) -> None:
    """Rows in ten groups by what is expected of them: means of what was expected and of what was spent."""
    drawn = pictures.figure(4.6, 4.2)
    axes = drawn.subplots()
    groups = np.array_split(np.argsort(told["expected"], kind="stable"), TENTHS)
    expected = [max(told["expected"][group].mean(), 0.1) for group in groups if len(group)]
    spent = [max(rows.spent[group].mean(), 0.1) for group in groups if len(group)]
    axes.loglog(expected, spent, "o-")
    ends = [min(expected + spent), max(expected + spent)]
    axes.plot(ends, ends, color="black", lw=0.8, ls="--")
    axes.set(title="Tenths of the customers", xlabel="expected, mean", ylabel="spent, mean")
    axes.grid(alpha=0.3)
    pictures.save(drawn, file)


def customers(rows: evaluate.Rows, told: dict[str, np.ndarray], file: Path) -> None:
    """Median and 80 % interval of single customers, from the half of whom more is expected, and what they spent."""
    last = np.flatnonzero(rows.as_of == max(rows.as_of))
    order = last[np.argsort(told["expected"][last], kind="stable")]
    chosen = order[np.unique(np.linspace(len(order) // 2, len(order) - 1, SHOWN_CUSTOMERS).astype(int))]
    drawn = pictures.figure(8, 4.2)
    axes: Any = drawn.subplots()
    place = np.arange(len(chosen))
    axes.vlines(
        place,
        told["lower"][chosen],
        told["upper"][chosen],
        color="C0",
        lw=6,
        alpha=0.3,
        label="80 % interval",
    )
    axes.plot(place, told["median"][chosen], "_", color="C0", ms=14, label="median")
    axes.plot(place, rows.spent[chosen], "o", color="black", ms=4, label="spent")
    axes.set_yscale("symlog", linthresh=10)
    axes.set_xticks(place, rows.customer[chosen], rotation=35, fontsize=8)
    axes.set(title=f"Single customers, four weeks from {max(rows.as_of)}", ylabel="currency units")
    axes.legend(fontsize=8, loc="upper left")
    axes.grid(alpha=0.3, axis="y")
    pictures.save(drawn, file)
