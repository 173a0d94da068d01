"""Reads a query's parts in one snapshot and writes an Examples artifact; nothing of it appears before all is whole.

Parts are read by threads of this process, or by Beam's workers where the Beam arguments name a runner; those need the
password in their environment. A connection that breaks ends the node: a snapshot dies with its holder, so what is
left of it cannot be read on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import queue
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tfx import types
from tfx.components.example_gen import utils
from tfx.types import artifact_utils, standard_component_specs

from bridges.warehouse import parts, pointer, reading, snapshot
from bridges.warehouse import query as queries
from components import engine, inputs, later_rows, shards, splitting
from components.arrow_example_gen import schemas
from components.arrow_example_gen.reading.kinds import Kind
from components.example_gen_executor import ExampleGenExecutor
from components.progress import Counter
from components.records import ShardWriter

OPTIONS_KEY = "options"
SCHEMA_PATH_KEY = "schema_path"
DEFAULT_PARTS, DEFAULT_READERS = 8, 2
BATCH_ROWS = 8192
_OF_KIND = {Kind.INT: queries.INT, Kind.FLOAT: queries.FLOAT, Kind.BYTES: queries.TEXT}


@dataclasses.dataclass(frozen=True)
class Task:
    """One part of the query."""

    number: int
    query: str


@dataclasses.dataclass(frozen=True)
class Plan:
    """What every part's reader needs; the password is none of it."""

    address: str
    snapshot: str
    columns: tuple[queries.Column, ...]
    kinds: Mapping[str, str]
    key: str
    buckets: tuple[int, ...]
    folder: str
    gzip_level: int
    rows: int
    time: str = ""
    ends: tuple[float, ...] = ()
    written: tuple[str, ...] = ()  # empty: all columns
    label: str = ""


class Executor(ExampleGenExecutor):
    """Idempotent: shards are written aside and renamed when all rows are through."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises InputError or BridgeError, and leaves no shard then."""
        self._log_startup(input_dict, output_dict, exec_properties)
        in_config, out_config = shards.parse_configs(exec_properties)
        artifact = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        options = json.loads(exec_properties[OPTIONS_KEY])
        base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
        source = _source(base, [split.pattern for split in in_config.splits])
        names = utils.generate_output_split_names(in_config, out_config)
        schema = schemas.load(exec_properties.get(SCHEMA_PATH_KEY), None)
        choice = engine.choose(self._beam_pipeline_args)
        choice.note("SqlExampleGen", [artifact])
        buckets = tuple(split.hash_buckets for split in out_config.split_config.splits)
        with shards.folder_aside(artifact.uri) as folder, snapshot.held(source.address) as (cursor, moment):
            columns = queries.columns_of(cursor, source.query, source.address)
            kinds = chosen(columns, schemas.kinds(schema), schemas.required(schema))
            key, time = source.key or options["split_key"], options.get("split_time", "")
            written, label = tuple(options.get("columns", ())), options.get("label", "")
            _check_there([*written, *filter(None, [label, time])], columns)
            _check_key(key, columns)
            ends = _ends(cursor, source, columns, time, buckets) if time else ()
            cut = parts.cut(cursor, source.query, source.address, options["parts"], key)
            plan = Plan(
                source.address,
                moment,
                tuple(columns),
                kinds,
                key,
                buckets,
                folder,
                options["gzip_level"],
                source.rows,
                time,
                ends,
                written,
                label,
            )
            tasks = [Task(number, part) for number, part in enumerate(cut)]
            counter = functools.partial(Counter, "rows read", 100_000)
            if choice.is_beam:
                results = shards.run_tasks(self._make_beam_pipeline, tasks, write, plan, folder, counter)
            else:
                results = _side_by_side(tasks, plan, counter(), options["readers"], source.query)
            rows = shards.publish_splits(artifact, names, results, plan.gzip_level)
        size = sum(os.path.getsize(shard) for shard in Path(artifact.uri).glob("Split-*/*"))
        shards.describe(artifact, names, rows, size, exec_properties)


def _source(base: str, patterns: Sequence[str]) -> pointer.Source:
    files = sorted({path for pattern in patterns for path in inputs.data_files(base, pattern)})
    if len(files) != 1:
        raise shards.InputError(
            f"{base}: {len(files)} files match {list(patterns)}; expected one {pointer.NAME}, which "
            "`viaduct run P --data postgresql://... --query FILE` writes."
        )
    return pointer.read(Path(files[0]))


def chosen(
    columns: Sequence[queries.Column], kinds: Mapping[str, Kind], required: Sequence[str]
) -> dict[str, str]:
    """The kind of each of the query's columns: the schema's, else the catalogue's.

    Raises InputError where the schema demands a column that is not there, or numbers of a text.
    """
    known = {column.name: column for column in columns}
    for name in required:
        if name not in known:
            raise shards.InputError(
                f"The query gives no column {name!r}, which the schema asks for.{shards.did_you_mean(name, known)}"
            )
    result = {}
    for column in columns:
        kind = _OF_KIND.get(kinds.get(column.name, Kind.UNKNOWN), column.kind)
        texts = (queries.TEXT, queries.BYTES)
        if (kind in texts) != (column.kind in texts) or (
            kind == queries.INT and column.kind == queries.FLOAT
        ):
            raise shards.InputError(
                f"Column {column.name!r} is {column.kind} in the database and {kind} in the schema. Cast it in the "
                "query."
            )
        result[column.name] = column.kind if column.kind == queries.BYTES else kind
    return result


