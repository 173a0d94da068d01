"""The requests of a rehearsal: recorded ones, or rows of the evaluation; and how many a second were observed.

A request is a serialized PredictRequest that names no version. The newest recorded ones are taken, spread evenly over
the time that the logs cover. It sends nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from serving.bench.payload import grpc_payload
from serving.client import request_logs
from serving.client.log_files import LogFile, log_files, rate_of
from serving.client.protocol import Spec
from serving.telemetry.request_log import frame
from serving.wire import protos

MOST_REQUESTS = 200
# Of the newest log files; older ones say little of today's requests.
MOST_FILES = 24
# What one generator in Python can offer evenly.
MOST_RATE = 500.0


class Requests(NamedTuple):
    """payloads: distinct requests. rate: a second; `observed` whether from logs. source: in words."""

    payloads: list[bytes]
    rate: float
    observed: bool
    source: str


def recorded(logs: str | Path, model: str) -> Requests | None:
    """Requests of the Predict kind from the logs of `model`; None where there are none."""
    files = log_files(logs, model)[-MOST_FILES:]
    found: dict[bytes, None] = {}
    weight = 0.0
    for file in files:
        for log in _logs(file):
            weight += 1 / (log.log_metadata.sampling_config.sampling_rate or 1.0)
            if log.WhichOneof("log_type") == "predict_log":
                found[_payload(log.predict_log.request, model)] = None
    if not found:
        return None
    rate = rate_of(files, weight)
    payloads = evenly(list(found), MOST_REQUESTS)
    return Requests(
        payloads, min(rate or 0.0, MOST_RATE), rate is not None, f"{len(found)} recorded requests"
    )


def of_rows(rows: str | Path, model: str, signature: str, name: str, rate: float) -> Requests:
    """One request for each tf.Example of a TFRecord file, to the input called `name` of a signature."""
    serialized = evenly(list(request_logs.records(rows)), MOST_REQUESTS)
    payloads = []
    for row in serialized:
        array = np.empty(1, dtype=object)
        array[0] = row
        payloads.append(grpc_payload(Spec(model), {name: array}, signature))
    return Requests(payloads, min(rate, MOST_RATE), False, f"{len(payloads)} rows of the evaluation")


def warm_up(payloads: Sequence[bytes], most: int = 20) -> bytes:
    """The file that a server replays before a version becomes available: some of the requests as PredictionLogs."""
    found = []
    for payload in evenly(list(payloads), most):
        log = protos.prediction_log_pb2.PredictionLog()
        log.predict_log.request.MergeFromString(payload)
        found.append(frame(log.SerializeToString(deterministic=True)))
    return b"".join(found)


def evenly(values: list[Any], most: int) -> list[Any]:
    """At most so many of the values, spread evenly, in their order."""
    if len(values) <= most:
        return values
    return [values[int(place)] for place in np.linspace(0, len(values) - 1, most)]


def _logs(file: LogFile) -> list[Any]:
    try:
        return [
            protos.prediction_log_pb2.PredictionLog.FromString(record)
            for record in request_logs.records(file.path)
        ]
    except (OSError, ValueError):
        return []  # removed meanwhile, or damaged: the others will do


def _payload(request: Any, model: str) -> bytes:
    fresh = protos.predict_pb2.PredictRequest()
    fresh.CopyFrom(request)
    fresh.model_spec.ClearField("version")
    fresh.model_spec.ClearField("version_label")
    fresh.model_spec.name = model
    data: bytes = fresh.SerializeToString(deterministic=True)
    return data
