"""Metrics from whole columns are those that TFMA's combiners make of the same rows, one by one and on Beam."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from tests.components.evaluator.measuring import reference

BINARY = (
    "ExampleCount",
    "Recall",
    "Precision",
    "FallOut",
    "BinaryAccuracy",
    "F1Score",
    'Recall:{"thresholds": [0.25, 0.5], "name": "recalls"}',
    "AUC",
    'AUC:{"curve": "PR", "name": "auc_pr"}',
    'AUC:{"num_thresholds": 50, "name": "coarse"}',
    'RecallAtPrecision:{"precision": 0.6, "name": "recall_60"}',
    "Calibration",
    "MeanPrediction",
    "BinaryCrossentropy",
    "MeanSquaredError",
    'ConfusionMatrixPlot:{"num_thresholds": 20}',
    'CalibrationPlot:{"num_buckets": 20}',
)
NUMBERS = (
    "ExampleCount",
    "MeanSquaredError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanLabel",
)
CLASSES = (
    "ExampleCount",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "MultiClassConfusionMatrixPlot",
    'MultiClassConfusionMatrixPlot:{"thresholds": [0.3, 0.6], "name": "twice"}',
)


def differences(mine: dict[Any, Any], theirs: dict[Any, Any], one_class: set[Any]) -> list[str]:
    """What differs by more than 1e-9 (counts) or 1e-6 (areas, means in 32 bits), as text."""
    wrong = []
    if mine.keys() != theirs.keys():
        wrong.append(f"slices {mine.keys() ^ theirs.keys()}")
    for key in mine.keys() & theirs.keys():
        if mine[key].keys() != theirs[key].keys():
            wrong.append(f"{key}: {[k.name for k in mine[key].keys() ^ theirs[key].keys()]}")
        for metric in mine[key].keys() & theirs[key].keys():
            a, b = mine[key][metric], theirs[key][metric]
            area = metric.name in ("auc", "auc_pr", "coarse")
            if area and key in one_class:
                if not math.isnan(a):
                    wrong.append(f"{key} {metric.name} is {a}, but has no area")
            elif not _same(a, b, 1e-6 if area or "crossentropy" in metric.name else 1e-9):
                wrong.append(f"{key} {metric.name}: {a} instead of {b}")
    return wrong


def _same(mine: Any, theirs: Any, tolerance: float) -> bool:
    if isinstance(mine, float | int | np.number):
        return (math.isnan(mine) and math.isnan(theirs)) or bool(
            np.isclose(mine, theirs, tolerance, tolerance)
        )
    if isinstance(mine, np.ndarray):
        return bool(np.allclose(mine, theirs, tolerance, tolerance, equal_nan=True))
    mine, theirs = str(mine).split(), str(theirs).split()
    return len(mine) == len(theirs) and all(
        a == b or np.isclose(float(a), float(b), 1e-6, 1e-9, equal_nan=True)
        for a, b in zip(mine, theirs, strict=True)
    )


def _one_class(rows: Any) -> set[Any]:
    found = set()
    for number, key in enumerate(rows.slices.keys):
        inside = np.logical_or.reduce([layer == number for layer in rows.slices.layers])
        if len(np.unique(rows.labels[inside])) < 2:
            found.add(key)
    return found


# Quotients that overflow 32 bits are no numbers with TFMA.
NUMBER = st.floats(-50, 50, width=32).map(lambda x: 0.0 if abs(x) < 2**-10 else x)
SCORES = st.floats(0, 1, width=32) | st.sampled_from([0.0, 0.25, 0.5, 1.0])
BINARY_ROW = st.tuples(st.integers(0, 1), SCORES, st.integers(-1, 2))


def test_a_few_binary_rows_are_measured_as_by_tfma() -> None:
    from components.evaluator.measuring import computing

    rows = reference.rows([1, 0, 1, 0, 1], {"": [0.9, 0.5, 0.5, 0.0, 1.0]}, [0, 0, 1, 1, -1])
    config = reference.config(*BINARY)
    mine = computing.measure(rows, config)
    assert differences(mine.slices, reference.by_row(rows, config), _one_class(rows)) == []


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.lists(BINARY_ROW, min_size=1, max_size=40))
def test_binary_metrics_and_plots_are_tfmas(drawn: list[tuple[int, float, int]]) -> None:
    from components.evaluator.measuring import computing

    labels, scores, places = zip(*drawn, strict=True)
    rows = reference.rows(labels, {"": scores}, places)
    config = reference.config(*BINARY)
    mine = computing.measure(rows, config)
    assert mine.problems == []
    assert differences(mine.slices, reference.by_row(rows, config), _one_class(rows)) == []


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(NUMBER, NUMBER, st.integers(-1, 1), st.integers(0, 3)),
        min_size=1,
        max_size=30,
    )
)
def test_errors_of_numbers_with_weights_are_tfmas(drawn: list[tuple[float, float, int, int]]) -> None:
    from components.evaluator.measuring import computing

    labels, answers, places, weights = zip(*drawn, strict=True)
    rows = reference.rows(np.array(labels, np.float32), {"": answers}, places, weights)
    config = reference.config(
        *NUMBERS, weight="weight", example_weights={"weighted": True, "unweighted": True}
    )
    mine = computing.measure(rows, config).slices
    theirs = reference.by_row(rows, config)
    for key, metrics in mine.items():
        assert metrics.keys() == theirs[key].keys()
        for metric, value in metrics.items():
            # TFMA squares and adds in 32 bits.
            assert value == pytest.approx(theirs[key][metric], rel=1e-5, abs=1e-6, nan_ok=True), metric


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.tuples(SCORES, SCORES, SCORES), st.integers(-1, 1)),
        min_size=1,
        max_size=30,
    )
)
def test_metrics_of_classes_are_tfmas(drawn: list[tuple[int, tuple[float, ...], int]]) -> None:
    from components.evaluator.measuring import computing

    labels, scores, places = zip(*drawn, strict=True)
    rows = reference.rows(labels, {"": np.array(scores, np.float32) + 1e-3}, places)
    config = reference.config(*CLASSES)
    mine = computing.measure(rows, config)
    assert mine.problems == []
    assert differences(mine.slices, reference.by_row(rows, config), set()) == []


def test_the_metrics_of_one_class_of_several_and_their_averages_are_tfmas() -> None:
    import tensorflow_model_analysis as tfma

    from components.evaluator.measuring import computing

    random = np.random.default_rng(1)
    rows = reference.rows(
        random.integers(0, 3, 60), {"": random.dirichlet(np.ones(3), 60)}, random.integers(-1, 2, 60).tolist()
    )
    for spec in (
        {"binarize": tfma.BinarizationOptions(class_ids={"values": [0, 2]})},
        {"aggregate": tfma.AggregationOptions(micro_average=True)},
        {"aggregate": tfma.AggregationOptions(macro_average=True, class_weights={0: 1.0, 1: 1.0, 2: 2.0})},
    ):
        config = reference.config("AUC", "Precision", "Recall", **spec)
        mine = computing.measure(rows, config)
        assert mine.problems == []
        assert differences(mine.slices, reference.by_row(rows, config), set()) == []


def test_differences_to_the_baseline_are_candidate_minus_baseline() -> None:
    from components.evaluator.measuring import computing

    rows = reference.rows(
        [1, 1, 0, 0], {"candidate": [0.9, 0.4, 0.1, 0.2], "baseline": [0.4, 0.4, 0.9, 0.2]}, [0, 0, 0, 1]
    )
    metrics = computing.measure(rows, reference.config("Recall", "BinaryAccuracy", baseline=True)).slices[()]
    found = {(key.name, key.model_name, key.is_diff): value for key, value in metrics.items()}
    assert found["recall", "candidate", False] == 0.5 and found["recall", "baseline", False] == 0.0
    assert found["recall", "candidate", True] == 0.5
    assert found["binary_accuracy", "candidate", True] == 0.75 - 0.25
    assert len(found) == 6


def test_a_metric_that_fails_on_a_slice_is_named_and_the_others_stand() -> None:
    from components.evaluator.measuring import computing

    # Row 2, in slice 1, has a label that is neither class: no confusion matrix can hold it, a count of rows can.
    rows = reference.rows([1.0, 0.0, 7.0, 1.0], {"": [0.9, 0.2, 0.5, 0.8]}, [0, 0, 1, 0])
    measured = computing.measure(rows, reference.config("ExampleCount", "Recall", "AUC"))
    by_slice = {key: {k.name: v for k, v in metrics.items()} for key, metrics in measured.slices.items()}
    assert by_slice[("place", 0),] == {"example_count": 3.0, "recall": 1.0, "auc": 1.0}
    assert by_slice[("place", 1),] == {"example_count": 1.0}
    assert by_slice[()] == {"example_count": 4.0}
    assert {(key, name) for key, name, _ in measured.problems if name in ("recall", "auc")} == {
        ((), "recall"), ((), "auc"), ((("place", 1),), "recall"), ((("place", 1),), "auc"),
    }  # fmt: skip
    assert any("label must be within [0, 1]: label=7" in reason for _, _, reason in measured.problems)


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("SquaredPearsonCorrelation", "squared_pearson_correlation"),
        ('NDCG:{"gain_key": "x", "top_k_list": [1]}', "query"),
        ("RootMeanSquaredError", "root_mean_squared_error"),
    ],
)
def test_what_is_not_proven_equal_is_refused_by_name(metric: str, said: str) -> None:
    from components.evaluator.measuring import computing
    from components.evaluator.measuring.rows import NotProven

    spec = {"query_key": "q"} if metric.startswith("NDCG") else {}
    rows = reference.rows([1, 0], {"": [0.9, 0.1]}, [0, 0])
    with pytest.raises(NotProven, match=said):
        computing.measure(rows, reference.config(metric, **spec))


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(st.lists(BINARY_ROW.filter(lambda row: row[2] >= 0), min_size=3, max_size=60))
def test_binary_metrics_are_those_of_tfma_on_beam(drawn: list[tuple[int, float, int]]) -> None:
    import pandas as pd
    import tensorflow_model_analysis as tfma

    from components.evaluator.measuring import computing

    labels, scores, places = zip(*drawn, strict=True)
    rows = reference.rows(labels, {"": scores}, places)
    frame = pd.DataFrame({"label": labels, "score": np.array(scores, np.float32), "place": places})
    config = reference.config(*BINARY[:13])
    on_beam = tfma.analyze_raw_data(frame, config).get_metrics_for_all_slices()
    mine = computing.measure(rows, config).slices
    one_class = _one_class(rows)
    assert {tuple(key) for key in on_beam} == set(mine)
    for key, metrics in on_beam.items():
        found = {metric.name: value for metric, value in mine[key].items()}
        for name, value in metrics.items():
            if (key in one_class and name in ("auc", "auc_pr", "coarse")) or "doubleValue" not in value:
                continue
            assert found[name] == pytest.approx(float(value["doubleValue"]), abs=1e-6, nan_ok=True), (
                key,
                name,
            )
