"""What a run's record holds of an evaluation: each gate with its slice and bound, every number as it was measured."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from pipelines.base import run_record
from pipelines.base.run_record import NodeRecord, RunRecord

tfma = pytest.importorskip("tensorflow_model_analysis")


def _written(folder: Path, failures: list[tuple[str, dict[str, str], Any]]) -> str:
    """A validation in which each (metric, slice, what to do with the failure) failed."""
    import tensorflow as tf
    from tensorflow_model_analysis.proto import validation_result_pb2

    result = validation_result_pb2.ValidationResult(validation_ok=False)
    for metric, where, describe in failures:
        per_slice = result.metric_validations_per_slice.add()
        for column, value in where.items():
            per_slice.slice_key.single_slice_keys.add(column=column, bytes_value=value.encode())
        failure = per_slice.failures.add()
        failure.metric_key.name = metric
        describe(failure)
    with tf.io.TFRecordWriter(str(folder / "validations.tfrecord")) as writer:
        writer.write(result.SerializeToString())
    return str(folder)


def test_a_failed_gate_names_its_value_its_slice_and_what_it_needs(tmp_path: Path) -> None:
    from pipelines.base.summary import failed_gates

    def low(failure: Any) -> None:
        failure.metric_value.double_value.value = 0.089
        failure.metric_threshold.value_threshold.lower_bound.value = 0.985 - 1e-9
        failure.metric_threshold.value_threshold.upper_bound.value = 1.7976931348623157e308

    def outside(failure: Any) -> None:
        failure.metric_value.double_value.value = 0.9995
        failure.metric_threshold.value_threshold.lower_bound.value = 0.0
        failure.metric_threshold.value_threshold.upper_bound.value = 0.999

    def lost(failure: Any) -> None:
        failure.metric_key.is_diff = True
        failure.metric_value.double_value.value = 0.3
        failure.metric_threshold.change_threshold.absolute.value = 0.1 + 1e-9
        failure.metric_threshold.change_threshold.direction = tfma.MetricDirection.LOWER_IS_BETTER

    def unmeasured(failure: Any) -> None:
        failure.metric_threshold.value_threshold.upper_bound.value = 2.0

    def endless(failure: Any) -> None:
        failure.metric_value.double_value.value = math.inf
        failure.metric_threshold.value_threshold.upper_bound.value = 2.0

    uri = _written(
        tmp_path,
        [
            ("accuracy", {}, low),
            ("coverage", {"country": "de", "hour": "3"}, outside),
            ("nll", {}, lost),
            ("mae", {}, unmeasured),
            ("perplexity", {}, endless),
        ],
    )
    assert failed_gates(uri) == [
        "accuracy is 0.089, needs >= 0.985",
        "coverage is 0.9995 for country = de, hour = 3, needs >= 0 and <= 0.999",
        "nll changed by +0.3 against the last blessed model, needs a change <= 0.1",
        "mae was not measured, needs <= 2",
        "perplexity is inf, needs <= 2",
    ]


def test_a_metric_that_is_no_finite_number_is_kept_in_json_that_every_reader_takes(tmp_path: Path) -> None:
    summary = {
        "cached": False,
        "outputs": [],
        "metrics": {"nll": "inf", "gain": "-inf", "auc": "nan", "mae": 0.5},
    }
    record = RunRecord("r", "p", {}, "f", 1, "x", 1.0, nodes={"Evaluator": NodeRecord("running")})
    record.settle("Evaluator", summary)
    record.write(tmp_path)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    text = (tmp_path / run_record.RECORD).read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=refuse)["metrics"]["nll"] == "inf"
    again = run_record.read(tmp_path / run_record.RECORD)
    assert again is not None and again.metrics["nll"] == math.inf and again.metrics["gain"] == -math.inf
    assert math.isnan(again.metrics["auc"]) and again.metrics["mae"] == 0.5
