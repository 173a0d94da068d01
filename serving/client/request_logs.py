"""Reads request logs back: PredictionLogs, and the rows in them as tf.Examples for TFDV and tf.data.

A PredictionLog keeps requests as they came. Classify and Regress carry tf.Examples; Predict carries tensors:
where a signature takes serialized tf.Examples they are taken out, and where it takes columns, each row
becomes an Example with one feature per input. Does not need TensorFlow; `as_examples` writes files that
`tfdv.generate_statistics_from_tfrecord` and `tf.data.TFRecordDataset` read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from serving.client.tensors import decode, example
from serving.telemetry.request_log import frame, masked_crc32c
from serving.wire import feedback, protos


def records(path: str | Path) -> Iterator[bytes]:
    """The records of a TFRecord file. Raises ValueError that names the file and the place that is broken."""
    with open(path, "rb") as file:
        while head := file.read(12):
            place = file.tell() - len(head)
            if len(head) < 12 or head[8:] != struct.pack("<I", masked_crc32c(head[:8])):
                raise ValueError(
                    f"{path} is broken at byte {place}: the length of a record does not match its checksum"
                )
            (length,) = struct.unpack("<Q", head[:8])
            body = file.read(length)
            if file.read(4) != struct.pack("<I", masked_crc32c(body)):
                raise ValueError(f"{path} is broken at byte {place}: a record does not match its checksum")
            yield body


def with_ids(directory: str | Path, model: str | None = None) -> Iterator[tuple[str, Any]]:
    """(request id, PredictionLog) of all finished files in a folder, as `prediction_logs`; "" where a log has no id.

    The ids are what outcomes name a request by: `serving.ab.units.Feedback(...).outcomes` has those of a model.
    """
    for path in _finished(directory):
        for record in records(path):
            log = protos.prediction_log_pb2.PredictionLog.FromString(record)
            if model is None or log.log_metadata.model_spec.name in ("", model):
                yield feedback.LogId.FromString(record).request_id, log


def prediction_logs(directory: str | Path, model: str | None = None) -> Iterator[Any]:
    """The PredictionLog messages of all finished files in a folder, oldest file first.

    model: only those whose model spec bears this name.
    """
    for _, log in with_ids(directory, model):
        yield log


def _finished(directory: str | Path) -> list[Path]:
    return sorted(Path(directory).glob("*.tfrecord"), key=lambda p: (p.stat().st_mtime_ns, p.name))


def examples(log: Any) -> list[bytes]:
    """The rows of one PredictionLog as serialized tf.Examples; none for kinds that carry no rows."""
    kind = log.WhichOneof("log_type")
    if kind in ("classify_log", "regress_log", "multi_inference_log"):
        given = getattr(log, kind).request.input
        if given.WhichOneof("kind") == "example_list_with_context":
            return [
                _with_context(row, given.example_list_with_context.context)
                for row in given.example_list_with_context.examples
            ]
        return [row.SerializeToString() for row in given.example_list.examples]
    if kind != "predict_log":
        return []
    columns = {name: decode(tensor) for name, tensor in log.predict_log.request.inputs.items()}
    if len(columns) == 1:
        (only,) = columns.values()
        if only.dtype == object and only.ndim == 1 and all(_is_example(value) for value in only):
            return list(only)
    columns = {name: array for name, array in columns.items() if array.ndim}
    count = min((len(array) for array in columns.values()), default=0)
    return [
        example({name: array[row] for name, array in columns.items()}).SerializeToString()
        for row in range(count)
    ]


def _with_context(row: Any, context: Any) -> bytes:
    """The protocol's rule: the context's features belong to every row, whose own features win."""
    whole = protos.example_pb2.Example()
    whole.CopyFrom(context)
    for name, feature in row.features.feature.items():
        whole.features.feature[name].CopyFrom(feature)
    data: bytes = whole.SerializeToString()
    return data


def _is_example(data: bytes) -> bool:
    """Whether bytes are a tf.Example with features. Plain text is not taken for one."""
    try:
        message = protos.example_pb2.Example.FromString(data)
    except Exception:
        return False
    return bool(message.features.feature)


def as_examples(logs: Iterable[Any], path: str | Path) -> int:
    """Writes the rows of PredictionLogs as a TFRecord file of tf.Examples and returns how many there are."""
    count = 0
    aside = Path(f"{path}.part")
    with open(aside, "wb") as file:
        for log in logs:
            for row in examples(log):
                file.write(frame(row))
                count += 1
    aside.replace(path)
    return count
