"""What is asked of a recommender: visitors, what is known of each, and what each looks at later.

The Evaluator makes them of the training and the evaluation period, the Trainer of its own early and last weeks. What
a visitor saw before is not to be found again. No TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pipelines.recommendations.events import Log, Pairs, fresh_items, pairs, seen_matrix

# Drawn at random where there are more; they keep the weight of all.
MAX_VISITORS = 20_000
NOTHING_KNOWN = "no item"
HISTORIES = ((1, "1 item"), (2, "2 to 4 items"), (5, "5 items or more"))


@dataclass(frozen=True)
class Tasks:
    """[n] visitors of one kind, the item told (-1: none), what is known, and what is to be found."""

    kind: str
    visitors: np.ndarray
    told: np.ndarray
    seen: sparse.csr_matrix
    targets: sparse.csr_matrix
    weight: float

    @property
    def counts(self) -> np.ndarray:
        """Items to find [n]."""
        return np.diff(self.targets.indptr)

    @property
    def history(self) -> np.ndarray:
        """Label [n] of how many items are known."""
        counts = np.diff(self.seen.indptr)
        names = np.array([NOTHING_KNOWN, *(name for _, name in HISTORIES)])
        return names[np.searchsorted([least for least, _ in HISTORIES], counts, side="right")]


def make_tasks(known: Pairs, later: Log, items: int, most: int = MAX_VISITORS) -> list[Tasks]:
    """Returning, new and started visitors, in this order; `most` of each at most, no task where there are none.

    `known` has a place for every visitor of `later`; items are numbered below `items`.

    Raises ValueError where there is nobody of whom something is known, returning or started.
    """
    seen_later = pairs(later, len(known.counts))
    fresh, counts = fresh_items(known, seen_later, items)
    before, known_some = seen_matrix(known, items), known.counts > 0
    # The first item of the later period.
    order = np.lexsort((seen_later.first, seen_later.visitor))
    first = np.full(len(known.counts), -1)
    first[seen_later.visitor[order][::-1]] = seen_later.item[order][::-1]
    tasks = []
    for kind, rows in (
        ("returning", (counts > 0) & known_some),
        ("new", (counts > 0) & ~known_some),
        ("started", (counts > 1) & ~known_some),
    ):
        visitors = np.flatnonzero(rows)
        if not len(visitors):
            continue
        drawn = np.sort(np.random.default_rng(0).permutation(visitors)[:most])
        told = first[drawn] if kind == "started" else np.full(len(drawn), -1)
        seen, targets = before[drawn], fresh[drawn]
        if kind == "started":
            seen = _ones(told, items)
            targets = sparse.csr_matrix(targets - targets.multiply(seen))
            targets.eliminate_zeros()
        tasks.append(Tasks(kind, drawn, told, seen, targets, len(visitors) / len(drawn)))
    if not {"returning", "started"} & {task.kind for task in tasks}:
        raise ValueError(
            "In the later period nobody of whom an item is known sees another one that the earlier one has. "
            "Give it more data."
        )
    return tasks


def _ones(columns: np.ndarray, width: int) -> sparse.csr_matrix:
    ones = np.ones(len(columns), np.float32)
    return sparse.csr_matrix((ones, columns, np.arange(len(columns) + 1)), (len(columns), width))
