"""What a node's execution amounts to, in a few plain numbers: rows, metrics, blessing, where it was pushed.

Read from ML Metadata and the artifacts after the node ended, so that a cached node tells the same as a computed
one. For records, XComs and the live table; the artifacts themselves stay where they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any


def summarise(store: Any, execution_id: int, node_id: str) -> dict[str, Any]:
    """The summary of one execution: {'execution', 'cached', 'outputs': [{key, type, id, uri}], ...and by type}.

    Examples give `rows` per split, a ModelEvaluation `metrics` of the whole split
    and `failed_gates`, a ModelBlessing `blessed`, a
    PushedModel `pushed` (its folder, or ''), ExampleAnomalies `anomalies`.
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
    found: dict[str, Any] = {}
    rows = custom_property(artifact, "num_rows")
    if isinstance(rows, str):
        found["rows"] = json.loads(rows)
    elif rows is not None:
        found["rows"] = {"all": int(rows)}
    span = span_of(artifact)
    return found if span is None else {**found, "span": span}


def span_of(artifact: Any) -> int | None:
    """The span number of an Examples artifact; TFX keeps it as a property, cached copies as a custom one."""
    span = custom_property(artifact, "span")
    if span is None and "span" in artifact.properties:
        span = artifact.properties["span"].int_value
    return None if span is None else int(span)


def _evaluation(artifact: Any, node_id: str) -> dict[str, Any]:
    return {"metrics": overall_metrics(artifact.uri), "failed_gates": failed_gates(artifact.uri)}


def failed_gates(uri: str) -> list[str]:
    """What TFMA's validation held against the model, a line each; [] if nothing did or nothing was asked."""
    import tensorflow_model_analysis as tfma

    result = tfma.load_validation_result(uri)
    lines = []
    for per_slice in result.metric_validations_per_slice if result is not None else ():
        for failure in per_slice.failures:
            key, value = failure.metric_key, failure.metric_value.double_value.value
            change = (
                f"changed by {value:+.4g} against the last blessed model"
                if key.is_diff
                else f"is {value:.4g}"
            )
            lines.append(f"{key.name} {change}")
    return lines


def overall_metrics(uri: str) -> dict[str, float]:
    """TFMA's metrics of the whole split, by name; a difference to the baseline is `<name>_diff`.

    Arrays and infinities are left out. Only the metrics are read: the plots beside them are a thousand times as large.
    """
    import tensorflow_model_analysis as tfma

    overall = [record for record in tfma.load_metrics(uri) if not record.slice_key.single_slice_keys]
    numbers = {
        f"{pair.key.name}_diff" if pair.key.is_diff else pair.key.name: pair.value.double_value.value
        for record in overall
        for pair in record.metric_keys_and_values
        if pair.value.HasField("double_value") and pair.key.model_name != tfma.BASELINE_KEY
    }
    return {name: number for name, number in numbers.items() if math.isfinite(number)}


def _blessing(artifact: Any, node_id: str) -> dict[str, Any]:
    return {"blessed": bool(custom_property(artifact, "blessed"))}


def _pushed(artifact: Any, node_id: str) -> dict[str, Any]:
    pushed = custom_property(artifact, "pushed")
    return {"pushed": custom_property(artifact, "pushed_destination") or "" if pushed else ""}


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
    "PushedModel": _pushed,
    "ExampleAnomalies": _anomalies,
}
