"""Our executor under TFX's Evaluator: in process what it gives on Beam, with intervals and verdicts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.errors import ProjectError
from pipelines.base.project import Bar

pytestmark = pytest.mark.slow

ROWS = 1_000
ON_BEAM, IN_PROCESS = ("--runner=DirectRunner",), ()
Evaluate = Callable[..., Any]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tensorflow: Any) -> Callable[..., Path]:
    """A model that answers 0.75 where `x` is at least `step` and 0.25 below; its square root of `x - limit` on top."""
    tf = tensorflow

    def make(limit: float = -1.0, step: float = 0.5) -> Path:
        folder = tmp_path_factory.mktemp("model")

        class Model(tf.Module):
            @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
            def serve(self, examples: Any) -> dict[str, Any]:
                x = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([], tf.float32)})["x"]
                return {"score": tf.where(x >= step, 0.75, 0.25) + 0.0 * tf.sqrt(x - limit), "other": x}

            @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
            def parts(self, examples: Any) -> dict[str, Any]:
                x = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([], tf.float32)})["x"]
                return {"part": tf.where(x < 0.4, "low", tf.where(x < 0.9, "middle", "high"))}

        model = Model()
        tf.saved_model.save(
            model, str(folder / "Format-Serving"), {"serve_examples": model.serve, "parts": model.parts}
        )
        return folder

    return make


@pytest.fixture
def evaluate(tmp_path: Path, tensorflow: Any) -> Evaluate:
    """Runs the executor over 1,000 rows, `x` from 0 to 1, half of them positive; returns evaluation and blessing."""
    import tensorflow_model_analysis as tfma
    from google.protobuf import json_format
    from tfx.types import standard_artifacts

    from components.evaluator.executor import Executor, gate_flag

    tf = tensorflow
    examples = standard_artifacts.Examples()
    examples.uri, examples.split_names = str(tmp_path / "examples"), '["eval"]'
    (tmp_path / "examples" / "Split-eval").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(tmp_path / "examples/Split-eval/data-00000-of-00001.gz"), "GZIP") as writer:
        for row in range(ROWS):
            x = tf.train.Feature(float_list=tf.train.FloatList(value=[row / ROWS]))
            label = tf.train.Feature(int64_list=tf.train.Int64List(value=[int(row >= ROWS / 2)]))
            features = tf.train.Features(feature={"x": x, "label": label})
            writer.write(tf.train.Example(features=features).SerializeToString())
    config = tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(
                signature_name="serve_examples",
                label_key="label",
                prediction_key="score",
                preprocessing_function_names=["parts"],
            )
        ],
        slicing_specs=[tfma.SlicingSpec(), tfma.SlicingSpec(feature_keys=["part"])],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    tfma.MetricConfig(class_name="ExampleCount"),
                    tfma.MetricConfig(class_name="ConfusionMatrixPlot"),
                    tfma.MetricConfig(class_name="AUC"),
                    tfma.MetricConfig(
                        class_name="BinaryAccuracy",
                        threshold=tfma.MetricThreshold(
                            value_threshold=tfma.GenericValueThreshold(lower_bound={"value": 0.9})
                        ),
                    ),
                ]
            )
        ],
    )

    def run(
        model: Path,
        baseline: Path | None = None,
        beam: Sequence[str] = IN_PROCESS,
        bars: Sequence[Bar] = (),
        slice_rows: int = 0,
        **properties: Any,
    ) -> tuple[Any, Any]:
        evaluation, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
        folder = tmp_path / f"made-{len(list(tmp_path.glob('made-*')))}"
        evaluation.uri, blessing.uri = str(folder / "evaluation"), str(folder / "blessing")
        inputs: dict[str, list[Any]] = {"examples": [examples]}
        for key, folder in (("model", model), ("baseline_model", baseline)):
            if folder is not None:
                (artifact,) = inputs[key] = [standard_artifacts.Model()]
                artifact.uri = str(folder)
        flags = [gate_flag([dataclasses.asdict(bar) for bar in bars], slice_rows)] if bars else []
        context = Executor.Context(
            beam_pipeline_args=list(beam), extra_flags=flags, tmp_dir=str(tmp_path / "tmp")
        )
        Executor(context).Do(
            inputs,
            {"evaluation": [evaluation], "blessing": [blessing]},
            {"eval_config": json_format.MessageToJson(config), "example_splits": '["eval"]', **properties},
        )
        return evaluation, blessing

    return run


@pytest.mark.parametrize(
    ("limit", "bad", "beam"), [(2.0, "1,000", IN_PROCESS), (0.0025, "3", IN_PROCESS), (0.0025, "3", ON_BEAM)]
)
def test_predictions_that_are_not_finite_are_counted_and_nothing_is_blessed(
    models: Callable[..., Path], evaluate: Evaluate, limit: float, bad: str, beam: tuple[str, ...]
) -> None:
    with pytest.raises(ProjectError, match=rf"^predictions are not finite: {bad} of 1,000 rows"):
        evaluate(models(limit), beam=beam)


def test_a_sound_model_is_measured_and_blessed_beside_a_last_one_that_is_not(
    models: Callable[..., Path], evaluate: Evaluate
) -> None:
    from pipelines.base.summary import overall_metrics

    evaluation, blessing = evaluate(models(-1.0), models(0.5))
    assert overall_metrics(evaluation.uri)["binary_accuracy"] == 1.0
    assert overall_metrics(evaluation.uri)["example_count"] == ROWS
    assert blessing.get_int_custom_property("blessed") == 1


def test_a_user_modules_own_shared_model_is_loaded_and_its_predictions_are_counted_too(
    models: Callable[..., Path], evaluate: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_loading.py").write_text(
        "import tensorflow_model_analysis as tfma\n"
        "asked = []\n"
        "def custom_eval_shared_model(eval_saved_model_path, model_name, eval_config, **kwargs):\n"
        "    asked.append(eval_saved_model_path)\n"
        "    return tfma.default_eval_shared_model(eval_saved_model_path=eval_saved_model_path,\n"
        "        model_name=model_name, eval_config=eval_config)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ProjectError, match="10 of 1,000 rows"):
        evaluate(models(0.0095), module_path="own_loading")
    import own_loading

    assert len(own_loading.asked) == 1


def told(evaluation: Any) -> Any:
    return json.loads((Path(evaluation.uri) / "verdicts.json").read_text(encoding="utf-8"))


def measured(evaluation: Any) -> dict[Any, tuple[float, float, float]]:
    """(value, low, high) by slice, metric, model and whether it is a difference."""
    import tensorflow_model_analysis as tfma

    found = {}
    for record in tfma.load_metrics(evaluation.uri):
        part = str([(one.column, one.bytes_value) for one in record.slice_key.single_slice_keys])
        for pair in record.metric_keys_and_values:
            bounds = pair.confidence_interval
            found[part, pair.key.name, pair.key.model_name, pair.key.is_diff] = (
                pair.value.double_value.value,
                bounds.lower_bound.double_value.value,
                bounds.upper_bound.double_value.value,
            )
    return found


BARS = (Bar("binary_accuracy", at_least=0.8, max_loss=0.02),)


def test_in_process_and_on_beam_give_the_same_metrics_intervals_verdicts_and_files(
    models: Callable[..., Path], evaluate: Evaluate
) -> None:
    import tensorflow_model_analysis as tfma

    candidate, last = models(step=0.53), models(step=0.5)
    mine, my_blessing = evaluate(candidate, last, bars=BARS, slice_rows=50)
    theirs, their_blessing = evaluate(candidate, last, beam=ON_BEAM, bars=BARS, slice_rows=50)
    assert "in process" in mine.get_string_custom_property("engine")
    assert "DirectRunner is named" in theirs.get_string_custom_property("engine")
    a, b = measured(mine), measured(theirs)
    assert a.keys() == b.keys() and len(a) > 20
    for key, values in a.items():
        assert values == pytest.approx(b[key], abs=1e-6, nan_ok=True), key
    assert told(mine) == told(theirs)
    assert my_blessing.get_int_custom_property("blessed") == their_blessing.get_int_custom_property("blessed")
    assert sorted(p.name for p in Path(mine.uri).iterdir()) == sorted(
        p.name for p in Path(theirs.uri).iterdir()
    )
    assert {str(key) for key in tfma.load_eval_result(mine.uri).get_slice_names()} == {
        str(key) for key in tfma.load_eval_result(theirs.uri).get_slice_names()
    }


def test_a_model_that_is_shown_to_lose_too_much_is_refused_and_one_within_noise_is_not(
    models: Callable[..., Path], evaluate: Evaluate
) -> None:
    import tensorflow_model_analysis as tfma

    from pipelines.base import summary

    last = models()
    # 60 of 1,000 rows more are wrong: 6 %, give or take 1.5.
    evaluation, blessing = evaluate(models(step=0.56), last, bars=BARS)
    change = next(v for v in told(evaluation)["verdicts"] if v["kind"] == "comparison")
    assert (change["verdict"], change["passed"]) == ("worse", False)
    assert change["low"] == pytest.approx(-0.075, abs=0.006) and change["high"] == pytest.approx(
        -0.045, abs=0.006
    )
    assert blessing.get_int_custom_property("blessed") == 0 and (Path(blessing.uri) / "NOT_BLESSED").exists()
    assert not tfma.load_validation_result(evaluation.uri).validation_ok
    (line,) = summary.failed_gates(evaluation.uri)
    assert "changed by -0.06 against the last blessed model, interval" in line and ": worse" in line

    # 21 rows more are wrong, one more than is allowed: that may be chance.
    evaluation, blessing = evaluate(models(step=0.521), last, bars=BARS)
    change = next(v for v in summary.verdicts(evaluation.uri) if v["kind"] == "comparison")
    assert change["value"] == pytest.approx(-0.021) and change["passed"]
    assert blessing.get_int_custom_property("blessed") == 1
    assert tfma.load_validation_result(evaluation.uri).validation_ok
    assert summary.failed_gates(evaluation.uri) == []


def test_a_slice_with_one_class_has_no_area_and_a_sure_bar_is_asked_of_the_lower_end(
    models: Callable[..., Path], evaluate: Evaluate
) -> None:
    import math

    # 960 of 1,000 right: 0.96, and surely above 0.945 only.
    for bound, blessed in ((0.955, 0), (0.94, 1)):
        bar = Bar("binary_accuracy", at_least=bound, sure=True)
        evaluation, blessing = evaluate(models(step=0.54), bars=[bar])
        assert blessing.get_int_custom_property("blessed") == blessed
    found = measured(evaluation)
    areas = {key[0]: values[0] for key, values in found.items() if key[1] == "auc"}
    assert areas.pop("[]") > 0.9 and areas.pop("[('part', b'middle')]") > 0.8
    assert len(areas) == 2 and all(math.isnan(area) for area in areas.values())


def test_a_file_of_examples_that_is_cut_off_is_named(
    models: Callable[..., Path], evaluate: Evaluate, tmp_path: Path
) -> None:
    from components.columns import DamagedRecords

    (shard,) = (tmp_path / "examples/Split-eval").iterdir()
    shard.write_bytes(shard.read_bytes()[:-200])
    with pytest.raises(
        DamagedRecords, match=r"data-00000-of-00001\.gz: the file of records is damaged or cut off"
    ):
        evaluate(models())


def test_what_is_not_proven_in_process_goes_to_beam_by_itself_and_says_why(
    models: Callable[..., Path], evaluate: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.evaluator.measuring import kernels

    monkeypatch.delitem(
        kernels.MAKERS, next(kind for kind in kernels.MAKERS if "ExampleCount" in kind.__name__)
    )
    evaluation, blessing = evaluate(models(), bars=BARS)
    engine = evaluation.get_string_custom_property("engine")
    assert engine.startswith("Beam (in process is not proven equal: example_count")
    assert blessing.get_int_custom_property("blessed") == 1
    assert told(evaluation)["verdicts"][0]["verdict"] == "better"
