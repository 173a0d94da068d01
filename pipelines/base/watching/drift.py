"""How far a window of requests is from the training rows, and whether that is more than chance makes of such rows.

Distances: Jensen-Shannon divergence of the bins for numbers (Lin 1991, base 2), L-infinity for texts; 0 to 1. What
chance makes: blocks of training rows, as many as the window has, are held against the rest; where the model learnt from
several spans, blocks of one span against the others. A feature has drifted where its distance exceeds FACTOR times the
99th percentile of those; an alarm is the same feature so many windows in a row. It reads no files and knows no clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from pipelines.base.watching.columns import Array, Column, Scale, scale_of

FACTOR, QUANTILE, DRAWS = 1.2, 0.99, 400
# Fewer rows than this are no window.
LEAST = 20


class Drift(NamedTuple):
    """A feature's distance in one window and the bound that it is held against."""

    feature: str
    distance: float
    bound: float

    @property
    def beyond(self) -> bool:
        return self.distance > self.bound


@dataclass
class Reference:
    """What a version learnt from: bins, the bins of rows, and which span each row is of. Not for several threads.

    codes: by feature [rows]. spans: [rows], numbers of groups.
    """

    scales: dict[str, Scale]
    codes: dict[str, Array]
    spans: Array
    _bounds: dict[int, dict[str, float]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return len(self.spans)

    def bounds(self, rows: int) -> dict[str, float]:
        """By feature: what chance stays below with windows of so many rows, times FACTOR. Kept once reckoned."""
        # Two digits are exact enough, and fewer rows stray farther: rounding down raises no alarm.
        digits = max(0, int(math.log10(max(rows, 1))) - 1)
        rounded = rows // 10**digits * 10**digits
        if rounded not in self._bounds:
            self._bounds[rounded] = {name: FACTOR * value for name, value in quiet(self, rounded).items()}
        return self._bounds[rounded]


def reference(columns: Mapping[str, Column], spans: Sequence[int], without: Sequence[str] = ()) -> Reference:
    """Of training rows, `spans` the span of each; features in `without` (the label) are left out.

    Half of the rows, drawn at random, define the bins and the other half is counted in them: the most frequent texts of
    some rows are less frequent in all others, so rows that chose their own bins would look unlike any that come later.
    """
    ours = np.random.default_rng(0).random(len(spans)) < 0.5
    scales, codes = {}, {}
    for name, column in columns.items():
        chosen = scale_of([value for value, mine in zip(column, ours, strict=True) if mine])
        if name not in without and chosen is not None:
            scales[name] = chosen
            codes[name] = chosen.codes([value for value, mine in zip(column, ours, strict=True) if not mine])
    return Reference(scales, codes, np.array(spans, np.int64)[~ours])


def quiet(known: Reference, rows: int, draws: int = DRAWS, seed: int = 0) -> dict[str, float]:
    """By feature: the 99th percentile of distances between blocks of so many rows of its own and the rest."""
    random = np.random.default_rng(seed)
    groups = [np.flatnonzero(known.spans == span) for span in np.unique(known.spans)]
    blocks = []
    for _ in range(draws):
        inside = groups[random.integers(len(groups))] if len(groups) > 1 else np.arange(known.rows)
        # Of one span at most half, or there would be no rest to be far from.
        most = len(inside) if len(groups) > 1 else max(1, known.rows // 2)
        blocks.append((inside, random.choice(inside, min(rows, most), replace=False)))
    found = {}
    for name, codes in known.codes.items():
        size = known.scales[name].size
        total = np.bincount(codes, minlength=size)
        apart = []
        for inside, block in blocks:
            mine = np.bincount(codes[block], minlength=size)
            own = np.bincount(codes[inside], minlength=size) if len(groups) > 1 else mine
            apart.append(distance(known.scales[name], mine, total - own))
        found[name] = float(np.quantile(apart, QUANTILE))
    return found


def distance(scale: Scale, one: Array, other: Array) -> float:
    """Between two histograms over a scale's bins; 0 where one is empty."""
    if not one.sum() or not other.sum():
        return 0.0
    p, q = one / one.sum(), other / other.sum()
    if not scale.numeric:
        return float(np.abs(p - q).max())
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [np.where(x > 0, x * np.log2(x / middle), 0.0) for x in (p, q)]
    return float(np.clip(np.sum(terms) / 2, 0.0, 1.0))


def judge(known: Reference, window: Mapping[str, Column], weights: Sequence[float]) -> list[Drift]:
    """Each feature that both have, the one farthest beyond its bound first. weights: of each row, 1 / sampling rate."""
    heavy = np.array(weights, np.float64)
    # Rows of unequal weight tell as much as so many of equal weight (Kish 1965).
    bounds = known.bounds(int(heavy.sum() ** 2 / (heavy**2).sum()))
    found = []
    for name in sorted(set(known.scales) & set(window)):
        scale = known.scales[name]
        mine = np.bincount(scale.codes(window[name]), heavy, minlength=scale.size)
        theirs = np.bincount(known.codes[name], minlength=scale.size)
        found.append(Drift(name, distance(scale, mine, theirs), bounds[name]))
    return sorted(found, key=lambda one: one.distance - one.bound, reverse=True)


def streaks(before: Mapping[str, int], found: Sequence[Drift]) -> dict[str, int]:
    """By feature: how many windows in a row it has been beyond its bound, this one included."""
    return {one.feature: before.get(one.feature, 0) + 1 for one in found if one.beyond}


def alarming(runs: Mapping[str, int], windows: int) -> list[str]:
    """The features whose streak has just become an alarm."""
    return sorted(name for name, count in runs.items() if count == windows)


def plain(found: Sequence[Drift], most: int = 5) -> list[dict[str, Any]]:
    """The foremost for a record."""
    return [
        {"feature": one.feature, "distance": round(one.distance, 6), "bound": round(one.bound, 6)}
        for one in found[:most]
    ]
