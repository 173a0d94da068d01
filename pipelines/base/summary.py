"""What a node's execution amounts to, in a few plain numbers: rows, metrics, blessing, where it was pushed.

Read from ML Metadata and the artifacts after the node ended, so that a cached node tells the same as a computed
one. For records, XComs and the live table; the artifacts themselves stay where they are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.base.run_record import plain_numbers

# Beside an evaluation: the gate's verdicts (components/confidence/record.py writes them).
VERDICTS_FILE = "verdicts.json"


def summarise(store: Any, execution_id: int, node_id: str) -> dict[str, Any]:
    """The summary of one execution: {'execution', 'cached', 'outputs': [{key, type, id, uri}], ...and by type}.

    Examples give `rows` per split and `warnings` about the data, a ModelEvaluation `metrics` of the whole split
    (numbers, or 'inf', '-inf', 'nan'), `failed_gates` and `verdicts`, a ModelBlessing `blessed`, a PushedModel `pushed`
    (its folder, or ''), ExampleAnomalies `anomalies`, TunerResults `tuned` (what was chosen,
    in words). What can be done by two engines says by which it was, and why
    (`engine`: see components.engine).
    """
    from ml_metadata.proto import metadata_store_pb2 as pb

    (execution,) = store.get_executions_by_id([execution_id])
    summary: dict[str, Any] = {
        "execution": execution_id,
        "cached": execution.last_known_state == pb.Execution.CACHED,
        "outputs": [],
    }
    events = store.get_events_by_execution_ids([execution_id])
    keys = {e.artifact_id: e.path.steps[0].key for e in events if e.type == pb.Event.OUTPUT and e.path.steps}
    for artifact in store.get_artifacts_by_id(list(keys)) if keys else []:
        kind = artifact.type or store.get_artifact_types_by_id([artifact.type_id])[0].name
        summary["outputs"].append(
            {"key": keys[artifact.id], "type": kind, "id": artifact.id, "uri": artifact.uri}
        )
        engine = custom_property(artifact, "engine")
        if engine:
            summary["engine"] = engine
        reader = READERS.get(kind)
        if reader is not None:
            summary.update(reader(artifact, node_id))
    return summary


def custom_property(artifact: Any, name: str) -> Any:
    """A custom property's value, whatever its type, or None."""
    if name not in artifact.custom_properties:
        return None
    value = artifact.custom_properties[name]
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None


def _examples(artifact: Any, node_id: str) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    rows = custom_property(artifact, "num_rows")
    if isinstance(rows, str):
        summary["rows"] = json.loads(rows)
    elif rows is not None:
        splits = {
            name.removeprefix("num_rows_"): int(custom_property(artifact, name))
            for name in sorted(artifact.custom_properties, key=_usual_order)
            if name.startswith("num_rows_")
        }
        summary["rows"] = splits or {"all": int(rows)}
    warnings = custom_property(artifact, "warnings")
    if warnings:
        summary["warnings"] = json.loads(warnings)
    span = span_of(artifact)
    return summary if span is None else {**summary, "span": span}


def _usual_order(name: str) -> tuple[int, str]:
    """Properties of a split's rows as people name the splits: train, tune, eval, then others."""
    usual = ["num_rows_train", "num_rows_tune", "num_rows_eval"]
    return (usual.index(name) if name in usual else len(usual), name)


def span_of(artifact: Any) -> int | None:
    """The span number of an Examples artifact; TFX keeps it as a property, cached copies as a custom one."""
    span = custom_property(artifact, "span")
    if span is None and "span" in artifact.properties:
        span = artifact.properties["span"].int_value
    return None if span is None else int(span)


def _evaluation(artifact: Any, node_id: str) -> dict[str, Any]:
    metrics = plain_numbers(overall_metrics(artifact.uri))
    told = {"metrics": metrics, "failed_gates": failed_gates(artifact.uri)}
    return {**told, "verdicts": verdicts(artifact.uri)}


