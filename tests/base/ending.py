"""A pipeline of two nodes of which the first ends as its caller's environment asks, and one whose driver fails."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

from tfx import v1 as tfx
from tfx.dsl.compiler import compiler

from pipelines.base.paths import Paths

HOW = "VIADUCT_TEST_ENDING"
PROJECT = "ending"


def end() -> None:
    """Ends this process, or its node, in the way that VIADUCT_TEST_ENDING names; nothing without it."""
    how = os.environ.get(HOW, "")
    if how == "raise":
        raise KeyError("no such thing")
    if how.startswith("sys.exit"):
        sys.exit(int(how.removeprefix("sys.exit")))
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "os._exit":
        os._exit(0)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


def write_ir(paths: Paths, run_id: str) -> str:
    """Compiles the pipeline into the run's folder; the file's name."""
    from google.protobuf import json_format

    from tests.base.ending_nodes import maker, reader

    empty = paths.home / "empty"
    empty.mkdir(parents=True, exist_ok=True)
    made = maker().with_id("Maker")
    read = reader(model=made.outputs["model"]).with_id("Reader")
    spans = tfx.proto.Input(splits=[tfx.proto.Input.Split(name="all", pattern="span-{SPAN}/*")])
    driven = tfx.components.CsvExampleGen(input_base=str(empty), input_config=spans)
    pipeline = tfx.dsl.Pipeline(
        pipeline_name=paths.project,
        pipeline_root=str(paths.pipeline_root),
        components=[made, read, driven],
        enable_cache=True,
    )
    compiled = json_format.MessageToDict(compiler.Compiler().compile(pipeline))
    file = paths.runs / run_id / "ir.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(json.dumps(compiled))
    return str(file)
