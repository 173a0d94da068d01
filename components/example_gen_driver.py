"""The driver of our ExampleGens: which span and version, and a cache key that sees every change of the data.

TFX's own takes the data's folder for a part of the pattern (so that `data[1]` means `data1`), and its key holds sums
of times in whole seconds: other content under an old time, or within the same second, is not seen, nor is a renamed
file. Here the key is the digest of names and content (see pipelines.base.data_state), which is remembered under HOME.
Remote folders are left to TFX.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tfx.components.example_gen import driver, input_processor, utils
from tfx.orchestration import data_types
from tfx.proto import example_gen_pb2, range_config_pb2
from tfx.types import standard_component_specs
from tfx.utils import proto_utils

from components import inputs
from components.records import is_remote
from components.shards import InputError
from pipelines.base import data_state

HOME_VARIABLE = "VIADUCT_HOME"
_WIDTHS = {"YYYY": 4, "MM": 2, "DD": 2}
_SPEC = re.compile(r"\{(?P<name>SPAN|VERSION|YYYY|MM|DD)(?::(?P<width>\d+))?\}")
_ONE_OF = re.compile(r"\[(?P<none>!?)(?P<members>\]?[^]]*)\]")
Delivery = tuple[int, int | None]


class Driver(driver.FileBasedDriver):
    """Runs inside the launcher, before the cache is looked up. `input_base` may be a single file.

    With `FOLDERS` a folder that matches is data as well: its files belong to the key.
    """

    FOLDERS = False

    def get_input_processor(
        self,
        splits: Iterable[example_gen_pb2.Input.Split],
        range_config: range_config_pb2.RangeConfig | None = None,
        input_base_uri: str | None = None,
    ) -> input_processor.InputProcessor:
        """TFX's hook: who resolves span and version."""
        if is_remote(input_base_uri or ""):
            return super().get_input_processor(splits, range_config, input_base_uri)
        return LocalInput(input_base_uri or "", list(splits), range_config, folders=self.FOLDERS)

    def resolve_exec_properties(
        self,
        exec_properties: dict[str, Any],
        pipeline_info: data_types.PipelineInfo,
        component_info: data_types.ComponentInfo,
    ) -> dict[str, Any]:
        """Fills in span, version, fingerprint and the concrete patterns."""
        base = exec_properties.get(standard_component_specs.INPUT_BASE_KEY)
        if base and not is_remote(base) and os.path.lexists(base) and not os.path.isdir(base):
            exec_properties = _as_folder(exec_properties, base)
        return super().resolve_exec_properties(exec_properties, pipeline_info, component_info)


class LocalInput(input_processor.FileBasedInputProcessor):
    """Spans, versions and fingerprint of splits in a folder of this machine."""

    def __init__(
        self,
        base: str,
        splits: Sequence[example_gen_pb2.Input.Split],
        range_config: range_config_pb2.RangeConfig | None,
        *,
        folders: bool,
    ) -> None:
        super().__init__(base, splits, range_config)
        self._base, self._folders = base, folders
        static = range_config is not None and range_config.HasField("static_range")
        self._asked = range_config.static_range.start_span_number if range_config and static else None

    def resolve_span_and_version(self) -> Delivery:
        """The delivery that was asked for, else the latest. Raises InputError where a split lacks it."""
        chosen = [
            self._choose(split) for split in self._splits if any(utils.verify_split_pattern_specs(split))
        ]
        if any(delivery != chosen[0] for delivery in chosen):
            told = ", ".join(
                f"{split.name} {delivery[0]}" + ("" if delivery[1] is None else f" version {delivery[1]}")
                for split, delivery in zip(self._splits, chosen, strict=True)
            )
            raise InputError(
                f"{self._base}: the latest span differs between splits: {told}. Deliver it whole."
            )
        return chosen[0] if chosen else (0, None)

    def get_input_fingerprint(self, span: int, version: int | None) -> str:
        """A line per split: files, bytes, and the digest of names and content."""
        home = os.environ.get(HOME_VARIABLE)
        memo = Path(home) / data_state.MEMO if home else None
        lines = []
        for split in self._splits:
            files = self._files(self.get_pattern_for_span_version(split.pattern, span, version))
            size = sum(os.stat(path).st_size for path in files.values() if os.path.isfile(path))
            content = data_state.of_files(files, memo)
            lines.append(f"split:{split.name},num_files:{len(files)},total_bytes:{size},content:{content}")
        return "\n".join(lines)

    def _files(self, pattern: str) -> dict[str, str]:
        files: dict[str, str] = {}
        for path in inputs.matches(self._base, pattern):
            name = os.path.relpath(path, self._base)
            if not os.path.isdir(path):
                files[name] = path
            elif self._folders:
                files.update({f"{name}/{below}": file for below, file in data_state.files_below(path)})
        return files

    def _choose(self, split: example_gen_pb2.Input.Split) -> Delivery:
        there = _deliveries(self._base, split.pattern)
        wanted = [one for one in there if self._asked is None or one[0] == self._asked]
        if wanted:
            return max(wanted, key=lambda one: (one[0], -1 if one[1] is None else one[1]))
        spans = ", ".join(map(str, sorted({span for span, _ in there})))
        asked = "span" if self._asked is None else f"span {self._asked}"
        raise InputError(
            f"{self._base}: no file of {asked} matches {split.pattern!r} (split {split.name}). Spans there: "
            f"{spans or 'none'}."
        )


