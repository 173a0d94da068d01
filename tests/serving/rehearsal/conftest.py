"""What the rehearsal tests share: a served folder, candidates, and logs of requests that somebody sent."""

from __future__ import annotations

import calendar
import os
from pathlib import Path

import numpy as np
import pytest

from serving.bench.payload import grpc_payload
from serving.client.protocol import Spec
from serving.client.request_logs import frame
from serving.rehearsal.terms import Terms
from serving.wire import protos
from tests.serving import savedmodels

NAME = "m-20260101T000000Z-7-{number}.tfrecord"


def predict_log(value: float, *, version: int = 1, rate: float = 1.0) -> bytes:
    """A PredictionLog of one request of one row [value, 2]."""
    inputs = {"x": np.array([[value, 2.0]], np.float32)}
    log = protos.prediction_log_pb2.PredictionLog()
    log.predict_log.request.MergeFromString(grpc_payload(Spec("m", version), inputs, "serving_default"))
    log.log_metadata.model_spec.CopyFrom(log.predict_log.request.model_spec)
    log.log_metadata.sampling_config.sampling_rate = rate
    return log.SerializeToString()


STARTED = calendar.timegm((2026, 1, 1, 0, 0, 0))


def write_log(folder: Path, records: list[bytes], number: int = 1, seconds: float = 0.0) -> Path:
    """A finished log file that was open for so many seconds."""
    folder.mkdir(exist_ok=True)
    path = folder / NAME.format(number=number)
    path.write_bytes(b"".join(map(frame, records)))
    os.utime(path, (STARTED + seconds, STARTED + seconds))
    return path


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """served/1, and candidates beside it."""
    root = tmp_path_factory.mktemp("rehearsed")
    savedmodels.scaled(root / "served" / "1", 1)
    savedmodels.scaled(root / "good", 2)
    savedmodels.unsteady(root / "failing", 2, errors=0.2)
    return root


@pytest.fixture
def terms(versions: Path, tmp_path: Path) -> Terms:
    """A second's rehearsal of the good candidate, with twenty recorded requests."""
    write_log(tmp_path / "logs", [predict_log(float(n)) for n in range(20)])
    return Terms(
        model="m",
        candidate=str(versions / "good"),
        served=str(versions / "served"),
        logs=str(tmp_path / "logs"),
        out=str(tmp_path / "out"),
        seconds=1.5,
        rate=60.0,
    )
