"""Which way a metric is better: declared by bars or known of its class, never read out of its name."""

from __future__ import annotations

import math

import pytest

from pipelines.base import directions
from pipelines.base.directions import Direction, Measured, of_metric, verdict
from pipelines.base.project import Bar

BAND = (Bar("coverage", at_least=0.88), Bar("coverage", at_most=0.99))


def test_a_bar_on_the_metric_decides_whatever_its_name() -> None:
    assert of_metric("nll", [Bar("nll", at_least=1.0)]) == Direction("up")
    assert of_metric("recall", [Bar("recall", at_most=1.0)]) == Direction("down")
    assert of_metric("nll_gain", BAND) is None, "bars on other metrics say nothing of this one"


@pytest.mark.parametrize("bars", [BAND, BAND[::-1]])
def test_two_bars_on_one_metric_are_a_band_in_either_order(bars: tuple[Bar, ...]) -> None:
    assert of_metric("coverage", bars) == Direction("band", 0.88, 0.99)


@pytest.mark.parametrize(
    ("name", "metric_class", "kind"),
    [
        ("auc", "", "up"), ("mean_io_u", "", "up"), ("sparse_top_k_categorical_accuracy", "", "up"),
        ("fall_out", "", "down"), ("loss", "", "down"), ("binary_crossentropy", "", "down"), ("logcosh", "", "down"),
        ("recall, class_id 3", "", "up"), ("auc_pr", "AUC", "up"), ("accuracy", "MeanSquaredError", "down"),
        ("nll_gain_on_last_value", "", None), ("unsure_error_ratio", "", None), ("recall_diff", "", None),
        ("example_count", "", None), ("mean_prediction", "", None), ("calibration", "", None),
        ("accuracy", "OurOwnMetric", None), ("precision_of_the_scales", "", None),
    ],
)  # fmt: skip
def test_without_a_bar_the_class_decides_and_words_in_a_name_do_not(
    name: str, metric_class: str, kind: str | None
) -> None:
    known = of_metric(name, (), metric_class)
    assert (known.kind if known else None) == kind


def test_in_a_band_what_lies_furthest_outside_is_worst() -> None:
    band = Direction("band", 0.88, 0.99)
    # 0.80 is 0.08 below, 1.0 is 0.01 above, 0.976 is 0.014 from the upper edge, 0.93 is 0.05 from the lower.
    assert sorted([0.976, 0.8, 0.93, 1.0], key=band.badness) == [0.93, 0.976, 1.0, 0.8]


@pytest.mark.parametrize(
    ("direction", "old", "new", "expected"),
    [
        (Direction("up"), 0.7, 0.8, "better"),
        (Direction("up"), 0.8, 0.7, "worse"),
        (Direction("down"), 0.8, 0.7, "better"),
        (None, 0.039, -0.597, "no direction known"),
        (Direction("up"), 0.1 + 0.2, 0.3, "the same"),
        (Direction("band", 0.88, 0.99), 0.885, 0.864, "worse"),
        (Direction("band", 0.88, 0.99), 0.80, 0.9, "better"),
        (Direction("band", 0.88, 0.99), 0.995, 0.9, "better"),
        (Direction("band", 0.88, 0.99), 0.9, 0.97, "inside the band"),
        (Direction("up"), 0.8, math.nan, "not a number"),
        (Direction("down"), 0.8, math.inf, "worse"),
        (Direction("down"), math.inf, 0.8, "better"),
        (Direction("up"), math.inf, math.inf, "the same"),
    ],
)
def test_a_change_is_better_or_worse_only_where_that_is_known(
    direction: Direction | None, old: float, new: float, expected: str
) -> None:
    assert verdict(direction, Measured(old), Measured(new)) == expected


def test_an_interval_without_numbers_shows_no_difference() -> None:
    assert verdict(Direction("up"), Measured(0.7, math.nan, math.nan), Measured(0.8)) == "no difference shown"


def test_the_interval_of_a_change_is_newcombes() -> None:
    # Newcombe 1998, "Interval estimation for the difference between independent proportions", table II, (a) method 10:
    # 56/70 - 48/80 = 0.2 has the interval 0.0524 to 0.3339. Wilson's intervals of 56/70 and 48/80 by hand.
    new, old = Measured(0.8, 0.6918, 0.8774), Measured(0.6, 0.4904, 0.7004)
    assert directions.change_interval(old, new) == pytest.approx((0.0524, 0.3339), abs=3e-4)


@pytest.mark.parametrize(("new", "expected"), [(0.84, "no difference shown"), (0.76, "no difference shown"),
                                               (0.9, "better"), (0.7, "worse")])  # fmt: skip
def test_a_change_within_its_interval_is_no_difference(new: float, expected: str) -> None:
    # Two intervals of +-0.05: the difference has +-0.05 * sqrt(2) = 0.0707.
    measured = Measured(new, new - 0.05, new + 0.05)
    assert verdict(Direction("up"), Measured(0.8, 0.75, 0.85), measured) == expected
