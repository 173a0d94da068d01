"""TFX's driver for file-based ExampleGens; the fingerprint also covers the pictures inside class folders.

TFX stats what the pattern matches: of a folder that is its own time stamp, which an edit of a picture in it
does not touch.
"""

from __future__ import annotations

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
        resolved = super().resolve_exec_properties(exec_properties, pipeline_info, component_info)
        inputs = example_gen_pb2.Input()
        proto_utils.json_to_proto(resolved[standard_component_specs.INPUT_CONFIG_KEY], inputs)
        base = resolved[standard_component_specs.INPUT_BASE_KEY]
        for split in inputs.splits:
            for folder in sorted(fileio.glob(os.path.join(base, split.pattern))):
                if fileio.isdir(folder):
                    resolved[utils.FINGERPRINT_PROPERTY_NAME] += "\n" + _fingerprint(folder)
        return resolved


def _fingerprint(folder: str) -> str:
    """Number, bytes and times of all files below, as TFX sums them up for one pattern."""
    number = size = times = 0
    for parent, _, names in fileio.walk(folder):
        for name in names:
            stat = fileio.stat(os.path.join(parent, name))
            number, size, times = number + 1, size + stat.length, times + stat.mtime_nsec // 10**9
    return f"folder:{os.path.basename(folder)},num_files:{number},total_bytes:{size},sum_checksum:{times}"