def verdicts(uri: str) -> list[dict[str, Any]]:
    """What the gate said of all rows and of the slices it judges; [] for an evaluation that was judged without it."""
    try:
        told = json.loads((Path(uri) / VERDICTS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [verdict for verdict in told.get("verdicts", []) if verdict["judged"]]


def failed_gates(uri: str) -> list[str]:
    """What TFMA's validation held against the model, a line each; [] if nothing did or nothing was asked.

    'recall is 0.71 for country = de, needs >= 0.8'; a metric that is not there 'was not measured'.
    """
    import tensorflow_model_analysis as tfma

    result = tfma.load_validation_result(uri)
    return [
        _gate(failure, _slice(per_slice.slice_key))
        for per_slice in (result.metric_validations_per_slice if result is not None else ())
        for failure in per_slice.failures
    ]


def _gate(failure: Any, where: str) -> str:
    """The gate's own words, with the interval, where it has put them into the validation; else what TFMA found."""
    if failure.message and failure.HasField("metric_value"):
        return str(failure.message)
    number = failure.metric_value.WhichOneof("type") == "double_value"
    value = failure.metric_value.double_value.value
    if failure.metric_key.is_diff or failure.metric_threshold.HasField("change_threshold"):
        said = f"changed by {value:+.4g} against the last blessed model" if number else "was not compared"
    else:
        said = f"is {value:.4g}" if number else "was not measured"
    place, bound = f" for {where}" if where else "", _bound(failure.metric_threshold)
    return f"{failure.metric_key.name} {said}{place}" + (f", needs {bound}" if bound else "")


def _bound(threshold: Any) -> str:
    """'>= 0.7 and <= 0.999' of a MetricThreshold; bars carry a slack of 1e-9, and people get the bar."""
    change = threshold.change_threshold
    if threshold.HasField("change_threshold"):
        import tensorflow_model_analysis as tfma

        what, sign = "a change ", ">=" if change.direction == tfma.MetricDirection.HIGHER_IS_BETTER else "<="
        ends = [(sign, change, "absolute", ""), (sign, change, "relative", " of the last one")]
    else:
        value = threshold.value_threshold
        what, ends = "", [(">=", value, "lower_bound", ""), ("<=", value, "upper_bound", "")]
    given = [(sign, getattr(of, name).value, unit) for sign, of, name, unit in ends if of.HasField(name)]
    # The largest number there is only keeps infinite metrics from passing.
    texts = [f"{sign} {round(x, 8) + 0.0:g}{unit}" for sign, x, unit in given if abs(x) < sys.float_info.max]
    return what + " and ".join(texts) if texts else ""


def _slice(key: Any) -> str:
    """'country = de, hour = 3' of a SliceKey; '' for all rows."""
    parts = []
    for single in key.single_slice_keys:
        kind = single.WhichOneof("kind")
        value = getattr(single, kind) if kind else ""
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else f"{value:g}" if kind else ""
        parts.append(f"{single.column} = {text}")
    return ", ".join(parts)


def overall_metrics(uri: str) -> dict[str, float]:
    """TFMA's metrics of the whole split, by name; a difference to the baseline is `<name>_diff`.

    Infinities and NaN are what was measured, and stay; arrays are left out. Only the metrics are read: the plots
    beside them are a thousand times as large.
    """
    import tensorflow_model_analysis as tfma

    overall = [record for record in tfma.load_metrics(uri) if not record.slice_key.single_slice_keys]
    return {
        f"{pair.key.name}_diff" if pair.key.is_diff else pair.key.name: pair.value.double_value.value
        for record in overall
        for pair in record.metric_keys_and_values
        if pair.value.HasField("double_value") and pair.key.model_name != tfma.BASELINE_KEY
    }


def _blessing(artifact: Any, node_id: str) -> dict[str, Any]:
    return {"blessed": bool(custom_property(artifact, "blessed"))}


def _rehearsed(artifact: Any, node_id: str) -> dict[str, Any]:
    """What a rehearsal showed; a model that missed a bar of it is not blessed after all."""
    if not custom_property(artifact, "rehearsed"):
        return {}
    bars = json.loads(custom_property(artifact, "bars") or "[]")
    told = {"rehearsal": [{key: bar[key] for key in ("name", "passed", "value", "text")} for bar in bars]}
    missed = [f"Rehearsal: {bar['name']} missed: {bar['text']}" for bar in bars if not bar["passed"]]
    return {**told, "warnings": missed, "blessed": False} if missed else told


def _pushed(artifact: Any, node_id: str) -> dict[str, Any]:
    pushed = custom_property(artifact, "pushed")
    return {"pushed": custom_property(artifact, "pushed_destination") or "" if pushed else ""}


def _tuned(artifact: Any, node_id: str) -> dict[str, Any]:
    return {"tuned": told} if (told := tuned_in_words(artifact)) else {}


def tuned_in_words(artifact: Any) -> str:
    """How a Tuner's choice was made: 'auc_pr 0.81 +- 0.01 on the tune split, best of 20 trials'; '' if not told."""
    mean, error = (custom_property(artifact, name) for name in ("mean", "error"))
    if mean is None or error is None:
        return ""
    told = f"{custom_property(artifact, 'metric')} {mean:.4g} +- {error:.2g} on the tune split"
    return f"{told}, best of {custom_property(artifact, 'trials')} trials"


def _anomalies(artifact: Any, node_id: str) -> dict[str, Any]:
    return {"anomalies": anomalies(Path(artifact.uri))}


def anomalies(folder: Path) -> list[dict[str, str]]:
    """TFDV's anomalies of every split: {'split', 'feature', 'found'}, where `found` holds what was expected too."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    listed = []
    for file in sorted(folder.glob("Split-*/SchemaDiff.pb")):
        read = anomalies_pb2.Anomalies.FromString(file.read_bytes())
        for feature, info in sorted(read.anomaly_info.items()):
            reasons = "; ".join(reason.description for reason in info.reason) or info.description
            listed.append(
                {"split": file.parent.name.removeprefix("Split-"), "feature": feature, "found": reasons}
            )
        if read.HasField("dataset_anomaly_info"):
            listed.append(
                {
                    "split": file.parent.name.removeprefix("Split-"),
                    "feature": "(data set)",
                    "found": read.dataset_anomaly_info.description,
                }
            )
    return listed


READERS: dict[str, Callable[[Any, str], dict[str, Any]]] = {
    "Examples": _examples,
    "ModelEvaluation": _evaluation,
    "ModelBlessing": _blessing,
    "InfraBlessing": _rehearsed,
    "PushedModel": _pushed,
    "ExampleAnomalies": _anomalies,
    "TunerResults": _tuned,
}
