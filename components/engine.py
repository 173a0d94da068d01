"""Which of two engines does a node's work: straight code in this process, or Beam.

In process is the rule. Beam is taken when a runner is named (`--beam-arg=--runner=...`, the card's, the DAG's param),
or by itself, with the reason said, for work that is not proven equal in process. Executors of ours under TFX's
StatisticsGen, Transform and Evaluator and the function components ask here, so that all mean the same by it. What is
run here is one function on one Beam worker (`on_worker`), for what cannot be spread.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from components.shards import LOCAL_RUNNER
from pipelines.base.errors import ViaductError

if TYPE_CHECKING:
    import apache_beam as beam
    from tfx import types

PROPERTY = "engine"
IN_PROCESS, BEAM = "in process", "Beam"


@dataclasses.dataclass(frozen=True)
class Engine:
    """The choice. `name` is IN_PROCESS or BEAM, `reason` a few words for people."""

    name: str
    reason: str

    @property
    def is_beam(self) -> bool:
        return self.name == BEAM

    def note(self, node: str, artifacts: Iterable[types.Artifact]) -> None:
        """Says the choice in the log, and on the artifacts made, from where the run's record takes it."""
        from absl import logging

        told = f"{self.name} ({self.reason})"
        logging.info("%s works %s.", node, told if self.name == IN_PROCESS else f"on {told}")
        for artifact in artifacts:
            artifact.set_string_custom_property(PROPERTY, told)


def names_runner(beam_args: Sequence[str] | None) -> str:
    """The Beam runner that somebody named, '' if nobody did.

    The house's own three arguments (LOCAL_RUNNER: Beam's executors get a runner at any rate) are not somebody's;
    `--runner=DirectRunner` alone, or beside them, is.
    """
    left, size = [str(argument) for argument in beam_args or ()], len(LOCAL_RUNNER)
    for place in range(len(left)):
        if left[place : place + size] == LOCAL_RUNNER:
            del left[place : place + size]
            break
    runner = ""
    for number, argument in enumerate(left):
        if argument.startswith("--runner="):
            runner = argument.removeprefix("--runner=")
        elif argument == "--runner":
            runner = left[number + 1] if number + 1 < len(left) else ""
    return runner


def choose(beam_args: Sequence[str] | None, obstacle: str = "") -> Engine:
    """Beam where a runner is named, or where an `obstacle` to working in process is told; else in process."""
    runner = names_runner(beam_args)
    if runner:
        return Engine(BEAM, f"{runner} is named")
    return Engine(BEAM, obstacle) if obstacle else Engine(IN_PROCESS, "no Beam runner is named")


def unreadable(examples: Iterable[types.Artifact]) -> str:
    """Why these Examples artifacts are none that `components.columns.read_batches` reads; '' if they are.

    It reads tf.Examples in gz TFRecords, as our ExampleGens and TFX's own write them by default.
    """
    from tfx.components.util import examples_utils
    from tfx.proto import example_gen_pb2

    for artifact in examples:
        payload = examples_utils.get_payload_format(artifact)
        if payload != example_gen_pb2.FORMAT_TF_EXAMPLE:
            return f"the examples are {example_gen_pb2.PayloadFormat.Name(payload)}, not tf.Examples"
        if examples_utils.get_file_format(artifact) != "tfrecords_gzip":
            return f"the examples are files of format {examples_utils.get_file_format(artifact)!r}"
        if artifact.has_custom_property(examples_utils.CUSTOM_SPLIT_PATTERN_PROPERTY_NAME):
            return "the examples' splits are found by patterns"
    return ""


class WorkerError(ViaductError):
    """What a function on a Beam worker told a person is wrong, in its own words."""


def on_worker(
    make_pipeline: Callable[[], beam.Pipeline], folder: str, function: Callable[..., Any], /, **arguments: Any
) -> Any:
    """The value (JSON types) of `function(**arguments)`, called once on a Beam worker; `folder` is one that both see.

    A ViaductError of the function comes back as WorkerError with its text, and is not tried again; whatever else it
    raises is the pipeline's failure.
    """
    import apache_beam as beam
    from tfx.dsl.io import fileio

    answer = os.path.join(folder, "answer.json")
    with make_pipeline() as pipeline:
        _ = (
            pipeline
            | "Arguments" >> beam.Create([arguments], reshuffle=False)
            | "Call" >> beam.Map(_call, function, answer)
        )
    with fileio.open(answer, "r") as file:
        told = json.loads(file.read())
    if "error" in told:
        raise WorkerError(told["error"])
    return told["value"]


def _call(arguments: dict[str, Any], function: Callable[..., Any], answer: str) -> None:
    from tfx.dsl.io import fileio

    try:
        told = {"value": function(**arguments)}
    except ViaductError as error:
        told = {"error": str(error)}
    with fileio.open(answer, "w") as file:
        file.write(json.dumps(told))