def _deliveries(base: str, pattern: str) -> set[Delivery]:
    """Every (span, version) of which there is a file. Raises InputError for a name that holds no number there."""
    expression = re.compile(_expression(pattern))
    deliveries = set()
    for path in inputs.matches(base, _SPEC.sub("*", pattern)):
        name = os.path.relpath(path, base)
        match = expression.match(name)
        if match is None:
            continue
        try:
            numbers = {spec: int(text) for spec, text in match.groupdict().items()}
            span = numbers["SPAN"] if "SPAN" in numbers else _days(numbers)
        except ValueError as error:
            raise InputError(
                f"{path}: {pattern!r} expects the number of a span or a date there ({error})."
            ) from error
        deliveries.add((span, numbers.get("VERSION")))
    return deliveries


def _days(numbers: dict[str, int]) -> int:
    return utils.date_to_span_number(numbers["YYYY"], numbers["MM"], numbers["DD"])


def _expression(pattern: str) -> str:
    """The pattern as a regular expression for paths: `*` and `?` within a name, `**/` folders, specs groups."""
    parts = []
    position = 0
    while position < len(pattern):
        spec = _SPEC.match(pattern, position)
        if spec is not None:
            width = spec["width"] or _WIDTHS.get(spec["name"])
            parts.append(f"(?P<{spec['name']}>" + (f"[^/]{{{width}}})" if width else "[^/]*)"))
            position = spec.end()
            continue
        one_of = _ONE_OF.match(pattern, position)
        if one_of is not None:
            members = re.sub(r"([\\\[\]^])", r"\\\1", one_of["members"])
            parts.append(f"[{'^' if one_of['none'] else ''}{members}]")
            position = one_of.end()
            continue
        if pattern.startswith("**/", position):
            parts.append("(?:[^/]+/)*")
            position += 3
            continue
        parts.append({"*": "[^/]*", "?": "[^/]"}.get(pattern[position]) or re.escape(pattern[position]))
        position += 1
    return "".join(parts) + r"\Z"


def _as_folder(exec_properties: dict[str, Any], path: str) -> dict[str, Any]:
    """input_base=folder/file becomes folder and file: who names a file means that one, whatever it is called."""
    config = example_gen_pb2.Input()
    proto_utils.json_to_proto(exec_properties[standard_component_specs.INPUT_CONFIG_KEY], config)
    if len(config.splits) != 1:
        patterns = [split.pattern for split in config.splits]
        raise InputError(
            f"input_base={path!r} is a file; expected the folder that holds {', '.join(patterns)}."
        )
    config.splits[0].pattern = inputs.as_pattern(os.path.basename(path))
    return {
        **exec_properties,
        standard_component_specs.INPUT_BASE_KEY: os.path.dirname(path) or ".",
        standard_component_specs.INPUT_CONFIG_KEY: proto_utils.proto_to_json(config),
    }
