"""Finds the pictures, writes them in this process or as one Beam pipeline, describes the artifact.

Besides TFX's properties the Examples artifact gets `num_rows`, `num_rows_<split>`, `num_input_bytes`,
`encoding`, `classes` (JSON list, where class names are not numbers) and `image_shape` (JSON [height, width,
channels], where all pictures agree; who decodes raw bytes needs it).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any

from tfx import types
from tfx.components.example_gen import utils
from tfx.types import artifact_utils, standard_component_specs

from components import engine, inputs, shards
from components.example_gen_executor import ExampleGenExecutor
from components.image_example_gen import annotating, finding, work
from components.image_example_gen.options import Options
from components.progress import Counter
from components.shards import Facts, InputError

OPTIONS_KEY = "options"


class Executor(ExampleGenExecutor):
    """Reads pictures, writes an Examples artifact of gz TFRecord shards."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises InputError (which file is wrong and how) and leaves no shard then."""
        self._log_startup(input_dict, output_dict, exec_properties)
        input_config, output_config = shards.parse_configs(exec_properties)
        artifact = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        choice = engine.choose(self._beam_pipeline_args)
        choice.note("ImageExampleGen", [artifact])
        make_pipeline = self._make_beam_pipeline if choice.is_beam else None
        names = utils.generate_output_split_names(input_config, output_config)
        options = Options.from_json(exec_properties.get(OPTIONS_KEY) or "{}")
        names += [work.TUNE] if options.tune_one_in else []
        base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
        contents = [finding.find(base, split.pattern, options) for split in input_config.splits]
        buckets = tuple(split.hash_buckets for split in output_config.split_config.splits)
        with shards.folder_aside(artifact.uri) as folder:
            plan, tasks = make_plan(contents, options, buckets, len(names), folder)
            counter = functools.partial(Counter, "pictures read", 10_000)
            results = shards.run_tasks(make_pipeline, tasks, work.write, plan, folder, counter)
            shape = _one_shape(results, options)
            rows = shards.publish_splits(artifact, names, results, options.gzip_level, buckets)
        size = sum(inputs.size_of(path) for part in contents for path in part.files)
        shards.describe(artifact, names, rows, size, exec_properties)
        artifact.set_string_custom_property("encoding", options.encoding)
        if plan.classes:
            artifact.set_string_custom_property("classes", json.dumps(plan.classes))
        if shape:
            artifact.set_string_custom_property("image_shape", json.dumps(shape))


def make_plan(
    contents: Sequence[finding.Contents], options: Options, buckets: tuple[int, ...], splits: int, folder: str
) -> tuple[work.Plan, list[work.Task]]:
    """Annotations joined, classes numbered, pictures grouped into tasks of about `task_bytes`."""
    tasks: list[work.Task] = []
    columns: dict[str, Any] = {}
    for number, part in enumerate(contents):
        tasks += [work.Task(len(tasks) + i, number, pair) for i, pair in enumerate(part.pairs)]
        _check_names(part.pictures)
        rows: dict[str, annotating.Row] = {}
        if part.annotations:
            by_path, kinds = annotating.read(part.annotations, work.FEATURES)
            rows = annotating.match(part.annotations, by_path, part.pictures)
            columns = {name: max(kind, columns.get(name, kind)) for name, kind in kinds.items()}
        for group in _groups(part.pictures, options.task_bytes):
            mine = tuple(rows[picture.name] for picture in group) if rows else ()
            tasks.append(work.Task(len(tasks), number, None, group, mine))
    total = None if any(part.pairs for part in contents) else sum(len(part.pictures) for part in contents)
    classes = finding.class_names(contents, options)
    return work.Plan(options, classes, columns, buckets, splits, total, folder), tasks


def _check_names(pictures: Sequence[finding.Picture]) -> None:
    seen: dict[str, finding.Picture] = {}
    for picture in pictures:
        other = seen.setdefault(picture.name, picture)
        if other is not picture:
            raise InputError(
                f"{picture.where} and {other.where} have the same name {picture.name!r}. Rename one."
            )


def _groups(pictures: Sequence[finding.Picture], size: int) -> list[tuple[finding.Picture, ...]]:
    groups: list[list[finding.Picture]] = [[]]
    weight = 0
    for picture in pictures:
        if groups[-1] and weight + picture.size > size:
            groups.append([])
            weight = 0
        groups[-1].append(picture)
        weight += picture.size
    return [tuple(group) for group in groups if group]


def _one_shape(results: Sequence[Facts], options: Options) -> list[int] | None:
    """The shape of all pictures; None where they differ, which raw does not allow."""
    known = [result for result in results if sum(result["rows"])]
    shapes = [result["shape"] for result in known]
    if all(shape is not None and shape == shapes[0] for shape in shapes):
        return shapes[0] if shapes else None
    if options.encoding == "raw":
        other = next(result for result in known if result["shape"] != shapes[0])
        raise InputError(work.differing(other["where"], other["shape"], known[0]["where"], shapes[0]))
    return None
