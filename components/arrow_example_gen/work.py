"""What a worker does with one task: infer the kinds it needs, or write its rows as shards.

Results are plain dictionaries (JSON types), so that any Beam runner carries them. Bad input comes back as an
entry "errors" instead of an exception: a runner would retry, and wrap the message in its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components import progress
from components.arrow_example_gen import csv_reading, parquet_reading, splitting
from components.arrow_example_gen.errors import InputError
from components.arrow_example_gen.kinds import Kind, merge
from components.arrow_example_gen.planning import Plan
from components.arrow_example_gen.spans import Task
from components.arrow_example_gen.writing import Encoder, ShardWriter

if TYPE_CHECKING:
    import pyarrow as pa

Facts = dict[str, Any]


def infer(task: Task, plan: Plan) -> Facts:
    """{"kinds": what the task's CSV columns need, "rows": n or 0 where unknown, "errors": [...]}."""
    open_columns = [name for name in plan.read_columns(task.split) if name not in plan.fixed]
    kinds: dict[str, Kind] = dict(plan.kinds)
    rows = 0
    try:
        for span in task.spans:
            if span.file.kind == "csv" and open_columns:
                found, count = csv_reading.infer(span, open_columns, kinds, plan.options)
                kinds, rows = merge(kinds, found), rows + count
    except InputError as error:
        return {"kinds": {}, "rows": 0, "errors": [[task.number, str(error)]]}
    return {"kinds": {name: int(kinds[name]) for name in open_columns}, "rows": rows, "errors": []}


def merge_facts(pieces: Iterable[Facts]) -> Facts:
    """All tasks' facts as one; the order does not matter."""
    pieces = list(pieces)
    return {
        "kinds": {name: int(kind) for name, kind in merge(*(piece["kinds"] for piece in pieces)).items()},
        "rows": sum(piece["rows"] for piece in pieces),
        "errors": sorted(error for piece in pieces for error in piece["errors"]),
    }


def write(task: Task, plan: Plan, facts: Facts | None = None) -> Facts:
    """{"task", "shards": name or None per split, "rows": per split, "errors"}: writes the task's rows
    aside."""
    facts = facts or merge_facts([])
    result: Facts = {"task": task.number, "shards": [], "rows": [], "errors": list(facts["errors"])}
    if facts["errors"]:
        return result
    kinds = {**plan.kinds, **{name: Kind(kind) for name, kind in facts["kinds"].items()}}
    shards = ShardWriter(plan.folder, plan.split_count, plan.options.gzip_level)
    encoder = Encoder()
    try:
        for batch in _batches(task, plan, kinds):
            numbers = _splits(batch, task, plan)
            written = _written(batch, plan.columns[task.split])
            shards.write(encoder.encode(written), numbers)
            counter.add(batch.num_rows, facts["rows"] or None)
    except InputError as error:
        shards.discard()
        return {**result, "errors": [[task.number, str(error)]]}
    except BaseException:
        shards.discard()
        raise
    result["shards"], result["rows"] = shards.close(), shards.rows
    return result


def _batches(task: Task, plan: Plan, kinds: Mapping[str, Kind]) -> Iterator[pa.RecordBatch]:
    columns = plan.read_columns(task.split)
    for span in task.spans:
        if span.file.kind == "csv":
            tables = csv_reading.read(span, columns, kinds, plan.fixed, plan.options)
        else:
            tables = parquet_reading.read(span, columns, kinds, plan.options)
        for table in tables:
            yield from table.to_batches(max_chunksize=plan.options.batch_rows)


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
    if plan.key is not None:
        _check_key(batch, task, plan.key)
    hashes = splitting.row_hashes(batch, None if plan.key is None else [plan.key])
    return splitting.split_numbers(hashes, plan.buckets).tolist()


def _check_key(batch: pa.RecordBatch, task: Task, key: str) -> None:
    import pyarrow as pa

    column = batch.column(batch.schema.get_field_index(key))
    files = " or ".join(dict.fromkeys(span.file.path for span in task.spans))
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


class Counter:
    """Rows written by this process, shown while they come: to the runner, and as a line every `step`. For
    all threads."""

    def __init__(self, words: str, step: int) -> None:
        self._words, self._step = words, step
        self._lock = threading.Lock()
        self._rows = self._said = 0

    def __reduce__(self) -> tuple[type[Counter], tuple[str, int]]:
        return Counter, (self._words, self._step)

    def start(self) -> None:
        self._rows = self._said = 0

    def add(self, rows: int, total: int | None) -> None:
        from absl import logging

        with self._lock:
            self._rows += rows
            done, say = self._rows, self._rows - self._said >= self._step
            if say:
                self._said = done
        progress.report(done, total, unit="rows")
        if say:
            logging.info("%s: %d%s", self._words, done, f" of {total}" if total else "")


counter = Counter("rows read", 100_000)
