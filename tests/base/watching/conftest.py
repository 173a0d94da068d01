"""Request logs with the rows that a test names, and a HOME whose model learnt from rows that are there."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from pipelines.base.lineage import lineage
from pipelines.base.paths import Paths
from serving.client.request_logs import frame
from serving.client.tensors import encode, example
from serving.wire import protos

VERSION = 1700000001


def rows(count: int, shift: float = 0.0, seed: int = 0) -> list[bytes]:
    random = np.random.default_rng(seed)
    return [
        example(
            {
                "Amount": random.normal(shift),
                "V1": random.normal(),
                "kind": random.choice([b"a", b"b"]),
                "Class": 0,
            }
        ).SerializeToString()
        for _ in range(count)
    ]


def write_log(
    folder: Path,
    number: int,
    given: list[bytes],
    version: int = VERSION,
    rate: float = 1.0,
    name: str = "card_fraud",
) -> Path:
    """A finished log file: a request for each row, which named no version; the answer tells which gave it."""
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for row in given:
        log = protos.prediction_log_pb2.PredictionLog()
        log.predict_log.request.model_spec.name = name
        array = np.empty(1, object)
        array[0] = row
        log.predict_log.request.inputs["examples"].CopyFrom(encode(array, "examples"))
        log.predict_log.response.model_spec.version.value = version
        log.log_metadata.sampling_config.sampling_rate = rate
        records.append(frame(log.SerializeToString()))
    path = folder / f"{name}-20260101T000{number:03d}Z-7-{number}.tfrecord"
    path.write_bytes(b"".join(records))
    return path


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A run of card_fraud pushed VERSION; 2,000 rows are its training split."""
    from tests.dashboards.synthetic import homes

    monkeypatch.delenv("VIADUCT_METADATA", raising=False)
    homes.Builder(tmp_path).run("card_fraud", 1)
    made = Paths.of("card_fraud", tmp_path)
    (data,) = lineage(made, str(VERSION))["data"]
    split = Path(data["uri"]) / "Split-train"
    split.mkdir(parents=True, exist_ok=True)
    for stale in split.glob("*.gz"):
        stale.unlink()
    with gzip.open(split / "rows.gz", "wb", 1) as file:
        file.write(b"".join(map(frame, rows(2000, seed=99))))
    return made
