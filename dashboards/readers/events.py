"""Training curves from TensorBoard's event files, and the Keras graph they hold. Reads scalars only.

A curve is a list of (step, value) under a tag and a writer ('train', 'validation': the folder of the file).
Files may still be written to: a torn last record is left for the next time.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashboards.readers.tfrecord import records

# Points per curve that a page gets; longer curves are thinned evenly, first and last point kept.
POINTS = 400
GRAPH_TAG = "keras"


@dataclass
class Training:
    """Curves by tag and writer, and the layers of the model as (name, class, inputs)."""

    curves: dict[str, dict[str, list[tuple[int, float]]]] = field(default_factory=dict)
    layers: list[tuple[str, str, str]] = field(default_factory=list)
    thinned: bool = False


def read_training(folder: Path) -> Training:
    """Everything under a model_run folder. Raises OSError if a file goes away while it is read."""
    training = Training()
    for file in sorted(folder.rglob("events.out.tfevents.*")):
        writer = str(file.parent.relative_to(folder))
        _read_file(file, "all" if writer == "." else writer, training)
    for writers in training.curves.values():
        for writer, points in writers.items():
            points.sort(key=lambda point: point[0])
            if len(points) > POINTS:
                training.thinned = True
                every = (len(points) - 1) / (POINTS - 1)
                writers[writer] = [points[round(i * every)] for i in range(POINTS)]
    return training


def stamp(folder: Path) -> tuple[Any, ...]:
    """Changes when an event file has grown."""
    return tuple((str(f), f.stat().st_size) for f in sorted(folder.rglob("events.out.tfevents.*")))


def _read_file(file: Path, writer: str, training: Training) -> None:
    from tensorboard.compat.proto import event_pb2

    for record in records(file):
        event = event_pb2.Event.FromString(record)
        if event.WhichOneof("what") != "summary":
            continue
        for value in event.summary.value:
            number = _scalar(value)
            if number is not None:
                training.curves.setdefault(value.tag, {}).setdefault(writer, []).append((event.step, number))
            elif value.metadata.plugin_data.plugin_name == "graph_keras_model" and not training.layers:
                training.layers = _layers(value.tensor)


def _scalar(value: Any) -> float | None:
    """The value of a scalar summary of either kind, None for anything else; not a number stays NaN."""
    if value.WhichOneof("value") == "simple_value":
        return float(value.simple_value)
    tensor = value.tensor
    if value.metadata.plugin_data.plugin_name != "scalars" or tensor.tensor_shape.dim:
        return None
    if tensor.float_val:
        return float(tensor.float_val[0])
    if tensor.double_val:
        return float(tensor.double_val[0])
    sizes = {4: "<f", 8: "<d"}
    if len(tensor.tensor_content) in sizes:
        return float(struct.unpack(sizes[len(tensor.tensor_content)], tensor.tensor_content)[0])
    return None


def _layers(tensor: Any) -> list[tuple[str, str, str]]:
    """(name, class, what it reads) of each layer in a Keras model's JSON."""
    try:
        model = json.loads(tensor.string_val[0] if tensor.string_val else tensor.tensor_content)
        config = model.get("config", {})
        layers = config.get("layers", []) if isinstance(config, dict) else config
        return [_layer(layer) for layer in layers]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return []


def _layer(layer: dict[str, Any]) -> tuple[str, str, str]:
    config = layer.get("config", {})
    inputs = [
        str(i[0])
        for node in layer.get("inbound_nodes", [])
        for i in (node if isinstance(node, list) else [])
        if i
    ]
    size = next(
        (
            f"{key} {config[key]}"
            for key in ("units", "filters", "rate", "batch_input_shape")
            if key in config
        ),
        "",
    )
    name = str(layer.get("name") or config.get("name") or "")
    return name, f"{layer.get('class_name', '?')} {size}".strip(), ", ".join(inputs)


def last(points: list[tuple[int, float]]) -> float | None:
    """The last finite value."""
    return next((value for _, value in reversed(points) if math.isfinite(value)), None)
