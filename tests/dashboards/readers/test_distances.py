"""Distances of distributions against values worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dashboards.readers.distances import (
    L_INFINITY,
    Distance,
    distance,
    distances,
)
from dashboards.readers.feature_stats import FeatureStats


def _number(*bins: tuple[float, float, float], **more: Any) -> FeatureStats:
    count = int(sum(b[2] for b in bins))
    return FeatureStats("x", "float", count, count, 0.0, mean=0.0, bins=bins, **more)


def _word(**counts: float) -> FeatureStats:
    rows = int(sum(counts.values()))
    return FeatureStats("x", "string", rows, rows, 0.0, categorical=True, ranks=tuple(counts.items()))


def _entropy(*shares: float) -> float:
    return -sum(p * math.log2(p) for p in shares if p)


def _value(one: FeatureStats, other: FeatureStats) -> float:
    found = distance(one, other)
    assert found is not None
    return found.value


def test_equal_distributions_are_at_distance_zero_and_separate_ones_at_one() -> None:
    one, far = _number((0, 1, 100)), _number((5, 6, 7))
    assert _value(one, one) == 0 and _value(one, far) == pytest.approx(1)


def test_half_overlapping_uniforms_are_at_one_half() -> None:
    # p = 1 on [0, 1], q = 1 on [0.5, 1.5]: on each half without the other 1/2 * 1/2 * log2(2), the rest cancels.
    assert _value(_number((0, 1, 100)), _number((0.5, 1.5, 30))) == pytest.approx(0.5)


def test_rare_labels_are_no_longer_the_same_as_frequent_ones() -> None:
    # H(0.046) - (H(0.002) + H(0.09)) / 2 = 0.269 - 0.229, in buckets as TFDV makes of labels 0 and 1.
    rare = _number((0, 0.1, 998), (0.1, 0.9, 0), (0.9, 1, 2))
    more = _number((0, 0.1, 910), (0.1, 0.9, 0), (0.9, 1, 90))
    by_hand = _entropy(0.046, 0.954) - (_entropy(0.002, 0.998) + _entropy(0.09, 0.91)) / 2
    assert _value(rare, more) == pytest.approx(by_hand) and by_hand == pytest.approx(0.0405, abs=1e-4)


def test_two_percent_of_a_new_class_shows() -> None:
    # A class id as a number: classes 0 and 1, then 2 % of class 2. Buckets differ, so each is spread evenly.
    before = _number((0, 0.5, 50), (0.5, 1, 50))
    now = _number((0, 0.5, 49), (0.5, 1, 49), (1, 2, 2))
    # H of the mean (0.495, 0.495, 0.01) less the mean of H(0.5, 0.5) and H(0.49, 0.49, 0.02).
    by_hand = _entropy(0.495, 0.495, 0.01) - (1 + _entropy(0.49, 0.49, 0.02)) / 2
    assert _value(before, now) == pytest.approx(by_hand) and by_hand > 0.009
    # The same classes as categories.
    found = distance(_word(a=49, b=49, c=2), _word(a=50, b=50))
    assert found is not None and (found.value, found.at) == (pytest.approx(0.02), "c")


def test_l_infinity_is_the_largest_difference_of_shares_and_names_its_value() -> None:
    assert distance(_word(a=50, b=50), _word(a=20, c=80)) == Distance(L_INFINITY, 0.8, "c")
    assert distance(_word(a=3), _word()) == Distance(L_INFINITY, 1.0, "a")
    assert distance(_word(), _word()) == Distance(L_INFINITY, 0.0, "")


def test_single_points_match_equal_points_only() -> None:
    constant, other = _number((3, 3, 10)), _number((4, 4, 10))
    assert _value(constant, constant) == 0 and _value(constant, other) == 1
    # Half of a feature at 3, half spread: half of the constant's mass meets it. Hand: H(.75, .25) - H(.5, .5) / 2.
    half = _number((3, 3, 5), (0, 1, 5))
    assert _value(constant, half) == pytest.approx(_entropy(0.75, 0.25) - 0.5)


def test_infinite_values_meet_nothing() -> None:
    # A fifth of each side is infinite: it counts as a difference, the rest is the same.
    assert _value(_number((0, 1, 80), infinite=20), _number((0, 1, 80), infinite=20)) == pytest.approx(0.2)


def test_what_cannot_be_compared_has_no_distance() -> None:
    one = _number((0, 1, 5))
    assert distance(one, None) is None and distance(one, _word(a=1)) is None
    assert distance(one, _number()) is None, "no values"
    # TFDV drops NaN where it rebins, and then has nothing left of a feature that is all NaN.
    assert distance(one, _number(nan=5)) is None and distance(_number(nan=3), _number(nan=5)) is not None


def test_many_pairs_at_once_are_as_far_apart_as_each_alone() -> None:
    features = [
        _number((0, 1, 10), (1, 3, 5)), _number((2, 2, 4)), _word(a=3, b=1), _number((-5, 5, 100)),
        _number(*((i, i + 1, i) for i in range(40))), _number((0, 1, 3), (1, 1, 3), nan=4), _word(b=2),
    ]  # fmt: skip
    pairs: list[Any] = [(a, b) for a in features for b in [*features, None]]
    for together, pair in zip(distances(pairs), pairs, strict=True):
        alone = distance(*pair)
        assert (together is None) == (alone is None)
        assert together is None or alone is None or together.value == pytest.approx(alone.value, abs=1e-12)
