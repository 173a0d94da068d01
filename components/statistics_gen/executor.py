"""The work of TFX's StatisticsGen, done in this process over columns, or by TFX's own executor on Beam.

Artifacts are TFX's: `Split-<name>/FeatureStats.pb` and the same properties. Which of the two did it is one more.
"""

from __future__ import annotations

import json
import os
from typing import Any

from tfx import types
from tfx.components.statistics_gen import executor as tfx_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, json_utils, stats_utils

from components import columns, engine
from components.statistics_gen import computing

SPECS = standard_component_specs


class Executor(tfx_executor.Executor):
    """TFX's executor, which goes without Beam where it can."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """As TFX's. Raises DamagedRecords for records that cannot be read whole."""
        made = artifact_utils.get_single_instance(output_dict[SPECS.STATISTICS_KEY])
        options = stats_options(input_dict, exec_properties)
        obstacle = (
            engine.unreadable(input_dict[SPECS.EXAMPLES_KEY])
            or _sampled_or_sharded(exec_properties)
            or computing.obstacle(options)
        )
        choice = engine.choose(self._beam_pipeline_args, obstacle)
        choice.note("StatisticsGen", [made])
        if choice.is_beam:
            super().Do(input_dict, output_dict, exec_properties)
            return
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(input_dict[SPECS.EXAMPLES_KEY])
        excluded = json_utils.loads(exec_properties.get(SPECS.EXCLUDE_SPLITS_KEY) or "null") or []
        splits = [s for s in artifact_utils.decode_split_names(examples.split_names) if s not in excluded]
        if not splits:
            raise ValueError(f"No splits for examples artifact: {examples}")
        _describe(made, examples, splits, options.sample_rate or 1.0)
        for split in splits:
            found = computing.statistics(columns.read_batches(examples.uri, split), options)
            path = os.path.join(artifact_utils.get_split_uri([made], split), tfx_executor.DEFAULT_FILE_NAME)
            io_utils.write_bytes_file(path, found.SerializeToString())


def stats_options(input_dict: dict[str, list[types.Artifact]], exec_properties: dict[str, Any]) -> Any:
    """The options of the node, with the schema of its channel. Raises ValueError for two schemas, as TFX does."""
    import tensorflow_data_validation as tfdv

    told = exec_properties.get(SPECS.STATS_OPTIONS_JSON_KEY)
    options = tfdv.StatsOptions.from_json(told) if told else tfdv.StatsOptions()
    if input_dict.get(SPECS.SCHEMA_KEY):
        if options.schema:
            raise ValueError(
                "StatisticsGen has a schema as an input and another in its stats_options. Give it one of them."
            )
        folder = artifact_utils.get_single_uri(input_dict[SPECS.SCHEMA_KEY])
        options.schema = io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(folder))
    return options


def _sampled_or_sharded(exec_properties: dict[str, Any]) -> str:
    if json_utils.loads(exec_properties.get(SPECS.SAMPLE_RATE_BY_SPLIT_KEY) or "null"):
        return "splits are sampled"
    return "statistics are written as shards" if exec_properties.get(SPECS.SHARDED_STATS_OUTPUT_KEY) else ""


def _describe(made: types.Artifact, examples: types.Artifact, splits: list[str], rate: float) -> None:
    """What TFX's executor sets on the artifact."""
    made.split_names = artifact_utils.encode_split_names(splits)
    made.span = examples.span
    made.set_string_custom_property(
        tfx_executor.STATS_DASHBOARD_LINK, stats_utils.generate_stats_dashboard_link(made)
    )
    made.set_json_value_custom_property(
        tfx_executor.SAMPLE_RATE_BY_SPLIT_PROPERTY_NAME, json.dumps(dict.fromkeys(splits, rate))
    )
