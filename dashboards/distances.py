"""How far apart two distributions of a feature are, from TFDV's histograms alone.

Numbers: Jensen-Shannon divergence (Lin 1991, base 2, 0 the same, 1 no overlap) over the union of both features'
inner quantile edges. Both of TFDV's histograms are points of one distribution function, straight between them: a bucket
of the standard histogram alone would spread a long tail evenly and see differences that are not there. Values:
the L-infinity norm, the largest difference of one value's share. Says nothing of significance.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence

from dashboards.feature_stats import FeatureStats


def distance(one: FeatureStats | None, other: FeatureStats | None) -> tuple[str, float] | None:
    """('Jensen-Shannon' | 'L∞', value from 0 to 1), None where the two cannot be compared."""
    if one is None or other is None:
        return None
    if one.quantiles and other.quantiles:
        return "Jensen-Shannon", jensen_shannon(one, other)
    if one.ranks and other.ranks:
        return "L∞", l_infinity(one.ranks, other.ranks)
    return None


def jensen_shannon(one: FeatureStats, other: FeatureStats) -> float:
    """Of two numeric features with quantiles. Missing values are not counted."""
    if one.quantiles[0] > other.quantiles[-1] or other.quantiles[0] > one.quantiles[-1]:
        return 1.0
    # Not at minimum and maximum: one extreme row more would look like a tenth of the data.
    edges = sorted({*one.quantiles[1:-1], *other.quantiles[1:-1]})
    result = 0.0
    for x, y in zip(_shares(one, edges), _shares(other, edges), strict=True):
        middle = (x + y) / 2
        result += sum(0.5 * z * math.log2(z / middle) for z in (x, y) if z > 0)
    # Below this it is rounding, not distance.
    return min(1.0, result) if result > 1e-9 else 0.0


def _shares(feature: FeatureStats, edges: Sequence[float]) -> list[float]:
    """The share at or below the first edge, between each two, and above the last."""
    steps = len(feature.quantiles) - 1
    points = [(edge, i / steps) for i, edge in enumerate(feature.quantiles)]
    total = sum(count for _, _, count in feature.bins)
    reached = 0.0
    for _, high, count in feature.bins if total else ():
        reached += count / total
        points.append((high, reached))
    points.sort()
    places = [x for x, _ in points]
    heights = list(itertools.accumulate((y for _, y in points), max))
    below = [_at(edge, places, heights) for edge in edges]
    return [below[0], *(b - a for a, b in itertools.pairwise(below)), max(0.0, 1 - below[-1])]


def _at(x: float, places: Sequence[float], heights: Sequence[float]) -> float:
    """The distribution function at `x`; it jumps where several points share a place."""
    after = bisect.bisect_right(places, x)
    if after == 0:
        return 0.0
    if after == len(places) or places[after - 1] == x:
        return heights[after - 1]
    part = (x - places[after - 1]) / (places[after] - places[after - 1])
    return heights[after - 1] + part * (heights[after] - heights[after - 1])


def l_infinity(one: Sequence[tuple[str, float]], other: Sequence[tuple[str, float]]) -> float:
    """The largest difference between the shares of one value."""
    a, b = dict(one), dict(other)
    total_a, total_b = sum(a.values()), sum(b.values())
    if not total_a or not total_b:
        return 0.0
    return max(abs(a.get(key, 0.0) / total_a - b.get(key, 0.0) / total_b) for key in {*a, *b})
