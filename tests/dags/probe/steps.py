"""Train: reads the examples, takes `seconds`, writes a model that says which days it saw. Report: looks at it."""

import json
import os
import time
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Examples, Model

from pipelines.base.errors import ProjectError


@component
def Train(
    examples: InputArtifact[Examples],
    model: OutputArtifact[Model],
    seconds: Parameter[float],
    fail: Parameter[int],
) -> None:
    import tensorflow as tf

    if seconds < 0:
        raise ProjectError(f"probe: seconds is {seconds!r}; expected 0 or more.")
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
    # Two runs that differ in a parameter have models that differ: what is the same is published once.
    (folder / "seconds").write_text(str(seconds))


@component
def Report(model: InputArtifact[Model], fail: Parameter[int]) -> None:
    if fail:
        raise ValueError("the report was asked to fail")
    print(f"probe: a report on {model.uri}")
