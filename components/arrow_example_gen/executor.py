"""Runs the plan as one Beam pipeline: infer column kinds over the whole input, then write every task's
shards.

The runner is named explicitly (in memory, in this process) unless the pipeline's Beam arguments name one.
Nothing appears under the splits' folders before all shards are whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from absl import logging
from tfx import types
from tfx.components.example_gen import utils, write_split
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

from components import progress
from components.arrow_example_gen import schemas, work
from components.arrow_example_gen.errors import InputError
from components.arrow_example_gen.files import find_files
from components.arrow_example_gen.options import Options
from components.arrow_example_gen.planning import Plan, make_plan
from components.arrow_example_gen.writing import publish

OPTIONS_KEY = "options"
SCHEMA_PATH_KEY = "schema_path"
SCHEMA_KEY = "schema"
LOCAL_RUNNER = ["--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1"]


class Executor(base_beam_executor.BaseBeamExecutor):
    """Reads CSV and Parquet files, writes an Examples artifact of gz TFRecord shards."""

    def __init__(self, context: base_beam_executor.BaseBeamExecutor.Context | None = None) -> None:
        super().__init__(context)
        self._beam_pipeline_args = with_runner(context.beam_pipeline_args if context else None)

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises InputError (what is wrong with the data, with file and row) and leaves no shard then."""
        self._log_startup(input_dict, output_dict, exec_properties)
        inputs, outputs = parse_configs(exec_properties)
        artifact = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        names = utils.generate_output_split_names(inputs, outputs)
        with folder_aside(artifact.uri) as folder:
            plan = _plan(inputs, outputs, input_dict, exec_properties, folder)
            work.counter.start()
            infer = None if plan.exact else work.infer
            results = run_tasks(self._make_beam_pipeline, plan.tasks, work.write, plan, folder, infer)
            rows = publish_splits(artifact, names, results, plan.options.gzip_level)
        describe(artifact, names, rows, plan.input_bytes, exec_properties)


@contextlib.contextmanager
def folder_aside(uri: str) -> Iterator[str]:
    """A folder in the artifact, beside its splits, for what is not whole yet; gone at the end."""
    folder = os.path.join(uri, f".writing-{uuid.uuid4().hex[:8]}")
    fileio.makedirs(folder)
    try:
        yield folder
    finally:
        fileio.rmtree(folder)


def run_tasks(
    make_pipeline: Callable[[], beam.Pipeline],
    tasks: Sequence[Any],
    write: Callable[..., work.Facts],
    plan: Any,
    folder: str,
    infer: Callable[[Any, Any], work.Facts] | None = None,
) -> list[work.Facts]:
    """One Beam pipeline of `write(task, plan)`; the results in the order of the tasks.

    With `infer`, `write(task, plan, facts)` also gets what `infer(task, plan)` found over all tasks, merged.
    Raises InputError, the first task's if several found bad input.
    """
    answer = os.path.join(folder, "results.json")
    with make_pipeline() as pipeline:
        items = pipeline | "Tasks" >> beam.Create(list(tasks), reshuffle=len(tasks) > 1)
        arguments: list[Any] = [plan]
        if infer is not None:
            facts = items | "InferKinds" >> beam.Map(infer, plan)
            facts = facts | "MergeKinds" >> beam.CombineGlobally(work.merge_facts)
            arguments.append(beam.pvalue.AsSingleton(facts))
        results = items | "WriteShards" >> beam.Map(write, *arguments)
        _ = results | "Collect" >> beam.combiners.ToList() | "Answer" >> beam.Map(_write_answer, answer)
    with fileio.open(answer, "r") as file:
        found = json.loads(file.read())
    errors = sorted(error for result in found for error in result["errors"])
    if errors:
        raise InputError(errors[0][1])
    return sorted(found, key=lambda result: result["task"])


def _write_answer(results: Sequence[work.Facts], path: str) -> None:
    with fileio.open(path, "w") as file:
        file.write(json.dumps(list(results)))


def with_runner(arguments: Sequence[str] | None) -> list[str]:
    """Beam arguments that name a runner: Beam's own default has changed before, and may want a download."""
    given = list(arguments or [])
    return given if any(str(a).startswith("--runner") for a in given) else [*given, *LOCAL_RUNNER]


def parse_configs(exec_properties: dict[str, Any]) -> tuple[example_gen_pb2.Input, example_gen_pb2.Output]:
    """The two protos that TFX carries as JSON."""
    inputs, outputs = example_gen_pb2.Input(), example_gen_pb2.Output()
    proto_utils.json_to_proto(exec_properties[standard_component_specs.INPUT_CONFIG_KEY], inputs)
    proto_utils.json_to_proto(exec_properties[standard_component_specs.OUTPUT_CONFIG_KEY], outputs)
    return inputs, outputs


def _plan(
    inputs: example_gen_pb2.Input,
    outputs: example_gen_pb2.Output,
    input_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
    folder: str,
) -> Plan:
    options = Options.from_json(exec_properties.get(OPTIONS_KEY) or "{}")
    schema = schemas.load(exec_properties.get(SCHEMA_PATH_KEY), input_dict.get(SCHEMA_KEY))
    split_config = outputs.split_config
    key = options.split_key or split_config.partition_feature_name or None
    base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
    return make_plan(
        [find_files(base, split.pattern) for split in inputs.splits],
        options,
        schemas.kinds(schema),
        schemas.required(schema),
        [split.hash_buckets for split in split_config.splits],
        key,
        folder,
    )


def publish_splits(
    artifact: types.Artifact, names: Sequence[str], results: Sequence[work.Facts], gzip_level: int
) -> list[int]:
    """Moves the shards to their places; returns rows per split. Raises InputError where there is no row at
    all."""
    rows = [sum(result["rows"][number] for result in results) for number in range(len(names))]
    if not sum(rows):
        raise InputError("The input files hold headers only, not one row. Check what wrote them.")
    for number, name in enumerate(names):
        shards = [result["shards"][number] for result in results if result["shards"][number]]
        publish(shards, os.path.join(artifact.uri, f"Split-{name}"), gzip_level)
    return rows


def describe(
    artifact: types.Artifact,
    names: Sequence[str],
    rows: Sequence[int],
    input_bytes: int,
    exec_properties: dict[str, Any],
) -> None:
    """Sets what TFX sets on an Examples artifact, and `num_rows`, `num_rows_<split>`, `num_input_bytes`."""
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
