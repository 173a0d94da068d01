"""Events as arrays, and what is counted from them: who saw what, and what is popular now. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pipelines.recommendations.features import MS_PER_DAY

# Events that a mean strength of an item or a visitor is worth before it counts half.
SHRINK_ITEM, SHRINK_VISITOR = 200, 20


@dataclass(frozen=True)
class Log:
    """Events as arrays [n]: visitor and item numbers, strength 1 to 3, time in milliseconds."""

    visitor: np.ndarray
    item: np.ndarray
    strength: np.ndarray
    time: np.ndarray

    def where(self, rows: np.ndarray) -> Log:
        """The events that `rows` (a mask or indices) picks."""
        return Log(self.visitor[rows], self.item[rows], self.strength[rows], self.time[rows])

    def before(self, share: float) -> np.ndarray:
        """Mask [n] of the events in the first `share` of the period."""
        first, last = self.time.min(), self.time.max()
        return self.time < first + share * (last - first)


@dataclass(frozen=True)
class Pairs:
    """Each visitor's distinct items, visitor by visitor, the latest seen first: arrays [pairs].

    `strength` is the strongest of the pair's events, `first` and `last` their times; visitor v's pairs are
    `start[v]` to `start[v + 1]`.
    """

    visitor: np.ndarray
    item: np.ndarray
    strength: np.ndarray
    first: np.ndarray
    last: np.ndarray
    start: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """Distinct items per visitor [visitors]."""
        return np.diff(self.start)


def pairs(log: Log, visitors: int) -> Pairs:
    """Distinct (visitor, item) of a log whose visitors are numbered below `visitors`."""
    order = np.lexsort((log.time, log.item, log.visitor))
    visitor, item = log.visitor[order], log.item[order]
    begins = np.flatnonzero(np.r_[True, (np.diff(visitor) != 0) | (np.diff(item) != 0)][: len(order)])
    ends = np.r_[begins[1:], len(order)] - 1
    strength = np.maximum.reduceat(log.strength[order], begins) if len(order) else log.strength
    visitor, item, first, last = visitor[begins], item[begins], log.time[order][begins], log.time[order][ends]
    latest = np.lexsort((item, -last, visitor))
    start = np.r_[0, np.cumsum(np.bincount(visitor, minlength=visitors))]
    return Pairs(visitor[latest], item[latest], strength[latest], first[latest], last[latest], start)


def seen_matrix(seen: Pairs, items: int) -> sparse.csr_matrix:
    """Sparse [visitors, items] of ones where a visitor saw an item."""
    ones = np.ones(len(seen.item), np.float32)
    return sparse.csr_matrix((ones, seen.item, seen.start), (len(seen.start) - 1, items))


def fresh_items(known: Pairs, later: Pairs, items: int) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Sparse [visitors, items] of what visitors see later and had not seen before, and the number of each's."""
    before, after = seen_matrix(known, items), seen_matrix(later, items)
    fresh = sparse.csr_matrix(after - after.multiply(before))
    fresh.eliminate_zeros()
    return fresh, np.diff(fresh.indptr)


def popularity(seen: Pairs, items: int, half_life: float) -> np.ndarray:
    """How many visitors saw each item [items], a visitor `half_life` days before the last event counting half."""
    age = (seen.last.max() - seen.last) / MS_PER_DAY
    return np.bincount(seen.item, weights=0.5 ** (age / half_life), minlength=items)


def trend(seen: Pairs, items: int, half_life: float) -> np.ndarray:
    """How much more popular each item [items] is now than over the whole period, 1 for one that keeps its share."""
    now, ever = popularity(seen, items, half_life), np.bincount(seen.item, minlength=items)
    return (now + 0.5) / (ever + 0.5) * (ever.sum() / now.sum())


def strength_biases(log: Log, visitors: int, items: int) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean strength, and what each visitor [visitors] and item [items] adds, shrunk to 0 (Koren, 2008, section 2.1)."""
    mean = float(log.strength.mean())
    rest = log.strength - mean
    item = np.bincount(log.item, rest, items) / (np.bincount(log.item, minlength=items) + SHRINK_ITEM)
    rest = rest - item[log.item]
    visitor = np.bincount(log.visitor, rest, visitors) / (
        np.bincount(log.visitor, minlength=visitors) + SHRINK_VISITOR
    )
    return mean, visitor, item


def latest(seen: Pairs, visitors: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Items int64 [n, m] that visitors [n] saw, latest first, -1 behind the last, `most` at most; and strengths."""
    count = np.minimum(seen.counts[visitors], most)
    place = np.arange(max(int(count.max(initial=0)), 1))
    there = place < count[:, None]
    at = np.where(there, seen.start[visitors][:, None] + place, 0)
    return np.where(there, seen.item[at], -1), np.where(there, seen.strength[at], 0).astype(np.float32)
