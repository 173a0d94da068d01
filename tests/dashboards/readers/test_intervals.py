"""Confidence intervals of shares of rows, against published ones."""

from __future__ import annotations

from typing import Any

import pytest

from dashboards.readers import evaluation, intervals, plots


# Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
@pytest.mark.parametrize(
    ("found", "rows", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_the_published_one(found: int, rows: int, low: float, high: float) -> None:
    assert intervals.wilson(found / rows, rows) == pytest.approx((low, high), abs=5e-5)


def _measured(classes: dict[str, str], metrics: dict[str, float], **config: Any) -> evaluation.Evaluation:
    """An evaluation of all rows whose config names `classes` by their names in the results."""
    specs = [{"className": c, "config": f'{{"name": "{name}"}}'} for name, c in classes.items()]
    values = {name: evaluation.Value(value) for name, value in metrics.items()}
    return evaluation.Evaluation(
        [evaluation.Slice("", metrics=values)], config={"metricsSpecs": [{"metrics": specs}], **config}
    )


CLASSES = {
    "recall": "Recall",
    "precision": "Precision",
    "fall_out": "FallOut",
    "right": "BinaryAccuracy",
    "auc": "AUC",
}
# 60 of 80 positives found, 15 of 120 negatives taken for positives.
METRICS = {
    "recall": 0.75,
    "precision": 0.8,
    "fall_out": 0.125,
    "right": 0.825,
    "auc": 0.9,
    "example_count": 200.0,
}


def test_shares_are_bounded_by_what_they_are_shares_of() -> None:
    matrices = {"": plots.Plots("", [plots.Matrix(0.5, 60, 15, 105, 20)])}
    found = intervals.with_intervals(_measured(CLASSES, METRICS), matrices).overall.metrics
    for name, rows in {"recall": 80, "precision": 75, "fall_out": 120, "right": 200}.items():
        assert (found[name].low, found[name].high) == pytest.approx(intervals.wilson(METRICS[name], rows)), (
            name
        )
    assert found["auc"].low is None and found["example_count"].low is None


def test_weighted_rows_foreign_thresholds_and_missing_counts_give_no_interval() -> None:
    matrices = {"": plots.Plots("", [plots.Matrix(0.5, 60, 15, 105, 20)])}

    def bounded(given: evaluation.Evaluation, counts: dict[str, plots.Plots]) -> set[str]:
        metrics = intervals.with_intervals(given, counts).overall.metrics
        return {name for name, value in metrics.items() if value.low is not None}

    assert bounded(_measured(CLASSES, METRICS), {}) == {"right"}
    weighted = _measured(CLASSES, METRICS, modelSpecs=[{"exampleWeightKey": "weight"}])
    assert bounded(weighted, matrices) == set()
    # 0.7777 of 80 positives is no number of rows: this recall is a share of something else.
    odd = _measured(CLASSES, {**METRICS, "recall": 0.7777, "precision": 0.8})
    assert bounded(odd, matrices) == {"fall_out", "right"}


def test_an_interval_of_tfma_is_kept() -> None:
    given = _measured(CLASSES, METRICS)
    given.overall.metrics["right"] = evaluation.Value(0.825, 0.7, 0.9, "TFMA")
    found = intervals.with_intervals(given, {})
    assert found.overall.metrics["right"].low == 0.7
    assert intervals.methods(found) == ["resampled by TFMA (jackknife)"]
