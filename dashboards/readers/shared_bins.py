"""One feature in several splits over the same bins, so that shares can be drawn and read beside each other.

Both of TFDV's histograms are points of one distribution function, straight between them; the standard one alone
would spread a long tail evenly. Values and small whole numbers have a bin each. For pictures and tables only: what
is called a distance follows TFDV's own bins (`distances`).
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dashboards.readers.feature_stats import FeatureStats

# Ten whole numbers are as many as TFDV's ten buckets keep apart.
BINS, MOST_INTEGERS, MOST_VALUES = 16, 10, 12
OTHER = "all others"


@dataclass(frozen=True)
class SharedBins:
    """`shares[series][bin]`, from 0 to 1. Bins have `names`, or are ranges of numbers between `bounds`, which are one
    more; `even` says that these are equally wide.
    """

    shares: dict[str, tuple[float, ...]]
    names: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    even: bool = False


def shared(series: Mapping[str, FeatureStats | None], quantiles: bool = False) -> SharedBins | None:
    """Bins over all that `series` hold, the first series leading; None where there is nothing to count.

    With `quantiles` each bin holds about a tenth of the first series' rows.
    """
    there = {name: feature for name, feature in series.items() if feature is not None}
    numbers = {name: f for name, f in there.items() if f.numeric and (f.bins or f.tenths)}
    if numbers:
        return _numbers(numbers, quantiles)
    return _values({name: feature for name, feature in there.items() if feature.ranks or feature.top})


def _numbers(series: Mapping[str, FeatureStats], quantiles: bool) -> SharedBins:
    ends = [b for f in series.values() for b in (*f.bins, *f.tenths)]
    low, high = min(b[0] for b in ends), max(b[1] for b in ends)
    if low == high:
        return SharedBins(dict.fromkeys(series, (1.0,)), (f"{low:.12g}",))
    if are_few_integers(tuple(series.values())):
        integers = range(math.floor(low), math.ceil(high) + 1)
        return SharedBins(
            {n: _of_integers(f, integers) for n, f in series.items()}, tuple(map(str, integers))
        )
    inner = next(iter(series.values())).quantiles if quantiles else ()
    bounds = sorted({low, *inner, high})
    if not quantiles or len(bounds) == 2:
        bounds = [low + (high - low) * i / BINS for i in range(BINS)] + [high]
    shares = {name: _between(feature, bounds) for name, feature in series.items()}
    return SharedBins(shares, bounds=tuple(bounds), even=not quantiles)


def are_few_integers(features: Sequence[FeatureStats]) -> bool:
    """Whether all are whole numbers of so small a range that each has a bucket of its own."""
    if not all(feature.type == "int" for feature in features):
        return False
    ends = [bound for feature in features for low, high, _ in feature.bins for bound in (low, high)]
    return bool(ends) and max(ends) - min(ends) < MOST_INTEGERS


def _of_integers(feature: FeatureStats, integers: range) -> tuple[float, ...]:
    """The share of each; a bucket's count goes to the whole numbers in it, or to the nearest one."""
    if (
        feature.minimum is not None
        and feature.minimum >= 0
        and feature.maximum == 1
        and feature.mean is not None
    ):
        # Zeros and ones: their mean is exact, TFDV's buckets are interpolated.
        return tuple({0: 1 - feature.mean, 1: feature.mean}.get(k, 0.0) for k in integers)
    counts = dict.fromkeys(integers, 0.0)
    for at, (low, high, count) in enumerate(feature.bins):
        last = at == len(feature.bins) - 1 or low == high
        inside = [k for k in integers if low <= k and (k <= high if last else k < high)]
        for k in inside or [round((low + high) / 2)]:
            counts[k] += count / max(1, len(inside))
    total = sum(counts.values()) or 1.0
    return tuple(count / total for count in counts.values())


