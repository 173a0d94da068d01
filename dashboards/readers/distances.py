"""How far apart two distributions of a feature are, by the definitions of TFDV's skew and drift comparators.

Numbers: Jensen-Shannon divergence (Lin 1991, base 2: 0 the same, 1 nothing in common) of both standard histograms
over all bounds of both, each bucket spread evenly. Values: the L-infinity norm, the largest difference of one
value's share among the values in the rank histograms. Missing values are in neither. Whether
a distance is more than chance is `chance`'s. All pairs of a split are computed together, because tables have
thousands of columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboards.readers.feature_stats import Bins, FeatureStats

JENSEN_SHANNON, L_INFINITY = "Jensen-Shannon", "L∞"
# Cells of one block of the computation: large enough to be quick, small enough to stay in memory.
BLOCK = 2_000_000
Pair = tuple[FeatureStats, FeatureStats]
Array = Any


@dataclass(frozen=True)
class Distance:
    """`value` is from 0 to 1; `at` names the value whose share differs most (L-infinity only)."""

    measure: str
    value: float
    at: str = ""


def distance(one: FeatureStats | None, other: FeatureStats | None) -> Distance | None:
    """None where the two cannot be compared: one is not there, has no numbers, or only one is a number."""
    return distances([(one, other)])[0]


def distances(pairs: Sequence[tuple[FeatureStats | None, FeatureStats | None]]) -> list[Distance | None]:
    """The distance of each pair."""
    results: list[Distance | None] = [None] * len(pairs)
    numeric: list[tuple[int, Pair]] = []
    for at, (one, other) in enumerate(pairs):
        if one is None or other is None:
            continue
        if one.numeric and other.numeric:
            numeric.append((at, (one, other)))
        elif one.categorical and other.categorical:
            results[at] = l_infinity(one.ranks, other.ranks)
    values = jensen_shannon([pair for _, pair in numeric])
    for (at, _), value in zip(numeric, values, strict=True):
        results[at] = None if math.isnan(value) else Distance(JENSEN_SHANNON, value)
    return results


def jensen_shannon(pairs: Sequence[Pair]) -> list[float]:
    """Of numeric features; NaN where one of a pair has nothing to compare."""
    widths = [max(1, len(one.bins), len(other.bins)) for one, other in pairs]
    # Pairs of like widths go together, so that one feature with many buckets does not widen all others.
    order = sorted(range(len(pairs)), key=widths.__getitem__)
    results = [0.0] * len(pairs)
    start = 0
    while start < len(order):
        width = widths[order[start]]
        size = max(1, BLOCK // (4 * width * width))
        block = [at for at in order[start : start + size] if widths[at] == width]
        for at, value in zip(block, _block([pairs[at] for at in block]).tolist(), strict=True):
            results[at] = value
        start += len(block)
    return results


def _block(pairs: Sequence[Pair]) -> Array:
    one, other = (_buckets([pair[side] for pair in pairs]) for side in (0, 1))
    bounds = np.sort(np.concatenate([one[..., 0], one[..., 1], other[..., 0], other[..., 1]], axis=1), axis=1)
    apart = [_apart(*pair) for pair in pairs]
    width = max(len(p) for p, _ in apart)
    shares = []
    # Nothing divided by nothing is NaN, as promised.
    with np.errstate(all="ignore"):
        for side, buckets in enumerate((one, other)):
            alone = np.array([row[side] + [0.0] * (width - len(row[side])) for row in apart])
            counts = np.concatenate([_rebinned(buckets, bounds), alone.reshape(-1, width)], axis=1)
            shares.append(counts / counts.sum(axis=1, keepdims=True))
        middle = (shares[0] + shares[1]) / 2
        terms = [np.where(share == 0, 0.0, share * np.log2(share / middle)) for share in shares]
    values = np.clip(((terms[0] + terms[1]) / 2).sum(axis=1), 0.0, 1.0)
    # Below this it is rounding, not distance.
    return np.where(values < 1e-12, 0.0, values)


def _buckets(features: Sequence[FeatureStats]) -> Array:
    """[feature, bucket, (low, high, count)] of buckets that have a width, filled up with empty ones."""
    rows = [[b for b in feature.bins if b[0] < b[1]] for feature in features]
    width = max(1, *(len(row) for row in rows))
    # An empty bucket where the last one ends adds no bound that is not there.
    return np.array([row + [(row[-1][1] if row else 0.0,) * 2 + (0.0,)] * (width - len(row)) for row in rows])


def _rebinned(buckets: Array, bounds: Array) -> Array:
    """[feature, interval]: counts between the sorted `bounds`, each bucket spread evenly over its width."""
    low, high, count = (buckets[:, None, :, i] for i in range(3))
    width = np.where(high > low, high - low, 1.0)
    below = (np.clip((bounds[:, :, None] - low) / width, 0.0, 1.0) * count).sum(axis=2)
    return np.maximum(np.diff(below, axis=1), 0.0)


def _apart(one: FeatureStats, other: FeatureStats) -> tuple[list[float], list[float]]:
    """Counts that no bucket with a width holds, aligned: single points, infinite values, and NaN.

    TFDV matches points with equal points only, infinite values and NaN with nothing; and it drops NaN where it had
    to rebin, as it does here for the sake of equal numbers.
    """
    points = [_points(one.bins), _points(other.bins)]
    places = sorted({*points[0], *points[1]})
    counts = ([points[0].get(x, 0.0) for x in places], [points[1].get(x, 0.0) for x in places])
    lonely = [(one.infinite, other.infinite)]
    if (one.nan or other.nan) and _bounds(one.bins) == _bounds(other.bins):
        lonely.append((one.nan, other.nan))
    for mine, theirs in lonely:
        counts[0].extend((mine, 0.0))
        counts[1].extend((0.0, theirs))
    return counts


def _points(bins: Bins) -> dict[float, float]:
    points: dict[float, float] = {}
    for low, high, count in bins:
        if low == high:
            points[low] = points.get(low, 0.0) + count
    return points


def _bounds(bins: Bins) -> set[float]:
    return {bound for low, high, _ in bins if low < high for bound in (low, high)}


def l_infinity(one: Sequence[tuple[str, float]], other: Sequence[tuple[str, float]]) -> Distance:
    """The largest difference between the shares of one value; a feature without values has shares of 0."""
    a, b = _shares(one), _shares(other)
    value, at = max(((abs(a.get(key, 0.0) - b.get(key, 0.0)), key) for key in {*a, *b}), default=(0.0, ""))
    return Distance(L_INFINITY, value, at)


def _shares(ranks: Sequence[tuple[str, float]]) -> dict[str, float]:
    total = sum(count for _, count in ranks)
    return {label: count / total for label, count in ranks} if total else {}
