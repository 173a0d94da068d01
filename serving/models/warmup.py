"""Replays a model's `assets.extra/tf_serving_warmup_requests` before the version becomes available.

The file is a TFRecord of PredictionLogs, as the original reads it: at most 1,000 records; one that fails
makes the version fail. Reading it needs no TensorFlow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from serving.engine.checks import check_filter, check_inputs, checked_inputs, predict_signature
from serving.engine.classify_regress import CLASSIFY, REGRESS, examples_of, task_outputs
from serving.engine.saved_model import SavedModel
from serving.errors import InvalidArgument, ServingError, Unimplemented
from serving.telemetry.request_log import masked_crc32c
from serving.wire import messages, protos, tensors

FILE = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000


def has_requests(path: str) -> bool:
    return (Path(path) / FILE).is_file()


def records(file: Path) -> Iterator[bytes]:
    """The records of a TFRecord file. Raises InvalidArgument where it is damaged."""
    with file.open("rb") as stream:
        while head := stream.read(12):
            if len(head) < 12 or struct.unpack("<I", head[8:])[0] != masked_crc32c(head[:8]):
                raise InvalidArgument(f"{file} is no TFRecord file, or a damaged one")
            (length,) = struct.unpack("<Q", head[:8])
            data = stream.read(length)
            tail = stream.read(4)
            if len(data) < length or len(tail) < 4 or struct.unpack("<I", tail)[0] != masked_crc32c(data):
                raise InvalidArgument(f"{file} ends within a record, or a record is damaged")
            yield data


def replay(model: SavedModel, name: str, path: str, iterations: int = 1) -> int:
    """Runs every request of the file `iterations` times; the number of records. Raises ServingError."""
    if not has_requests(path):
        return 0
    count = 0
    for data in records(Path(path) / FILE):
        count += 1
        if count > MAX_RECORDS:
            raise InvalidArgument(
                f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {Path(path) / FILE}"
            )
        try:
            log = protos.prediction_log_pb2.PredictionLog.FromString(data)
        except DecodeError:
            raise InvalidArgument(
                f"Failed to parse warmup record {count} of {Path(path) / FILE} as PredictionLog"
            ) from None
        try:
            for _ in range(max(1, iterations)):
                _run(model, log)
        except ServingError as error:
            raise ServingError(f"record {count} for {name}: {error.message}", error.code) from None
    return count


def _run(model: SavedModel, log: Any) -> None:
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        _predict(model, log.predict_log.request)
    elif kind == "classify_log":
        _examples(model, log.classify_log.request, [(log.classify_log.request.model_spec, CLASSIFY)])
    elif kind == "regress_log":
        _examples(model, log.regress_log.request, [(log.regress_log.request.model_spec, REGRESS)])
    elif kind == "multi_inference_log":
        request = log.multi_inference_log.request
        _examples(model, request, [(task.model_spec, task.method_name) for task in request.tasks])
    else:
        raise Unimplemented(f"Unsupported log_type for warmup: {kind}")


def _predict(model: SavedModel, request: Any) -> None:
    twin = messages.PredictRequest.FromString(request.SerializeToString())
    signature = predict_signature(model, request.model_spec.signature_name)
    inputs = {entry.key: tensors.decode(entry.value, entry.key) for entry in twin.inputs}
    wanted = tuple(twin.output_filter)
    check_filter(signature, wanted)
    signature.run(checked_inputs(signature, check_inputs(signature, inputs)), wanted)


def _examples(model: SavedModel, request: Any, tasks: list[tuple[Any, str]]) -> None:
    examples = examples_of(messages.Input.FromString(request.input.SerializeToString()))
    for spec, method in tasks:
        signature = predict_signature(model, spec.signature_name)
        wanted = task_outputs(signature, method)
        signature.run(checked_inputs(signature, {"inputs": examples}), wanted)
