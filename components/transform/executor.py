"""The work of TFX's Transform: by straight code in this process, or by TFX's own executor on Beam.

Which of the two is engine.py's choice; Beam is taken by itself, with the reason said, for what is not done here.
"""

from __future__ import annotations

import os
from typing import Any

from tfx import types
from tfx.components.transform import executor as tfx_executor
from tfx.components.transform import executor_utils, labels
from tfx.components.util import udf_utils
from tfx.types import artifact_utils
from tfx.types import standard_component_specs as specs
from tfx.utils import io_utils

from components import engine, shards
from components.transform import process

Artifacts = dict[str, list[types.Artifact]]


class Executor(tfx_executor.Executor):
    """TFX's inputs, properties and outputs. The engine is noted on the outputs."""

    _beam_pipeline_args: Any

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Raises ProjectError naming row and feature where preprocessing_fn fails, DamagedRecords for damaged rows."""
        named = list(self._beam_pipeline_args or ())
        chosen = engine.choose(named, _obstacle(input_dict, exec_properties))
        if not chosen.is_beam:
            self._log_startup(input_dict, output_dict, exec_properties)
            try:
                self._in_process(input_dict, output_dict, exec_properties)
            except process.NotInProcess as reason:
                chosen = engine.choose(named, str(reason))
        chosen.note("Transform", (artifact for made in output_dict.values() for artifact in made))
        if chosen.is_beam:
            self._beam_pipeline_args = shards.with_runner(named)
            super().Do(input_dict, output_dict, exec_properties)

    def _in_process(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        executor_utils.MatchNumberOfTransformedExamplesArtifacts(input_dict, output_dict)
        examples = input_dict[specs.EXAMPLES_KEY]
        splits = executor_utils.ResolveSplitsConfig(exec_properties.get(specs.SPLITS_CONFIG_KEY), examples)
        transformed = output_dict.get(specs.TRANSFORMED_EXAMPLES_KEY) or []
        executor_utils.SetSplitNames(splits.transform, transformed)
        schema = io_utils.get_only_uri_in_dir(artifact_utils.get_single_uri(input_dict[specs.SCHEMA_KEY]))
        _, packages = udf_utils.decode_user_module_key(exec_properties.get(specs.MODULE_PATH_KEY))
        with udf_utils.TempPipInstallContext([io_utils.ensure_local(package) for package in packages]):
            asked = process.Asked(
                self._GetPreprocessingFn(_function_inputs(exec_properties), {}),
                examples,
                list(splits.analyze),
                list(splits.transform),
                io_utils.SchemaReader().read(schema),
                artifact_utils.get_single_uri(output_dict[specs.TRANSFORM_GRAPH_KEY]),
                transformed,
                _folder(input_dict, specs.ANALYZER_CACHE_KEY),
                _folder(output_dict, specs.UPDATED_ANALYZER_CACHE_KEY),
                exec_properties.get(specs.SAVE_OPTIONS_KEY),
            )
            warnings = process.run(asked)
        for artifact in transformed or output_dict[specs.TRANSFORM_GRAPH_KEY]:
            shards.warn(artifact, warnings)


def _obstacle(input_dict: Artifacts, exec_properties: dict[str, Any]) -> str:
    """Why the properties or the examples are none for straight code, '' if they are."""
    from tensorflow_transform import tf2_utils

    if not exec_properties.get(specs.DISABLE_STATISTICS_KEY):
        return "statistics before and after are asked for"
    if tf2_utils.use_tf_compat_v1(bool(exec_properties.get(specs.FORCE_TF_COMPAT_V1_KEY))):
        return "TensorFlow 1's mode is asked for"
    for artifact in input_dict[specs.EXAMPLES_KEY]:
        for split in artifact_utils.decode_split_names(artifact.split_names):
            (uri,) = artifact_utils.get_split_uris([artifact], split)
            if uri != os.path.join(artifact.uri, f"Split-{split}"):
                return f"split {split!r} is in {uri!r}"
    return engine.unreadable(input_dict[specs.EXAMPLES_KEY])


def _function_inputs(exec_properties: dict[str, Any]) -> dict[str, Any]:
    keys = {
        labels.MODULE_FILE: specs.MODULE_FILE_KEY,
        labels.MODULE_PATH: specs.MODULE_PATH_KEY,
        labels.PREPROCESSING_FN: specs.PREPROCESSING_FN_KEY,
        labels.CUSTOM_CONFIG: specs.CUSTOM_CONFIG_KEY,
    }
    return {label: exec_properties.get(key) for label, key in keys.items()}


def _folder(artifacts: Artifacts, key: str) -> str:
    return artifact_utils.get_single_uri(artifacts[key]) if artifacts.get(key) else ""
