"""Whether two samples of a feature differ by more than chance and the coarseness of their histograms explain.

TFDV spreads each bucket evenly: one far value widens its ten buckets, and Jensen-Shannon then sees a distance that
is not in the data. So a number counts as changed if its distance is beyond chance and something exact agrees: its
mean, single whole numbers, the known points of its distribution function, or rows beyond the other's range. It does
not say how far apart two features are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from dashboards.readers.distances import L_INFINITY, Distance
from dashboards.readers.feature_stats import FeatureStats
from dashboards.readers.shared_bins import are_few_integers, certain_differences, shared, value_shares

# TFDV's quantiles are sketches, right to about this share of rows.
SKETCHED = 0.01


def changed(distance: Distance, one: FeatureStats, other: FeatureStats) -> bool:
    """Both sides have been compared: `distance` is theirs."""
    if not one.present or not other.present:
        return distance.value > 0
    sizes = 1 / one.present + 1 / other.present
    if distance.measure == L_INFINITY:
        return bool(surprises(one, other))
    return _beyond(distance.value, _filled(one, other), sizes) and moved(one, other)


def surprises(one: FeatureStats, other: FeatureStats) -> list[str]:
    """Values whose shares differ by more than chance, the most surprising first.

    L-infinity sees the largest difference only: of a new value with 2 % it may name a frequent one that lost as much.
    """
    if not one.present or not other.present:
        return []
    sizes = 1 / one.present + 1 / other.present
    p, q = value_shares(one), value_shares(other)
    scores = {}
    for value in {*p, *q}:
        mine, theirs = p.get(value, 0.0), q.get(value, 0.0)
        # One of a thousand values: four and a half deviations instead of three.
        if shares_differ(mine, theirs, sizes, 4.5):
            mean = (mine + theirs) / 2
            scores[value] = abs(mine - theirs) / math.sqrt(max(mean * (1 - mean), 1e-12))
    return sorted(scores, key=lambda value: (-scores[value], value))


def moved(one: FeatureStats, other: FeatureStats) -> bool:
    """Whether what TFDV's buckets leave exact agrees that two numbers are distributed differently."""
    sizes = 1 / one.present + 1 / other.present
    bins = shared({"one": one, "other": other}) if are_few_integers((one, other)) else None
    if bins:
        p, q = bins.shares["one"], bins.shares["other"]
        filled = sum(x > 0 or y > 0 for x, y in zip(p, q, strict=True))
        return _beyond(_divergence(p, q), filled, sizes)
    variance = sum((f.deviation or 0.0) ** 2 / f.present for f in (one, other))
    if (
        one.mean is not None
        and other.mean is not None
        and abs(one.mean - other.mean) > 4 * math.sqrt(variance)
    ):
        return True
    # 1.95: what the largest difference of two distribution functions exceeds once in a thousand (Smirnov 1948).
    shift, outside = certain_differences(one, other)
    return shift > 1.95 * math.sqrt(sizes) + SKETCHED or outside > 6 * sizes


def _filled(one: FeatureStats, other: FeatureStats) -> int:
    """Buckets that hold at least a row; between them TFDV interpolates fractions of one."""
    return max(sum(count > 0.5 for _, _, count in feature.bins) for feature in (one, other))


def _beyond(divergence: float, bins: int, sizes: float) -> bool:
    """By three deviations: 8 ln 2 / sizes times the divergence is close to chi-square (Lin 1991, Pearson)."""
    degrees = max(1, bins - 1)
    return divergence > (degrees + 3 * math.sqrt(2 * degrees)) * sizes / (8 * math.log(2))


def _divergence(p: Sequence[float], q: Sequence[float]) -> float:
    pairs = [(x, (x + y) / 2) for a, b in ((p, q), (q, p)) for x, y in zip(a, b, strict=True) if x > 0]
    return sum(x * math.log2(x / middle) for x, middle in pairs) / 2


def shares_differ(one: float, other: float, sizes: float, deviations: float = 3) -> bool:
    """Two shares of samples, by more than so many deviations of a binomial; `sizes` is 1/n + 1/m."""
    mean = (one + other) / 2
    return abs(one - other) > deviations * math.sqrt(mean * (1 - mean) * sizes)
