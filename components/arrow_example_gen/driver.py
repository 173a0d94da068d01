"""The driver of our ExampleGens, whose cache key here also covers the schema file: an edit of it reruns the node."""

from __future__ import annotations

import hashlib
from typing import Any

from tfx.components.example_gen import utils
from tfx.dsl.io import fileio
from tfx.orchestration import data_types

from components import example_gen_driver


class Driver(example_gen_driver.Driver):
    """See the module. Runs inside the launcher, before the cache is looked up."""

    def resolve_exec_properties(
        self,
        exec_properties: dict[str, Any],
        pipeline_info: data_types.PipelineInfo,
        component_info: data_types.ComponentInfo,
    ) -> dict[str, Any]:
        """Fills in span, version, fingerprint and the concrete patterns."""
        resolved = super().resolve_exec_properties(exec_properties, pipeline_info, component_info)
        schema = resolved.get("schema_path")
        if schema and fileio.exists(schema):
            with fileio.open(schema, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()[:16]
            resolved[utils.FINGERPRINT_PROPERTY_NAME] += f"\nschema:{digest}"
        return resolved
