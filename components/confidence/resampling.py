"""Which rows a resample holds: the paired bootstrap over rows, drawn once for all models, metrics and slices.

Efron's bootstrap with every row drawn a Poisson(1) number of times (Chamandy et al. 2012, "Estimating uncertainty for
massive data streams"); rows of a rare class are drawn with replacement among themselves, so that no resample lacks
them. Seeded: the same rows give the same resamples. It knows no metric.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SEED = 20_150_531
# Resamples, and how many rows may have so many; beyond, half of them tell an interval's ends as well.
MANY, FEW, ROWS_OF_MANY = 400, 200, 50_000
# A class with a smaller share of the rows is a stratum of its own; so many classes at most.
RARE, MOST_STRATA = 0.1, 100
BLOCK = 8192


@dataclass(frozen=True)
class Plan:
    """`strata` [n] numbers the stratum of each row, 0 being the rows that are in none; `resamples` how many."""

    rows: int
    resamples: int
    strata: np.ndarray | None = None
    seed: int = SEED

    @property
    def words(self) -> str:
        """For people: what was done."""
        by_class = ", rare classes by themselves" if self.strata is not None else ""
        return f"paired bootstrap over rows, {self.resamples} resamples{by_class}"


def plan(rows: int, classes: np.ndarray | None = None) -> Plan:
    """For `rows` rows whose labels are `classes` [n]; None where they are no classes."""
    strata = None
    if classes is not None and rows:
        values, number, counts = np.unique(classes, return_inverse=True, return_counts=True)
        rare = counts < RARE * rows
        if rare.any() and len(values) <= MOST_STRATA:
            strata = np.where(rare[number], number + 1, 0)
    return Plan(rows, MANY if rows <= ROWS_OF_MANY else FEW, strata)


def blocks(made: Plan) -> Iterator[tuple[slice, np.ndarray]]:
    """(rows, how often each is drawn [rows, 1 + resamples] float32), block by block.

    Column 0 draws every row once: what it gives is the measured value, as coarse as the resampled ones.
    """
    rng = np.random.default_rng(made.seed)
    often = _poisson_table()
    fixed = _of_strata(made, np.random.default_rng(made.seed + 1))
    for begin in range(0, made.rows, BLOCK):
        rows = slice(begin, min(begin + BLOCK, made.rows))
        drawn = often[rng.integers(0, len(often), (rows.stop - begin, made.resamples), np.uint16)]
        for place, counts in fixed:
            here = (place >= begin) & (place < rows.stop)
            drawn[place[here] - begin] = counts[here]
        yield rows, np.concatenate([np.ones((len(drawn), 1), np.float32), drawn], axis=1)


def _poisson_table() -> np.ndarray:
    """65,536 equally likely outcomes of a Poisson(1) number, with the mean set to exactly 1."""
    ends = np.cumsum([math.exp(-1) / math.factorial(k) for k in range(12)])
    table = np.searchsorted(ends, (np.arange(1 << 16) + 0.5) / (1 << 16)).astype(np.float32)
    return table / table.mean()


def _of_strata(made: Plan, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each stratum its rows [m] and how often each is drawn [m, resamples], each resample drawing m."""
    if made.strata is None:
        return []
    fixed = []
    for number in np.unique(made.strata):
        if number:
            place = np.flatnonzero(made.strata == number)
            fixed.append((place, draws(len(place), made.resamples, rng).astype(np.float32)))
    return fixed


def draws(units: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of `units` is drawn, [units, resamples] int64: every resample draws `units` with replacement."""
    picked = rng.integers(0, units, (units, resamples)) + np.arange(resamples) * units
    return np.bincount(picked.ravel(), minlength=units * resamples).reshape(resamples, units).T


@dataclass
class Cells:
    """What rows add to cells, as a kernel's table has it: `row`, `cell` [m] and `values` [m, v] for `count` cells."""

    row: np.ndarray
    cell: np.ndarray
    values: np.ndarray
    count: int


def resampled(made: Plan, tables: Sequence[Cells]) -> list[np.ndarray]:
    """Sums [count, v, 1 + resamples] of each table, the measured ones first. The draws are made once for all tables."""
    from scipy import sparse

    parts = [_sorted_by_row(table) for table in tables]
    totals = [
        np.zeros((table.count * table.values.shape[1], 1 + made.resamples), np.float32) for table in tables
    ]
    for rows, drawn in blocks(made):
        for part, total in zip(parts, totals, strict=True):
            begin, end = np.searchsorted(part.row, (rows.start, rows.stop))
            if begin == end:
                continue
            values, width = part.values[begin:end], part.values.shape[1]
            cell = (part.cell[begin:end, None] * width + np.arange(width)).ravel()
            row = np.repeat(part.row[begin:end] - rows.start, width)
            there = values.ravel() != 0
            known, place = np.unique(cell[there], return_inverse=True)
            shape = (len(known), rows.stop - rows.start)
            adding: Any = sparse.csr_matrix(
                (values.ravel()[there].astype(np.float32), (place, row[there])), shape
            )
            total[known] += adding @ drawn
    return [
        total.reshape(table.count, table.values.shape[1], 1 + made.resamples)
        for table, total in zip(tables, totals, strict=True)
    ]


def _sorted_by_row(table: Cells) -> Cells:
    if (np.diff(table.row) >= 0).all():
        return table
    order = np.argsort(table.row, kind="stable")
    return Cells(table.row[order], table.cell[order], table.values[order], table.count)
