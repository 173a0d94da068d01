"""Runs the plan: infer column kinds over the whole input, then write every task's shards.

One task after the other in this process, or as one Beam pipeline where the Beam arguments name a runner. Nothing
appears under the splits' folders before all shards are whole.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from tfx import types
from tfx.components.example_gen import utils
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs

from components import engine, shards
from components.arrow_example_gen import remarks, schemas, unlabelled, work
from components.arrow_example_gen.options import Options
from components.arrow_example_gen.planning import Plan, make_plan
from components.arrow_example_gen.reading.files import find_files
from components.example_gen_executor import ExampleGenExecutor
from components.progress import Counter

OPTIONS_KEY = "options"
SCHEMA_PATH_KEY = "schema_path"
SCHEMA_KEY = "schema"


class Executor(ExampleGenExecutor):
    """Reads CSV and Parquet files, writes an Examples artifact of gz TFRecord shards."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises InputError (what is wrong with the data, with file and row) and leaves no shard then."""
        self._log_startup(input_dict, output_dict, exec_properties)
        inputs, outputs = shards.parse_configs(exec_properties)
        artifact = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        choice = engine.choose(self._beam_pipeline_args)
        choice.note("ArrowExampleGen", [artifact])
        make_pipeline = self._make_beam_pipeline if choice.is_beam else None
        names = utils.generate_output_split_names(inputs, outputs)
        with shards.folder_aside(artifact.uri) as folder:
            plan = _plan(inputs, outputs, input_dict, exec_properties, folder)
            results = shards.run_tasks(
                make_pipeline,
                plan.tasks,
                work.write,
                plan,
                folder,
                functools.partial(Counter, "rows read", 100_000),
                None if plan.exact else work.infer,
                work.merge_facts,
            )
            total = sum(sum(result["rows"]) for result in results)
            unlabelled.refuse(plan.options.label, (result["unlabelled"] for result in results), total)
            rows = shards.publish_splits(artifact, names, results, plan.options.gzip_level, plan.buckets)
        shards.describe(artifact, names, rows, plan.input_bytes, exec_properties)
        shards.warn(artifact, remarks.words(result["remarks"] for result in results))


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
    key = options.split_time or options.split_key or split_config.partition_feature_name or None
    base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
    plan = make_plan(
        [find_files(base, split.pattern, options.encoding) for split in inputs.splits],
        options,
        schemas.kinds(schema),
        schemas.required(schema),
        [split.hash_buckets for split in split_config.splits],
        key,
        folder,
    )
    return dataclasses.replace(plan, ends=work.ends(plan)) if plan.by_time else plan
