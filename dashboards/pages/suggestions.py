"""An example request for the form: a row of the data that the served model was made of, else zeros.

The row comes from the run that pushed the version, else from the newest run that succeeded, and has no label: that is
what the model is asked for. What is shown is JSON for `Servers.predict`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dashboards.pages.classes import label_keys
from dashboards.pages.site import Site
from dashboards.readers.evaluation import read_evaluation
from dashboards.readers.files import Missing
from dashboards.readers.protos import message
from dashboards.readers.tfrecord import records
from pipelines.base import production
from pipelines.base.run_record import RunRecord

# Runs whose files are looked for before there is no example.
MOST_RUNS = 20


def takes_examples(signature: Any) -> bool:
    """Whether its only input is a list of serialized tf.Examples."""
    inputs = list(signature.inputs.values())
    return (
        len(inputs) == 1
        and inputs[0].dtype == "object"
        and inputs[0].name in ("examples", "inputs", "input_example_tensor")
    )


def suggestion(site: Site, model: str, version: int | None, signature: Any, rows: bool) -> Any:
    """A row of the data where the signature takes examples, else zeros of the right shape."""
    if signature is None:
        return {}
    if rows:
        return [_row_of_data(site, model, version)]
    return {name: _zeros(info) for name, info in signature.inputs.items()}


def _zeros(info: Any) -> Any:
    value: Any = {"object": "", "bool": False}.get(info.dtype, 0.0 if "float" in info.dtype else 0)
    for size in reversed(info.shape or (1,)):
        value = [value] * (1 if size is None else min(size, 64))
    return value


def _row_of_data(site: Site, model: str, version: int | None) -> dict[str, Any]:
    """The first example of an evaluation split that can be read; {} if there is none."""
    for record in _records(site, model, version):
        for output in site.outputs(record, "Examples"):
            if output["node"] == "Transform":
                continue
            try:
                folder = site.files.inside(Path(output["uri"]) / "Split-eval")
                first = next((r for file in sorted(folder.iterdir()) for r in records(file)), None)
                if first is not None:
                    example = message("tensorflow.Example").FromString(first)
                    return _json_row(example, without=_labels(site, record))
            except (Missing, OSError):
                continue
    return {}


def _records(site: Site, model: str, version: int | None) -> Iterator[RunRecord]:
    """Runs that succeeded, newest first, the one that pushed this version of `model` before all."""
    project = production.project_of(model)
    rows = [row for row in site.runs.rows(project) if row.state in ("succeeded", "recorded")]
    rows.sort(key=lambda row: Path(row.pushed).parts[-2:] != (model, str(version)))
    for row in rows[:MOST_RUNS]:
        try:
            record = site.runs.record(row.run_id)
        except Missing:
            continue
        if record.state == "succeeded":
            yield record


def _labels(site: Site, record: RunRecord) -> set[str]:
    """What the run's evaluation took for the label, by its config and by the card."""
    labels = set(label_keys(site.card(record.project)))
    for output in site.outputs(record, "ModelEvaluation"):
        try:
            config = site.parsed(output["uri"], read_evaluation).config
        except Missing:
            continue
        for spec in config.get("modelSpecs", []):
            labels |= {spec.get("labelKey", ""), *spec.get("labelKeys", {}).values()}
    return labels


def _json_bytes(value: bytes) -> Any:
    """Text as text, anything else as {"b64": ...}, which `Servers.predict` turns back."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if all(character.isprintable() or character in "\n\t" for character in text):
        return text
    return {"b64": base64.b64encode(value).decode()}


def lines(value: Any) -> str:
    """JSON with one line per name: a picture's numbers on lines of their own would fill pages."""
    if isinstance(value, list):
        return "[" + ",\n".join(lines(item) for item in value) + "]"
    members = (f" {json.dumps(name)}: {json.dumps(item, ensure_ascii=False)}" for name, item in value.items())
    return "{\n" + ",\n".join(members) + "\n}"


def _json_row(example: Any, without: set[str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, feature in sorted(example.features.feature.items()):
        kind = feature.WhichOneof("kind")
        values = list(getattr(feature, kind).value) if kind else []
        if kind == "bytes_list":
            values = [_json_bytes(v) for v in values]
        elif kind == "float_list":
            values = [float(f"{v:.7g}") for v in values]
        if values and name not in without:
            row[name] = values[0] if len(values) == 1 else values
    return row
