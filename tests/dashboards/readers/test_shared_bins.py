"""Shares over common bins against shares counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

from dashboards.readers.feature_stats import FeatureStats
from dashboards.readers.shared_bins import OTHER, certain_differences, largest_shift, shared


def _number(*bins: tuple[float, float, float], kind: str = "float", **more: Any) -> FeatureStats:
    given = {"mean": 0.0} | more
    return FeatureStats("x", kind, 100, 100, 0.0, bins=bins, **given)


def _words(**counts: float) -> FeatureStats:
    return FeatureStats("x", "string", 100, 100, 0.0, categorical=True, ranks=tuple(counts.items()))


def test_all_series_have_the_same_bins_from_the_least_to_the_most_of_all() -> None:
    bins = shared({"now": _number((2, 6, 10)), "before": _number((0, 4, 30))})
    assert bins is not None and bins.even
    assert (bins.bounds[0], bins.bounds[-1], len(bins.bounds)) == (0, 6, 17)
    # Sixteen bins of 0.375: [0, 4] holds each with 0.375 / 4 of its rows, the one across 4 with a quarter of a third.
    assert bins.shares["before"][0] == pytest.approx(0.375 / 4)
    assert bins.shares["before"][10] == pytest.approx((4 - 3.75) / 4)
    assert bins.shares["before"][11:] == (0,) * 5 and sum(bins.shares["now"]) == pytest.approx(1)


def test_a_single_point_is_in_one_bin() -> None:
    bins = shared({"now": _number((0, 16, 10), (3.5, 3.5, 10))})
    constant = shared({"now": _number((7, 7, 5)), "before": _number((7, 7, 9))})
    assert bins is not None and bins.shares["now"][3] > 0.5
    assert constant is not None and constant.names == ("7",) and constant.shares["before"] == (1,)


def test_small_whole_numbers_have_a_bin_each_and_labels_exact_shares() -> None:
    label = _number((0, 0.1, 995), (0.1, 0.9, 3), (0.9, 1, 2), kind="int", mean=0.002, minimum=0, maximum=1)
    classes = _number((0, 1, 50), (1, 2, 30), (2, 3, 0), (3, 4, 20), kind="int", minimum=0, maximum=4)
    bins = shared({"now": label})
    assert bins is not None and bins.names == ("0", "1") and bins.shares["now"] == (0.998, 0.002)
    bins = shared({"now": classes, "before": label})
    # The last bucket, from 3 to 4, holds both.
    assert bins is not None and bins.names == ("0", "1", "2", "3", "4")
    assert bins.shares["now"] == (0.5, 0.3, 0, 0.1, 0.1) and bins.shares["before"] == (0.998, 0.002, 0, 0, 0)


def test_quantile_bins_hold_a_tenth_of_the_first_series_each() -> None:
    tenths = tuple((float(i**3), float((i + 1) ** 3), 10.0) for i in range(10))
    now = _number((0, 1000, 100), tenths=tenths)
    now = FeatureStats(**{**vars(now), "bins": tenths})
    bins = shared({"now": now, "before": _number((0, 2000, 8))}, quantiles=True)
    assert bins is not None and not bins.even and bins.bounds == (*(float(i**3) for i in range(11)), 2000.0)
    assert bins.shares["now"] == pytest.approx((0.1,) * 10 + (0,))
    assert bins.shares["before"][-1] == pytest.approx(0.5) and bins.shares["before"][1] == pytest.approx(
        7 / 2000
    )


def test_values_are_ordered_by_share_and_the_rest_is_one_bin() -> None:
    many = _words(**{f"w{i:02}": 100 - i for i in range(15)})
    bins = shared({"now": many, "before": _words(w14=50, w00=50), "gone": None})
    assert bins is not None and len(bins.names) == 13 and bins.names[-1] == OTHER
    assert bins.names[:2] == ("w00", "w14") and bins.shares["before"][:3] == (0.5, 0.5, 0)
    total = sum(100 - i for i in range(15))
    # Eleven more are shown, w01 to w10 and one, so that w11, w12 and w13 are the rest.
    assert bins.shares["now"][-1] == pytest.approx((89 + 88 + 87) / total)


def test_nothing_to_count_has_no_bins() -> None:
    assert shared({"now": None, "before": FeatureStats("x", "float", 5, 0, 1.0, mean=0.0)}) is None


def test_moved_rows_are_counted_where_the_functions_are_furthest_apart() -> None:
    one, other = (_number((low, low + 4, 10), tenths=((low, low + 4, 10),)) for low in (0, 1))
    # [0, 4] against [1, 5]: a quarter lies below 1, and a quarter above 4.
    assert largest_shift(one, other) == pytest.approx(0.25)
    # Nobody knows where in [0, 4] the rows of the one are: all at 2, and all at 2 in the other, would do.
    assert certain_differences(one, other) == (0, 0)
    halves = ((0, 0.5, 5), (0.5, 4, 5))
    assert certain_differences(_number(*halves), other) == (0.5, 0.5)
    assert certain_differences(other, _number(*halves)) == (0.5, 0.5)