def _between(feature: FeatureStats, bounds: Sequence[float]) -> tuple[float, ...]:
    places, heights = _cumulative(feature)
    below = [0.0, *(_at(bound, places, heights) for bound in bounds[1:])]
    return tuple(b - a for a, b in itertools.pairwise(below))


def largest_shift(one: FeatureStats, other: FeatureStats) -> float:
    """The largest share of rows by which two distribution functions differ, looked at where TFDV's deciles are."""
    functions = [_cumulative(one), _cumulative(other)]
    edges = {*one.quantiles, *other.quantiles}
    return max((abs(_at(x, *functions[0]) - _at(x, *functions[1])) for x in edges), default=0.0)


def certain_differences(one: FeatureStats, other: FeatureStats) -> tuple[float, float]:
    """What holds wherever the rows lie between the known points of both distribution functions.

    (what `largest_shift` is at least, the larger share of rows of one beyond the least or the most of the other)
    """
    functions = [_cumulative(one), _cumulative(other)]
    shift, outside = 0.0, 0.0
    for (places, heights), theirs in (functions, functions[::-1]):
        if not (places and theirs[0]):
            continue
        # The gap between what one certainly has reached and the other cannot have exceeded is widest at a point.
        shift = max(shift, *(y - _bracket(x, *theirs)[1] for x, y in zip(places, heights, strict=True)))
        # Below the least, not at it: the function jumps where many rows share a value.
        below = _bracket(math.nextafter(theirs[0][0], -math.inf), places, heights)[0]
        outside = max(outside, below + 1 - _bracket(theirs[0][-1], places, heights)[1])
    return shift, outside


def _bracket(x: float, places: Sequence[float], heights: Sequence[float]) -> tuple[float, float]:
    """The distribution function at `x` is not less than the one and not more than the other."""
    after = bisect.bisect_right(places, x)
    return heights[after - 1] if after else 0.0, heights[after] if after < len(places) else 1.0


def _cumulative(feature: FeatureStats) -> tuple[list[float], list[float]]:
    points: list[tuple[float, float]] = []
    for histogram in (feature.tenths, feature.bins):
        total, reached = sum([count for _, _, count in histogram]), 0.0
        for low, high, count in histogram if total else ():
            points.append((low, reached / total))
            reached += count
            points.append((high, reached / total))
    points.sort()
    return [x for x, _ in points], list(itertools.accumulate([y for _, y in points], max))


def _at(x: float, places: Sequence[float], heights: Sequence[float]) -> float:
    """The distribution function at `x`; it jumps where several points share a place."""
    after = bisect.bisect_right(places, x)
    if after == 0:
        return 0.0
    if after == len(places) or places[after - 1] == x:
        return heights[after - 1]
    part = (x - places[after - 1]) / (places[after] - places[after - 1])
    return heights[after - 1] + part * (heights[after] - heights[after - 1])


def _values(series: Mapping[str, FeatureStats]) -> SharedBins | None:
    shares = {name: value_shares(feature) for name, feature in series.items()}
    largest: dict[str, float] = {}
    for of_series in shares.values():
        for value, share in of_series.items():
            largest[value] = max(share, largest.get(value, 0.0))
    shown = sorted(largest, key=lambda value: -largest[value])[:MOST_VALUES]
    if not shown:
        return None
    rest = {name: max(0.0, 1 - sum(s.get(value, 0.0) for value in shown)) for name, s in shares.items()}
    more = [OTHER] if any(share > 1e-9 for share in rest.values()) else []
    rows = {
        name: (*(s.get(value, 0.0) for value in shown), *([rest[name]] if more else ()))
        for name, s in shares.items()
    }
    return SharedBins(rows, (*shown, *more))


def value_shares(feature: FeatureStats) -> dict[str, float]:
    """The share of each value among those that TFDV kept."""
    kept = feature.ranks or feature.top
    total = sum(count for _, count in kept)
    return {value: count / total for value, count in kept} if total else {}
