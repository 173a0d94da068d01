"""FunctionEvaluator: TFMA's files and TFX's blessing from the numbers of a project's function."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

MODULE = """
import json
from pathlib import Path

def measure(given):
    assert given.parameters == {"variant": "v"} and given.splits == ("eval",)
    assert [Path(f).name for f in given.files] == ["data-00000-of-00001.gz"]
    numbers = json.loads((given.model / "numbers.json").read_text())
    if numbers == "broken":
        raise RuntimeError("no such signature\\nand more")
    slices = {(("period", "year"),): {"loss": numbers["loss"] * 2}}
    return {(): numbers, **slices}
"""

Evaluate = Callable[..., tuple[Any, Any]]


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    """Runs the executor on models that are files of numbers; returns the evaluation and blessing artifacts."""
    from tfx.types import artifact_utils, standard_artifacts

    from components.function_evaluator.executor import Executor

    (tmp_path / "own_measure_module.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    def model(name: str, numbers: Any, number: int) -> Any:
        artifact = standard_artifacts.Model()
        artifact.uri, artifact.id = str(tmp_path / name), number
        folder = tmp_path / name / "Format-Serving"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "numbers.json").write_text(json.dumps(numbers), encoding="utf-8")
        return artifact

    def run(
        numbers: Any, bars: list[dict[str, Any]], last: Any = None, beam_args: Sequence[str] = ()
    ) -> tuple[Any, Any]:
        examples = standard_artifacts.Examples()
        examples.uri = str(tmp_path / "examples")
        examples.split_names = artifact_utils.encode_split_names(["train", "eval"])
        for split in ("train", "eval"):
            (tmp_path / "examples" / f"Split-{split}").mkdir(parents=True, exist_ok=True)
            (tmp_path / "examples" / f"Split-{split}" / "data-00000-of-00001.gz").touch()
        evaluation, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
        evaluation.uri, blessing.uri = str(tmp_path / "evaluation"), str(tmp_path / "blessing")
        inputs = {"examples": [examples], "model": [model("candidate", numbers, 7)]}
        if last is not None:
            inputs["baseline_model"] = [model("last", last, 3)]
        context = Executor.Context(beam_pipeline_args=list(beam_args), tmp_dir=str(tmp_path), unique_id="1")
        Executor(context).Do(
            inputs,
            {"evaluation": [evaluation], "blessing": [blessing]},
            {
                "function": "own_measure_module.measure",
                "bars": json.dumps(bars),
                "slices": json.dumps([["period"]]),
                "example_splits": json.dumps(["eval"]),
                "parameters": json.dumps({"variant": "v"}),
            },
        )
        return evaluation, blessing

    return run


def blessed(blessing: Any) -> bool:
    value = blessing.get_int_custom_property("blessed")
    assert (Path(blessing.uri) / ("BLESSED" if value else "NOT_BLESSED")).exists()
    return bool(value)


def test_tfma_reads_metrics_slices_and_bars_as_it_reads_an_evaluators(evaluate: Evaluate) -> None:
    import tensorflow_model_analysis as tfma

    from pipelines.base.summary import overall_metrics

    evaluation, blessing = evaluate({"loss": 0.5, "other": 3}, [{"metric": "loss", "at_most": 0.5}])
    result = tfma.load_eval_result(evaluation.uri)
    found = result.get_metrics_for_all_slices()
    assert found[()]["loss"] == {"doubleValue": 0.5} and found[()]["other"] == {"doubleValue": 3.0}
    assert found[(("period", "year"),)]["loss"] == {"doubleValue": 1.0}
    assert result.config.metrics_specs[0].thresholds["loss"].value_threshold.upper_bound.value == 0.5
    assert tfma.load_validation_result(evaluation.uri).validation_ok
    assert overall_metrics(evaluation.uri) == {"loss": 0.5, "other": 3.0}
    assert blessed(blessing)
    assert blessing.get_int_custom_property("current_model_id") == 7
    assert blessing.get_string_custom_property("current_model").endswith("candidate")


def test_a_missed_bar_is_not_blessed_and_the_validation_names_it(evaluate: Evaluate) -> None:
    import tensorflow_model_analysis as tfma

    bars = [{"metric": "loss", "at_most": 0.4}, {"metric": "other", "at_least": 1}]
    evaluation, blessing = evaluate({"loss": 0.5, "other": 3}, bars)
    assert not blessed(blessing)
    (failed,) = tfma.load_validation_result(evaluation.uri).metric_validations_per_slice[0].failures
    assert failed.metric_key.name == "loss" and failed.metric_value.double_value.value == 0.5


@pytest.mark.parametrize(("value", "expected"), [(0.87, False), (0.88, True), (0.99, True), (0.991, False)])
def test_two_bars_on_one_metric_are_the_ends_of_a_band(
    evaluate: Evaluate, value: float, expected: bool
) -> None:
    bars = [{"metric": "loss", "at_least": 0.88}, {"metric": "loss", "at_most": 0.99}]
    assert blessed(evaluate({"loss": value}, bars)[1]) is expected


def test_a_metric_that_is_no_number_misses_its_bar(evaluate: Evaluate) -> None:
    assert not blessed(evaluate({"loss": float("nan")}, [{"metric": "loss", "at_most": 1.0}])[1])


@pytest.mark.parametrize(
    "bar", [{"metric": "loss", "at_least": 1.0}, {"metric": "loss", "at_most": 1.0, "max_loss": 0.1}]
)
@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_an_infinite_metric_misses_its_bar(evaluate: Evaluate, value: float, bar: dict[str, Any]) -> None:
    import tensorflow_model_analysis as tfma

    from pipelines.base.summary import overall_metrics

    evaluation, blessing = evaluate({"loss": value}, [bar], last={"loss": 2.0})
    assert not blessed(blessing)
    failures = tfma.load_validation_result(evaluation.uri).metric_validations_per_slice[0].failures
    assert {failure.metric_key.name for failure in failures} == {"loss"}
    assert overall_metrics(evaluation.uri)["loss"] == value, "it was measured, and is said"


@pytest.mark.slow
@pytest.mark.parametrize(
    "numbers", [{"loss": float("nan")}, "broken"], ids=["NaN comes out", "the function fails"]
)
def test_a_model_that_answers_nan_is_named_with_the_number_of_its_rows(
    evaluate: Evaluate, tmp_path: Path, numbers: Any
) -> None:
    import tensorflow as tf

    from pipelines.base.errors import ProjectError

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serve(self, examples: Any) -> dict[str, Any]:
            lengths = tf.strings.length(examples)
            return {"mean": tf.where(lengths > 2, 1.0, float("nan")), "label": lengths}

    model = Model()
    tf.saved_model.save(
        model, str(tmp_path / "candidate" / "Format-Serving"), {"serve_examples": model.serve}
    )
    folder = tmp_path / "examples" / "Split-eval"
    folder.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / "data-00000-of-00001.gz"), "GZIP") as writer:
        for row in range(1_000):
            writer.write(b"x" * (1 + row % 4))
    with pytest.raises(ProjectError, match=r"^predictions are not finite: 500 of 1,000 rows"):
        evaluate(numbers, [{"metric": "loss", "at_most": 1.0}])


@pytest.mark.parametrize(("last", "expected"), [(0.45, True), (0.35, False), (2.0, True)])
def test_a_model_may_lose_no_more_than_max_loss_against_the_last_blessed(
    evaluate: Evaluate, last: float, expected: bool
) -> None:
    from pipelines.base.summary import overall_metrics

    bars = [{"metric": "loss", "at_most": 1.0, "max_loss": 0.1}]
    evaluation, blessing = evaluate({"loss": 0.5}, bars, last={"loss": last})
    assert blessed(blessing) is expected
    found = overall_metrics(evaluation.uri)
    assert found["loss"] == 0.5 and found["loss_diff"] == pytest.approx(0.5 - last)
    assert blessing.get_int_custom_property("baseline_model_id") == 3


def test_a_higher_metric_may_lose_no_more_than_max_loss_either(evaluate: Evaluate) -> None:
    bars = [{"metric": "loss", "at_least": 0.1, "max_loss": 0.1}]
    assert not blessed(evaluate({"loss": 0.5}, bars, last={"loss": 0.7})[1])


def test_a_last_model_that_cannot_be_measured_is_named_and_the_absolute_bars_decide(
    evaluate: Evaluate,
) -> None:
    bars = [{"metric": "loss", "at_most": 1.0, "max_loss": 0.1}]
    evaluation, blessing = evaluate({"loss": 0.5}, bars, last="broken")
    assert blessed(blessing)
    reason = evaluation.get_string_custom_property("viaduct_no_comparison")
    assert reason == "RuntimeError: no such signature"


def test_a_candidate_that_cannot_be_measured_fails_the_node(evaluate: Evaluate) -> None:
    with pytest.raises(RuntimeError, match="no such signature"):
        evaluate("broken", [{"metric": "loss", "at_most": 1.0}])


def test_a_named_runner_makes_what_is_made_in_process(evaluate: Evaluate) -> None:
    import tensorflow_model_analysis as tfma

    from components.engine import PROPERTY

    def files(evaluation: Any) -> list[Any]:
        result = tfma.load_eval_result(evaluation.uri)
        verdict = tfma.load_validation_result(evaluation.uri)
        return [result.get_metrics_for_all_slices(), result.config, verdict]

    bars = [{"metric": "loss", "at_most": 1.0, "max_loss": 0.1}]
    here, here_blessing = evaluate({"loss": 0.5}, bars, last={"loss": 0.6})
    made = files(here)
    there, there_blessing = evaluate({"loss": 0.5}, bars, {"loss": 0.6}, ["--runner=DirectRunner"])
    assert files(there) == made and blessed(there_blessing) and blessed(here_blessing)
    assert there.get_string_custom_property(PROPERTY) == "Beam (DirectRunner is named)"
    assert not list(Path(there.uri).glob(".*"))


def test_a_bar_on_what_was_not_measured_is_refused_with_what_was(evaluate: Evaluate) -> None:
    from components.function_evaluator.results import MeasureError

    with pytest.raises(MeasureError, match=r"'auc'.*measured: \['loss'\]"):
        evaluate({"loss": 0.5}, [{"metric": "auc", "at_least": 0.5}])


def test_the_node_is_an_evaluator_to_those_who_look_for_one() -> None:
    from tfx.types import channel, standard_artifacts

    from components.function_evaluator.component import FunctionEvaluator

    def of(kind: Any) -> Any:
        return channel.Channel(type=kind)

    node = FunctionEvaluator(
        examples=of(standard_artifacts.Examples),
        model=of(standard_artifacts.Model),
        function="a.b",
        code="c",
        bars=[{"metric": "loss", "at_most": 1.0}],
    )
    assert node.id == "Evaluator" and node.type.endswith("Evaluator")
    assert node.outputs["evaluation"].type is standard_artifacts.ModelEvaluation
    assert node.outputs["blessing"].type is standard_artifacts.ModelBlessing
