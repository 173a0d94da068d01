"""TFX's driver for file-based ExampleGens (spans, versions, fingerprint), and two things more.

`input_base` may be a single file, and the fingerprint covers the schema file, so that an edit of it reruns
the node.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

from tfx.components.example_gen import driver, utils
from tfx.dsl.io import fileio
from tfx.orchestration import data_types
from tfx.proto import example_gen_pb2
from tfx.types import standard_component_specs
from tfx.utils import proto_utils


class Driver(driver.FileBasedDriver):
    """See the module. Runs inside the launcher, before the cache is looked up."""

    def resolve_exec_properties(
        self,
        exec_properties: dict[str, Any],
        pipeline_info: data_types.PipelineInfo,
        component_info: data_types.ComponentInfo,
    ) -> dict[str, Any]:
        """Fills in span, version, fingerprint and the concrete patterns."""
        base = exec_properties.get(standard_component_specs.INPUT_BASE_KEY)
        if base and fileio.exists(base) and not fileio.isdir(base):
            exec_properties = _as_folder(exec_properties, base)
        resolved = super().resolve_exec_properties(exec_properties, pipeline_info, component_info)
        schema = resolved.get("schema_path")
        if schema and fileio.exists(schema):
            with fileio.open(schema, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()[:16]
            resolved[utils.FINGERPRINT_PROPERTY_NAME] += f"\nschema:{digest}"
        return resolved


def _as_folder(exec_properties: dict[str, Any], path: str) -> dict[str, Any]:
    """input_base=folder/file with the default pattern becomes folder and file."""
    inputs = example_gen_pb2.Input()
    proto_utils.json_to_proto(exec_properties[standard_component_specs.INPUT_CONFIG_KEY], inputs)
    if len(inputs.splits) != 1 or inputs.splits[0].pattern not in ("*", ""):
        patterns = [split.pattern for split in inputs.splits]
        raise ValueError(f"input_base={path!r} is a file; patterns {patterns!r} need a folder.")
    inputs.splits[0].pattern = os.path.basename(path)
    return {
        **exec_properties,
        standard_component_specs.INPUT_BASE_KEY: os.path.dirname(path),
        standard_component_specs.INPUT_CONFIG_KEY: proto_utils.proto_to_json(inputs),
    }
