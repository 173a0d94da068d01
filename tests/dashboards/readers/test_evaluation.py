"""TFMA's results: read as TFMA reads them, or as a project wrote its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dashboards.readers import evaluation


def test_own_metrics_of_a_project_are_read(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"coverage": 0.95, "slice = a": {"coverage": 0.9}, "text": "x"}')
    found = evaluation.read_evaluation(tmp_path)
    assert found.overall.metrics["coverage"].value == 0.95
    assert [s.key for s in found.slices] == ["", "slice = a"]


@pytest.mark.slow
def test_the_same_numbers_as_tfmas_own_reader(home: Path) -> None:
    """Runs TFMA itself in a process of its own, because importing it takes seconds and stays."""

    folder = home / "pipelines" / "card_fraud" / "Evaluator" / "modelevaluation" / "3"
    code = (
        "import json, sys, os\nos.environ['TF_USE_LEGACY_KERAS'] = '1'\n"
        "from tensorflow_model_analysis.writers.metrics_plots_and_validations_writer import *\n"
        "import tensorflow_model_analysis.writers.metrics_plots_and_validations_writer as w\n"
        "found = {}\n"
        f"for m in w.load_and_deserialize_metrics({str(folder)!r}):\n"
        "    key = ', '.join(f'{s.column} = {s.bytes_value.decode()}' for s in m.slice_key.single_slice_keys)\n"
        "    values = [v for v in m.metric_keys_and_values if not v.key.is_diff and v.key.model_name != 'baseline']\n"
        "    found[key] = {v.key.name: v.value.double_value.value for v in values}\n"
        "print(json.dumps(found))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    theirs: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    ours = {
        s.key: {k: v.value for k, v in s.metrics.items()} for s in evaluation.read_evaluation(folder).slices
    }
    assert ours == theirs


def _judged(folder: Path, **verdict: Any) -> Path:
    """A made-up evaluation (recall 0.9, bar 0.8, loss of 0.1 allowed) with a gate's verdict on one of its checks."""
    from tests.dashboards.synthetic.evaluations import evaluation as made

    made(folder, 1)
    given = {
        "kind": "bar", "metric": "recall", "slice": "", "bound": 0.8, "value": 0.9, "low": 0.7, "high": 0.95,
        "method": "bootstrap", "verdict": "not enough data", "passed": True, "judged": True, "text": "told",
    }  # fmt: skip
    told = {
        "method": "paired bootstrap over rows, 400 resamples",
        "level": 0.95,
        "slice_rows": 0,
        "blessed": True,
        "verdicts": [{**given, **verdict}],
        "problems": [{"slice": "country = de", "metric": "auc", "reason": "one label is 7"}],
    }
    (folder / "verdicts.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def test_the_gates_verdict_with_its_interval_is_the_checks(tmp_path: Path) -> None:
    from dashboards.readers import intervals

    found = evaluation.read_evaluation(_judged(tmp_path, passed=False))
    bar, change = (
        next(g for g in found.gates if not g.slice and g.kind == kind) for kind in ("value", "change")
    )
    assert (bar.verdict, bar.low, bar.high, bar.passed) == ("not enough data", 0.7, 0.95, False)
    assert change.verdict == "" and change.passed
    assert intervals.methods(found) == ["paired bootstrap over rows, 400 resamples"]
    assert "auc of country = de was not measured: one label is 7" in found.problems


def test_a_comparison_beyond_the_allowed_loss_that_is_not_shown_passes_as_the_gate_said(
    tmp_path: Path,
) -> None:
    found = evaluation.read_evaluation(
        _judged(tmp_path, kind="comparison", bound=0.1, value=-0.2, low=-0.5, high=0.1)
    )
    (change,) = [g for g in found.gates if not g.slice and g.kind == "change"]
    assert change.passed and change.verdict == "not enough data"


def test_a_file_of_verdicts_that_is_torn_is_named_and_the_checks_stand(tmp_path: Path) -> None:
    folder = _judged(tmp_path)
    (folder / "verdicts.json").write_text('{"method": ', encoding="utf-8")
    found = evaluation.read_evaluation(folder)
    assert any("verdicts.json cannot be read" in problem for problem in found.problems)
    assert any(gate.kind == "value" and gate.passed for gate in found.gates)


def test_a_slice_may_miss_its_bar_and_the_comparison_both(tmp_path: Path) -> None:
    from dashboards.readers.protos import message
    from tests.dashboards.synthetic.records import tfrecord

    result = message("tensorflow_model_analysis.ValidationResult")()
    per_slice = result.metric_validations_per_slice.add()
    per_slice.slice_key.single_slice_keys.add(column="country", bytes_value=b"de")
    for value, is_diff in ((0.7, False), (-0.2, True)):
        failure = per_slice.failures.add()
        failure.metric_key.name, failure.metric_key.is_diff = "recall", is_diff
        failure.metric_value.double_value.value = value
        if is_diff:
            failure.metric_threshold.change_threshold.absolute.value = -0.1
            failure.metric_threshold.change_threshold.direction = 2
        else:
            failure.metric_threshold.value_threshold.lower_bound.value = 0.8
    (tmp_path / "validations.tfrecord").write_bytes(tfrecord([result.SerializeToString()]))
    gates = [(g.slice, g.kind, g.value, g.bound) for g in evaluation.read_evaluation(tmp_path).gates]
    assert gates == [
        ("country = de", "change", -0.2, "change ≥ -0.1"),
        ("country = de", "value", 0.7, "≥ 0.8"),
    ]


@pytest.mark.parametrize(("value", "passed"), [(0.9, True), (0.7, False)])
def test_a_change_relative_to_the_last_value_is_a_gate_too(
    tmp_path: Path, value: float, passed: bool
) -> None:
    """Of a last value of 0.8 at most a tenth may be lost: 0.7 lost an eighth."""
    from dashboards.readers.protos import message
    from tests.dashboards.synthetic.records import tfrecord

    one = message("tensorflow_model_analysis.MetricsForSlice")()
    for number, is_diff in ((value, False), (value - 0.8, True)):
        item = one.metric_keys_and_values.add()
        item.key.name, item.key.is_diff, item.value.double_value.value = "recall", is_diff, number
    (tmp_path / "metrics-00000-of-00001.tfrecord").write_bytes(tfrecord([one.SerializeToString()]))
    judged = message("tensorflow_model_analysis.ValidationResult")(validation_ok=passed)
    (tmp_path / "validations.tfrecord").write_bytes(tfrecord([judged.SerializeToString()]))
    threshold = {"changeThreshold": {"direction": "HIGHER_IS_BETTER", "relative": -0.1}}
    config = {"metricsSpecs": [{"thresholds": {"recall": threshold}}]}
    (tmp_path / "eval_config.json").write_text(json.dumps({"evalConfig": config}), encoding="utf-8")
    (gate,) = evaluation.read_evaluation(tmp_path).gates
    assert (gate.kind, gate.bound, gate.passed) == ("change", "change ≥ -0.1 of the last value", passed)
    assert gate.value == pytest.approx(value - 0.8)