def _check_key(key: str, columns: Sequence[queries.Column]) -> None:
    kinds = {column.name: column.kind for column in columns}
    if key and key not in kinds:
        raise shards.InputError(
            f"The query gives no column {key!r} to split by.{shards.did_you_mean(key, kinds)}"
        )
    if key and kinds[key] == queries.FLOAT:
        raise shards.InputError(
            f"The split key {key!r} holds fractions, so equal keys cannot be told surely. Expected integers or text."
        )


def _check_there(names: Sequence[str], columns: Sequence[queries.Column]) -> None:
    known = [column.name for column in columns]
    for name in names:
        if name not in known:
            raise shards.InputError(
                f"The query gives no column {name!r}, which the pipeline asks for.{shards.did_you_mean(name, known)}"
            )


def _check_label(block: Any, label: str) -> None:
    if label and block.column(block.schema.get_field_index(label)).null_count:
        raise shards.InputError(
            f"The label {label!r} has no value in a row of the query; nothing can be learned from such rows. Add "
            f'WHERE "{label}" IS NOT NULL to the query.'
        )


def _asked_for(block: Any, plan: Plan) -> Any:
    """Without columns that only split, or that nobody asked for."""
    import pyarrow as pa

    if not plan.written or tuple(block.schema.names) == plan.written:
        return block
    arrays = [block.column(block.schema.get_field_index(name)) for name in plan.written]
    return pa.RecordBatch.from_arrays(arrays, names=list(plan.written))


def _ends(
    cursor: Any, source: pointer.Source, columns: Sequence[queries.Column], time: str, buckets: Sequence[int]
) -> tuple[float, ...]:
    """The last moment of every split but the last; the column of times is read once more for it."""
    import numpy as np

    [column] = [column for column in columns if column.name == time]
    quoted = time.replace('"', '""')
    query = f'SELECT "{quoted}" FROM (\n{source.query}\n) AS viaduct_times'
    found = [
        later_rows.moments(batch.column(0), time, source.address)
        for batch in reading.batches(cursor, query, [column], source.address)
    ]
    return later_rows.bounds(np.concatenate([np.empty(0), *found]), buckets, time, source.address)


def _side_by_side(
    tasks: Sequence[Task], plan: Plan, rows: Counter, readers: int, whole_query: str
) -> list[shards.Facts]:
    """The parts, some at a time; the first error ends it when the parts under way have ended.

    All connections are made before the first part is read: see bridges.warehouse.snapshot.
    """
    count = max(1, min(readers, len(tasks)))
    free: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def part(task: Task) -> shards.Facts:
        cursor = free.get()
        try:
            return _written(task, plan, rows, cursor)
        finally:
            free.put(cursor)

    with contextlib.ExitStack() as stack:
        for _ in range(count):
            free.put(stack.enter_context(snapshot.joined(plan.address, plan.snapshot, whole_query)))
        pool = stack.enter_context(ThreadPoolExecutor(count, "reader"))
        waiting = [pool.submit(part, task) for task in tasks]
        try:
            return [future.result() for future in waiting]
        except BaseException:
            for future in waiting:
                future.cancel()
            raise


def write(task: Task, plan: Plan, rows: Counter) -> shards.Facts:
    """The rows of one part as shards, over a connection of its own; see shards.Write."""
    with snapshot.joined(plan.address, plan.snapshot, task.query) as cursor:
        return _written(task, plan, rows, cursor)


def _written(task: Task, plan: Plan, rows: Counter, cursor: Any) -> shards.Facts:
    writer = ShardWriter(plan.folder, len(plan.buckets), plan.gzip_level)
    try:
        for batch in reading.batches(cursor, task.query, plan.columns, plan.address, plan.kinds):
            for start in range(0, batch.num_rows, BATCH_ROWS):
                block = batch.slice(start, BATCH_ROWS)
                _check_label(block, plan.label)
                writer.write(_asked_for(block, plan), _splits(block, plan))
                rows.add(block.num_rows, plan.rows)
        return {"task": task.number, "shards": writer.close(), "rows": writer.rows, "errors": []}
    except BaseException:
        writer.discard()
        raise


def _splits(block: Any, plan: Plan) -> list[int]:
    if plan.time:
        column = block.column(block.schema.get_field_index(plan.time))
        return later_rows.split_numbers(
            later_rows.moments(column, plan.time, plan.address), plan.ends
        ).tolist()
    if plan.key:
        column = block.column(block.schema.get_field_index(plan.key))
        if column.null_count:
            raise shards.InputError(f"The split key {plan.key!r} has no value in a row; every row needs one.")
    hashes = splitting.row_hashes(*((block, [plan.key]) if plan.key else (_asked_for(block, plan), None)))
    return splitting.split_numbers(hashes, plan.buckets).tolist()
