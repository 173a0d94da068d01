"""Intervals of 95 % from resampled values, and what to do where resampling cannot tell.

Percentiles of the bootstrap are too close together where few rows are drawn; they are expanded as Student's t is.
A share of rows that is (nearly) all or none has resamples that hardly differ; it gets Wilson's score interval of its
counts. Where no resample differs at all, the rule of three bounds what so many rows can rule out (Hanley and
Lippman-Hand 1983): no interval claims certainty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
# The 97.5 % quantile of the normal distribution.
Z = 1.959963984540054
# Fewer rows on one side of a share than this: Wilson's interval.
FEW_ROWS = 5
# A metric that is undefined in more resamples than this share has no interval.
MOST_UNDEFINED = 0.5
BOOTSTRAP, WILSON, RULE_OF_THREE = "bootstrap", "Wilson", "rule of three"


@dataclass(frozen=True)
class Interval:
    """`low` to `high`, and how it was found; `samples` [b] are the resampled values, centred on the measured one.

    `rows` is what a share is a share of, or what bounds the certainty; `scale` how far the metric reaches.
    """

    value: float
    low: float
    high: float
    method: str
    samples: np.ndarray
    rows: float
    scale: float = 1.0


@dataclass(frozen=True)
class Kind:
    """What is known of a metric in one slice. `rows` is what a share is a share of, or what bounds its certainty.

    `hits` of `rows` where the metric is a share of rows; `unit` whether it lies between 0 and 1.
    """

    rows: float
    hits: float | None = None
    unit: bool = False


def wilson(hits: float, rows: float) -> tuple[float, float]:
    """The interval of a share `hits` of `rows` (Wilson 1927, without continuity correction)."""
    share = hits / rows
    middle = share + Z * Z / (2 * rows)
    reach = Z * math.sqrt(share * (1 - share) / rows + Z * Z / (4 * rows * rows))
    whole = 1 + Z * Z / rows
    # At both ends the formula is exactly 0 or 1, its reckoning is not.
    low = 0.0 if hits == 0 else max(0.0, (middle - reach) / whole)
    return low, 1.0 if hits == rows else min(1.0, (middle + reach) / whole)


def of_samples(value: float, measured: float, samples: np.ndarray, kind: Kind) -> Interval | None:
    """The percentile interval of `samples` [b], moved by what `measured`, found as coarsely as they, is off `value`.

    None where the value is undefined, or is so in most resamples.
    """
    if not math.isfinite(value):
        return None
    moved = samples[np.isfinite(samples)].astype(np.float64)
    if len(moved) < (1 - MOST_UNDEFINED) * max(1, len(samples)):
        return None
    moved = moved + (value - measured if math.isfinite(measured) else 0.0)
    if kind.unit:
        moved = np.clip(moved, 0.0, 1.0)
    if kind.hits is not None and min(kind.hits, kind.rows - kind.hits) < FEW_ROWS and kind.rows >= 1:
        return Interval(value, *wilson(kind.hits, kind.rows), WILSON, moved, kind.rows)
    if np.ptp(moved) <= 1e-9 * max(1.0, abs(value)):
        return _of_three(value, kind, moved)
    moved = value + (moved - value) * expansion(kind.rows)
    if kind.unit:
        moved = np.clip(moved, 0.0, 1.0)
    low, high = np.quantile(moved, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, min(float(low), value), max(float(high), value), BOOTSTRAP, moved, kind.rows)


def _of_three(value: float, kind: Kind, samples: np.ndarray) -> Interval:
    scale = 1.0 if kind.unit or abs(value) <= 1 else abs(value)
    reach = (1 - (1 - LEVEL) ** (1 / max(1.0, kind.rows))) * scale
    low, high = value - reach, value + reach
    if kind.unit:
        low, high = max(0.0, low), min(1.0, high)
    return Interval(value, low, high, RULE_OF_THREE, samples, kind.rows, scale)


def expansion(rows: float) -> float:
    """How much too narrow the bootstrap of so few rows is: t_{n-1} sqrt(n / (n - 1)) / z (Hesterberg 2015).

    Student's quantile from the normal one by Fisher and Cornish's expansion (1960), 3 % low at two degrees of freedom.
    """
    free = max(1.0, rows - 1)
    t = (
        Z
        + (Z**3 + Z) / (4 * free)
        + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * free**2)
        + (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / (384 * free**3)
    )
    return t / Z * math.sqrt((free + 1) / free)


def chance(interval: Interval, bound: float) -> float:
    """The two-sided p-value of the measured value lying on this side of `bound`: the level at which it no longer does.

    From the resamples' share beyond the bound; where none is beyond, from the normal distribution with their spread,
    at most what their number can tell. Wilson's interval and the rule of three have tests of their own.
    """
    gap, samples = abs(interval.value - bound), interval.samples
    if interval.method == RULE_OF_THREE:
        return max(0.0, 1 - gap / interval.scale) ** max(1.0, interval.rows)
    if interval.method == WILSON:
        spread = math.sqrt(max(0.0, bound * (1 - bound)) / interval.rows)
        return math.erfc(gap / (spread * math.sqrt(2))) if spread > 0 else float(gap == 0)
    beyond = float((samples <= bound).mean() if interval.value > bound else (samples >= bound).mean())
    if beyond > 0:
        return min(1.0, 2 * beyond)
    spread = float(samples.std())
    tail = math.erfc(gap / (spread * math.sqrt(2))) if spread > 0 else 0.0
    return min(2 / len(samples), tail)


def holm(chances: list[float]) -> list[float]:
    """p-values corrected for their number, in the given order (Holm 1979)."""
    order = np.argsort(chances, kind="stable")
    corrected, largest = [1.0] * len(chances), 0.0
    for place, number in enumerate(order):
        largest = max(largest, min(1.0, (len(chances) - place) * chances[number]))
        corrected[number] = largest
    return corrected
