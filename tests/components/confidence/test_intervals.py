"""Intervals against published ones and what is known of them by reckoning."""

from __future__ import annotations

import numpy as np
import pytest

from components.confidence import intervals, resampling
from components.confidence.intervals import Kind


# Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
@pytest.mark.parametrize(
    ("found", "rows", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_the_published_one(found: int, rows: int, low: float, high: float) -> None:
    assert intervals.wilson(found, rows) == pytest.approx((low, high), abs=5e-5)


def test_a_share_of_nearly_no_rows_gets_wilsons_interval_and_others_the_bootstraps() -> None:
    samples = np.random.default_rng(0).binomial(100, 0.02, 400) / 100
    few = intervals.of_samples(0.02, 0.02, samples, Kind(100, 2, True))
    assert few is not None and few.method == intervals.WILSON
    assert (few.low, few.high) == pytest.approx(intervals.wilson(2, 100))
    many = intervals.of_samples(0.5, 0.5, np.linspace(0.4, 0.6, 401), Kind(1e9, 5e8, True))
    assert many is not None and many.method == intervals.BOOTSTRAP
    assert (many.low, many.high) == pytest.approx((0.405, 0.595))


def test_no_interval_claims_certainty_where_no_resample_differs() -> None:
    found = intervals.of_samples(1.0, 1.0, np.ones(400), Kind(10, None, True))
    # 0.05 ** (1 / 10): ten rows without a miss leave room for 26 % of misses.
    assert found is not None and (found.low, found.high) == pytest.approx((0.7411, 1.0), abs=1e-4)
    assert intervals.chance(found, 0.5) == pytest.approx(0.5**10)


def test_a_metric_that_is_undefined_or_undefined_in_most_resamples_has_no_interval() -> None:
    samples = np.array([np.nan] * 60 + [0.5, 0.6] * 20)
    assert intervals.of_samples(0.5, 0.5, samples, Kind(9)) is None
    assert intervals.of_samples(float("nan"), 0.5, np.linspace(0, 1, 50), Kind(9)) is None
    mostly = intervals.of_samples(0.5, 0.5, np.append(np.linspace(0.4, 0.6, 90), [np.nan] * 10), Kind(1e9))
    assert mostly is not None and 0.4 <= mostly.low < 0.5 < mostly.high <= 0.6


def test_few_rows_expand_the_interval_as_students_t_does() -> None:
    # 12.71, 4.303, 2.262 and 1.984 are Student's quantiles with 1, 2, 9 and 99 degrees of freedom.
    for rows, t, tolerance in ((3, 4.303, 0.04), (10, 2.262, 0.002), (100, 1.984, 0.001)):
        expected = t / 1.96 * np.sqrt(rows / (rows - 1))
        assert intervals.expansion(rows) == pytest.approx(expected, rel=tolerance)
    few = intervals.of_samples(0.5, 0.5, np.linspace(0.4, 0.6, 401), Kind(10))
    assert few is not None and few.high - few.low == pytest.approx(
        0.19 * 2.262 / 1.96 * np.sqrt(10 / 9), rel=0.01
    )


def test_resamples_that_are_coarser_than_the_metric_are_moved_to_it() -> None:
    found = intervals.of_samples(0.80, 0.79, np.linspace(0.69, 0.89, 401), Kind(1e9, None, True))
    assert found is not None and (found.low, found.high) == pytest.approx((0.705, 0.895), abs=1e-3)


def test_the_chance_agrees_with_the_interval_and_holms_correction_with_its_example() -> None:
    found = intervals.of_samples(0.1, 0.1, np.linspace(-0.01, 0.21, 1001), Kind(100))
    assert found is not None
    assert intervals.chance(found, found.low - 1e-9) == pytest.approx(0.05, abs=3e-3)
    # 0.01, 0.04, 0.03 of three tests: 3 x 0.01, then 2 x 0.03, then what is larger of 0.04 and the one before.
    assert intervals.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert intervals.holm([]) == []


def test_the_bootstraps_spread_of_a_mean_is_that_of_the_formula() -> None:
    random = np.random.default_rng(3)
    values = random.normal(size=5000)
    plan = resampling.plan(len(values))
    cells = resampling.Cells(
        np.arange(5000), np.zeros(5000, int), np.stack([values, np.ones(5000)], axis=1), 1
    )
    ((total, count),) = resampling.resampled(plan, [cells])[0]
    means = total / count
    assert means[0] == pytest.approx(values.mean(), rel=1e-4)
    assert means[1:].std() == pytest.approx(values.std() / np.sqrt(5000), rel=0.1)
    assert np.array_equal(total, resampling.resampled(plan, [cells])[0][0, 0])


def test_a_rare_class_has_as_many_rows_in_every_resample_and_the_others_vary() -> None:
    classes = np.array([1] * 7 + [0] * 993)
    plan = resampling.plan(1000, classes)
    cells = resampling.Cells(np.arange(1000), classes, np.ones((1000, 1)), 2)
    common, rare = resampling.resampled(plan, [cells])[0][:, 0]
    assert (rare == 7).all()
    assert common[0] == 993 and common[1:].std() == pytest.approx(np.sqrt(993), rel=0.15)
    assert "rare classes by themselves" in plan.words


def test_a_table_in_any_order_of_rows_gives_the_same_sums() -> None:
    random = np.random.default_rng(5)
    row, cell = random.integers(0, 20_000, 30_000), random.integers(0, 50, 30_000)
    values = random.random((30_000, 2))
    order = np.argsort(row, kind="stable")
    plan = resampling.plan(20_000)
    mixed = resampling.resampled(plan, [resampling.Cells(row, cell, values, 50)])[0]
    in_order = resampling.resampled(plan, [resampling.Cells(row[order], cell[order], values[order], 50)])[0]
    np.testing.assert_allclose(mixed, in_order, rtol=1e-4)
    np.testing.assert_allclose(mixed[:, 1, 0], np.bincount(cell, values[:, 1], 50), rtol=1e-4)
