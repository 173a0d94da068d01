"""What a worker does with one task: infer the kinds it needs, or write its rows as shards.

Results are plain dictionaries (JSON types), so that any Beam runner carries them. Bad input comes back as an
entry "errors" instead of an exception: a runner would retry, and wrap the message in its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from components import later_rows, splitting
from components.arrow_example_gen.planning import Plan
from components.arrow_example_gen.reading import csv_rows, parquet_rows
from components.arrow_example_gen.reading.kinds import Kind, merge
from components.arrow_example_gen.reading.pieces import Piece, Task
from components.arrow_example_gen.remarks import Remarks
from components.arrow_example_gen.unlabelled import Unlabelled
from components.progress import Counter
from components.records import ShardWriter
from components.shards import Facts, InputError

if TYPE_CHECKING:
    import pyarrow as pa


def infer(task: Task, plan: Plan) -> Facts:
    """{"kinds": what the task's CSV columns need, "rows": n or 0 where unknown, "errors": [...]}."""
    open_columns = [name for name in plan.read_columns(task.split) if name not in plan.fixed]
    kinds: dict[str, Kind] = dict(plan.kinds)
    rows = 0
    try:
        for piece in task.pieces:
            if piece.file.kind == "csv" and open_columns:
                needed, count = csv_rows.infer(piece, open_columns, kinds, plan.options)
                kinds, rows = merge(kinds, needed), rows + count
    except InputError as error:
        return {"kinds": {}, "rows": 0, "errors": [[task.number, str(error)]]}
    return {"kinds": {name: int(kinds[name]) for name in open_columns}, "rows": rows, "errors": []}


def merge_facts(parts: Iterable[Facts]) -> Facts:
    """All tasks' facts as one; the order does not matter."""
    parts = list(parts)
    return {
        "kinds": {name: int(kind) for name, kind in merge(*(part["kinds"] for part in parts)).items()},
        "rows": sum(part["rows"] for part in parts),
        "errors": sorted(error for part in parts for error in part["errors"]),
    }


def ends(plan: Plan) -> tuple[float, ...]:
    """The last moment of every split but the last, of all rows; see components.later_rows. Raises InputError."""
    import numpy as np

    name = str(plan.key)
    found, where = [], ""
    for task in plan.tasks:
        for piece in task.pieces:
            where = where or piece.file.path
            kinds = {name: plan.kinds[name]}
            if piece.file.kind == "csv":
                if name not in plan.fixed:
                    needed, _ = csv_rows.infer(piece, [name], kinds, plan.options)
                    kinds = merge(kinds, needed)
                tables = csv_rows.read(piece, [name], kinds, plan.fixed, plan.options)
            else:
                tables = parquet_rows.read(piece, [name], kinds, plan.options)
            found += [later_rows.moments(table.column(name), name, piece.file.path) for table in tables]
    return later_rows.bounds(np.concatenate([np.empty(0), *found]), plan.buckets, name, where)


def write(task: Task, plan: Plan, rows: Counter, facts: Facts | None = None) -> Facts:
    """{"task", "shards": facts or None per split, "rows": per split, "errors", "remarks", "unlabelled"}: writes the
    task's rows aside, counting them in `rows`."""
    facts = facts or merge_facts([])
    result: Facts = {"task": task.number, "shards": [], "rows": [], "errors": list(facts["errors"])}
    if facts["errors"]:
        return result
    kinds = {**plan.kinds, **{name: Kind(kind) for name, kind in facts["kinds"].items()}}
    shards = ShardWriter(plan.folder, plan.split_count, plan.options.gzip_level)
    open_columns = [name for name in plan.columns[task.split] if name not in plan.fixed]
    numeric = (Kind.INT, Kind.FLOAT)
    zeros = {name: example for name, example in plan.leading_zeros.items() if kinds[name] in numeric}
    remarks = Remarks(open_columns, zeros)
    unlabelled = Unlabelled(plan.options)
    try:
        for piece, batch in _batches(task, plan, kinds):
            unlabelled.see(piece, batch)
            numbers = _splits(batch, task, plan)
            written = _written(batch, plan.columns[task.split])
            remarks.see(written)
            shards.write(written, numbers)
            rows.add(batch.num_rows, facts["rows"] or None)
    except InputError as error:
        shards.discard()
        return {**result, "errors": [[task.number, str(error)]]}
    except BaseException:
        shards.discard()
        raise
    result["shards"], result["rows"] = shards.close(), shards.rows
    return {**result, "remarks": remarks.facts(), "unlabelled": unlabelled.facts()}


def _batches(task: Task, plan: Plan, kinds: Mapping[str, Kind]) -> Iterator[tuple[Piece, pa.RecordBatch]]:
    columns = plan.read_columns(task.split)
    for piece in task.pieces:
        if piece.file.kind == "csv":
            tables = csv_rows.read(piece, columns, kinds, plan.fixed, plan.options)
        else:
            tables = parquet_rows.read(piece, columns, kinds, plan.options)
        for table in tables:
            for batch in table.to_batches(max_chunksize=plan.options.batch_rows):
                yield piece, batch


def _written(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """Without the key where it is read only to split by it, in the order asked for."""
    import pyarrow as pa

    if tuple(batch.schema.names) == tuple(columns):
        return batch
    arrays = [batch.column(batch.schema.get_field_index(name)) for name in columns]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _splits(batch: pa.RecordBatch, task: Task, plan: Plan) -> list[int]:
    if not plan.buckets:
        return [task.split] * batch.num_rows
    if plan.by_time:
        name, where = str(plan.key), task.pieces[0].file.path
        column = batch.column(batch.schema.get_field_index(name))
        return later_rows.split_numbers(later_rows.moments(column, name, where), plan.ends).tolist()
    if plan.key is not None:
        _check_key(batch, task, plan.key)
    hashes = splitting.row_hashes(batch, None if plan.key is None else [plan.key])
    return splitting.split_numbers(hashes, plan.buckets).tolist()


def _check_key(batch: pa.RecordBatch, task: Task, key: str) -> None:
    import pyarrow as pa

    column = batch.column(batch.schema.get_field_index(key))
    files = " or ".join(dict.fromkeys(piece.file.path for piece in task.pieces))
    if column.null_count:
        row = dict(
            zip(
                batch.schema.names,
                (c[column.is_null().index(True).as_py()] for c in batch.columns),
                strict=True,
            )
        )
        raise InputError(
            f"{files}: split key {key!r} has no value in a row: {str(row)[:160]}. Every row needs one."
        )
    if pa.types.is_floating(column.type):
        raise InputError(
            f"{files}: split key {key!r} holds fractions, so equal keys cannot be told surely. Expected "
            "integers or text."
        )
