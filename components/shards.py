"""What our ExampleGens share: their configs, tasks on Beam, the folder aside, and publishing what is whole.

A component brings a plan, a list of tasks and a function that writes one task's rows; what a row is, is its own.
Importing this costs nothing: TFX and Beam come with the first call.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import math
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import progress, records
from components.columns import manifest
from pipelines.base import whole
from pipelines.base.errors import ViaductError

if TYPE_CHECKING:
    import apache_beam as beam
    from apache_beam.utils import shared
    from tfx import types
    from tfx.proto import example_gen_pb2

LOCAL_RUNNER = ["--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1"]
_EARLIER_WRITING = ".writing-" + "[0-9a-f]" * 8  # the folder aside of earlier releases, which names no owner
# What a worker says of one task: JSON types, so that any Beam runner carries it.
Facts = dict[str, Any]
# write(task, plan, rows[, facts]) writes the rows of one task as shards and counts them in `rows`. Its answer:
# {"task": number, "shards": facts or None per split, "rows": a number per split, "errors": [[task number, message]]}.
# Bad input is told there and not raised: a runner would retry, and wrap the message in its own.
Write = Callable[..., Facts]


class InputError(ViaductError, ValueError):
    """Input that cannot be turned into examples: what is wrong, in which file and row, what was expected, what to do.

    The message is all there is, and can be printed anywhere: names that are no UTF-8 are escaped in it. Wrong
    arguments are plain ValueErrors, failures of the machine stay OSErrors.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.encode("utf-8", "backslashreplace").decode("utf-8"))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` where something is close, and the known names (at most 20)."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    shown = ", ".join(repr(name) for name in names[:20]) + (", ..." if len(names) > 20 else "")
    return f"{hint} Known: {shown}."


def with_runner(arguments: Sequence[str] | None) -> list[str]:
    """Beam arguments that name a runner: Beam's own default has changed before, and may want a download."""
    given = list(arguments or [])
    return given if any(str(a).startswith("--runner") for a in given) else [*given, *LOCAL_RUNNER]


def parse_configs(exec_properties: dict[str, Any]) -> tuple[example_gen_pb2.Input, example_gen_pb2.Output]:
    """The two protos that TFX carries as JSON."""
    from tfx.proto import example_gen_pb2
    from tfx.types import standard_component_specs
    from tfx.utils import proto_utils

    inputs, outputs = example_gen_pb2.Input(), example_gen_pb2.Output()
    proto_utils.json_to_proto(exec_properties[standard_component_specs.INPUT_CONFIG_KEY], inputs)
    proto_utils.json_to_proto(exec_properties[standard_component_specs.OUTPUT_CONFIG_KEY], outputs)
    return inputs, outputs


def sweep_earlier(uri: str) -> None:
    """Removes what killed executions left half-written in the artifacts beside `uri`, a folder of this machine."""
    with contextlib.suppress(OSError):
        for artifact in Path(uri).parent.iterdir():
            for folder in (artifact, artifact / manifest.FOLDER, *artifact.glob("Split-*")):
                whole.sweep(folder)
            if artifact != Path(uri):
                for left in artifact.glob(_EARLIER_WRITING):
                    shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def folder_aside(uri: str) -> Iterator[str]:
    """A folder in the artifact, beside its splits, for what is not whole yet; gone at the end.

    What killed executions of the node left in their artifacts goes at the start.
    """
    from tfx.dsl.io import fileio

    if records.is_remote(uri):
        folder = os.path.join(uri, f".writing-{uuid.uuid4().hex}")
    else:
        sweep_earlier(uri)
        folder = str(whole.aside_of(Path(uri) / "writing"))
    fileio.makedirs(folder)
    try:
        yield folder
    finally:
        fileio.rmtree(folder)


def run_tasks(
    make_pipeline: Callable[[], beam.Pipeline] | None,
    tasks: Sequence[Any],
    write: Write,
    plan: Any,
    folder: str,
    counter: Callable[[], progress.Counter],
    infer: Callable[[Any, Any], Facts] | None = None,
    merge: Callable[[Iterable[Facts]], Facts] | None = None,
) -> list[Facts]:
    """One Beam pipeline of `write(task, plan, rows)`, or without `make_pipeline` one task after the other in this
    process; the results in the order of the tasks.

    With `infer` and `merge`, `write` also gets what `infer(task, plan)` found over all tasks, merged. `counter`
    makes what all tasks of one process count in. Raises InputError, the first task's if several have bad input.
    """
    if make_pipeline is None:
        rows = counter()
        facts = [] if infer is None or merge is None else [merge([infer(task, plan) for task in tasks])]
        told = [write(task, plan, rows, *facts) for task in tasks]
    else:
        told = _on_beam(make_pipeline, tasks, write, plan, folder, counter, infer, merge)
    errors = sorted(error for result in told for error in result["errors"])
    if errors:
        raise InputError(errors[0][1])
    return sorted(told, key=lambda result: result["task"])


def _on_beam(
    make_pipeline: Callable[[], beam.Pipeline],
    tasks: Sequence[Any],
    write: Write,
    plan: Any,
    folder: str,
    counter: Callable[[], progress.Counter],
    infer: Callable[[Any, Any], Facts] | None,
    merge: Callable[[Iterable[Facts]], Facts] | None,
) -> list[Facts]:
    import apache_beam as beam
    from apache_beam.utils import shared
    from tfx.dsl.io import fileio

    answer = os.path.join(folder, "results.json")
    with make_pipeline() as pipeline:
        items = pipeline | "Tasks" >> beam.Create(list(tasks), reshuffle=len(tasks) > 1)
        arguments: list[Any] = [write, plan, shared.Shared(), counter]
        if infer is not None:
            facts = items | "InferKinds" >> beam.Map(infer, plan)
            facts = facts | "MergeKinds" >> beam.CombineGlobally(merge)
            arguments.append(beam.pvalue.AsSingleton(facts))
        results = items | "WriteShards" >> beam.Map(_write_counted, *arguments)
        _ = results | "Collect" >> beam.combiners.ToList() | "Answer" >> beam.Map(_write_answer, answer)
    with fileio.open(answer, "r") as file:
        return json.loads(file.read())


def _write_counted(
    task: Any,
    write: Write,
    plan: Any,
    handle: shared.Shared,
    counter: Callable[[], progress.Counter],
    facts: Facts | None = None,
) -> Facts:
    rows = handle.acquire(counter)
    return write(task, plan, rows) if facts is None else write(task, plan, rows, facts)


def _write_answer(results: Sequence[Facts], path: str) -> None:
    from tfx.dsl.io import fileio

    with fileio.open(path, "w") as file:
        file.write(json.dumps(list(results)))


def publish_splits(
    artifact: types.Artifact,
    names: Sequence[str],
    results: Sequence[Facts],
    gzip_level: int,
    buckets: Sequence[int] = (),
) -> list[int]:
    """Moves the shards to their places; returns rows per split. `buckets` are those of TFX's hash, if it was by hash.

    Raises InputError where a split has no row, with how many rows would do.
    """
    rows = [sum(result["rows"][number] for result in results) for number in range(len(names))]
    if not sum(rows):
        raise InputError("The input files hold headers only, not one row. Check what wrote them.")
    if 0 in rows:
        there = ", ".join(f"{count} in {name}" for name, count in zip(names, rows, strict=True) if count)
        raise InputError(
            f"Split {names[rows.index(0)]!r} has no rows ({there}).{_enough(buckets)} Bring more data, or change "
            "how it is split."
        )
    splits = {
        name: [result["shards"][number] for result in results if result["shards"][number]]
        for number, name in enumerate(names)
    }
    records.publish(artifact.uri, splits, gzip_level)
    return rows


def _enough(buckets: Sequence[int]) -> str:
    """How many different rows leave no split of these hash buckets empty, but once in a million times."""
    if not buckets or min(buckets) == sum(buckets):
        return ""
    count = math.ceil(math.log(1e-6) / math.log(1 - min(buckets) / sum(buckets)))
    return f" {count} different rows would do: each goes to a split by its hash, {' to '.join(map(str, buckets))}."


def warn(artifact: types.Artifact, warnings: Sequence[str]) -> None:
    """Says what a person should know about the data, in the log and as the artifact's property `warnings`."""
    from absl import logging

    for sentence in warnings:
        logging.warning("%s", sentence)
    if warnings:
        artifact.set_string_custom_property("warnings", json.dumps(list(warnings)))


def describe(
    artifact: types.Artifact,
    names: Sequence[str],
    rows: Sequence[int],
    input_bytes: int,
    exec_properties: dict[str, Any],
) -> None:
    """Sets what TFX sets on an Examples artifact, and `num_rows`, `num_rows_<split>`, `num_input_bytes`."""
    from absl import logging
    from tfx.components.example_gen import write_split
    from tfx.components.util import examples_utils
    from tfx.proto import example_gen_pb2
    from tfx.types import artifact_utils, standard_component_specs

    artifact.split_names = artifact_utils.encode_split_names(list(names))
    examples_utils.set_payload_format(
        artifact,
        exec_properties.get(standard_component_specs.OUTPUT_DATA_FORMAT_KEY)
        or example_gen_pb2.FORMAT_TF_EXAMPLE,
    )
    examples_utils.set_file_format(
        artifact, write_split.to_file_format_str(example_gen_pb2.FORMAT_TFRECORDS_GZIP)
    )
    artifact.set_int_custom_property("num_rows", sum(rows))
    for name, count in zip(names, rows, strict=True):
        artifact.set_int_custom_property(f"num_rows_{name}", count)
    artifact.set_int_custom_property("num_input_bytes", input_bytes)
    progress.report(sum(rows), sum(rows), unit="rows", force=True)
    parts = ", ".join(f"{name} {count}" for name, count in zip(names, rows, strict=True))
    logging.info("rows read: %d (%s)", sum(rows), parts)
