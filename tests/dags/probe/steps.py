"""Train: reads the examples, takes `seconds`, writes a model that says which days it saw."""

import json
import os
import time
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Examples, Model


@component
def Train(
    examples: InputArtifact[Examples],
    model: OutputArtifact[Model],
    seconds: Parameter[float],
    fail: Parameter[int],
) -> None:
    import tensorflow as tf

    files = [str(file) for file in Path(examples.uri).rglob("*.gz")]
    days = set()
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP"):
        example = tf.train.Example.FromString(record.numpy())
        days.add(example.features.feature["day"].int64_list.value[0])
    print(f"probe: process {os.getpid()} has seen days {sorted(days)}", flush=True)
    folder = Path(model.uri) / "Format-Serving"
    folder.mkdir(parents=True)
    ballast = os.environ.get("VIADUCT_HOME", "") + "/small-disk"
    if os.path.isdir(ballast):
        Path(ballast, "ballast").write_bytes(b"x" * 4_000_000)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.1)
    if fail:
        raise ValueError("asked to fail")
    (folder / "saved_model.pb").write_text(json.dumps(sorted(days)))
