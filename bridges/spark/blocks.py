"""Blocks of a DataFrame's rows through a model or a function, and blocks folded into one result.

A block is some rows as arrays, column by column: at most `block_rows` of them and about `block_bytes`, never a whole
partition. Rows travel between the JVM and Python as Arrow batches, so nothing is pickled row by row. What can be
known before a job starts (columns, types, names) is checked on the driver; each worker process loads a model once.

Rows keep their order within a partition. Nothing is cached or repeated here: what Spark computes twice is computed
twice, and functions must give the same for the same rows.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridges.errors import BridgeError
from bridges.spark import checking, files, steps, tensors
from bridges.spark.models import ModelAt

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

    from serving.wire.arrays import Array

# Arrays by column, a row each; and for a single row without the first dimension.
Block = Mapping[str, "Array"]
Function = Callable[[Block], Mapping[str, Any]]
Work = ModelAt | str | Path | Function

BLOCK_ROWS, BLOCK_BYTES = 4096, 64 << 20


def map_blocks(
    work: Work,
    frame: DataFrame,
    feed: Mapping[str, str | Sequence[str]] | None = None,
    trim: bool = False,
    block_rows: int = BLOCK_ROWS,
    *,
    block_bytes: int = BLOCK_BYTES,
    outputs: str | None = None,
) -> DataFrame:
    """The frame's columns and those that `work` gives for each block; with `trim` the latter alone.

    `work` is a model (a folder, a project's name, or `models.find(...)` for a version and signature of one), or a
    function from the block's columns to results by name, as long as the block unless `trim`. `feed` names for each
    input of a model the column, or several columns to stand side by side as its [n, k]; unnamed inputs take the
    column of their own name. A model that takes tf.Examples is fed the columns that its graph parses. For a function
    `feed` maps its names to columns; without it, it gets all columns. `outputs` are the results' names and types as
    Spark's text ("score float, vector array<float>"); else a model's signature says them, and a function is asked
    with a few made-up rows.

    Raises BridgeError before anything runs: a missing column, a wrong type, a result that would overwrite a column.
    Missing values and ragged lists where a tensor is wanted end the job with one.
    """
    step = steps.step_of(work, frame.schema, dict(feed or {}), outputs)
    return _mapped(step, frame, trim, block_rows, block_bytes)


def map_rows(
    work: Work,
    frame: DataFrame,
    feed: Mapping[str, str | Sequence[str]] | None = None,
    *,
    outputs: str | None = None,
) -> DataFrame:
    """Like `map_blocks`, row by row: a function gets each column's value without the first dimension and gives one
    value a name; a model gets batches of one, so lists may differ in length from row to row."""
    step = steps.step_of(work, frame.schema, dict(feed or {}), outputs, by_rows=True)
    return _mapped(step, frame, False, BLOCK_ROWS, BLOCK_BYTES)


def _mapped(step: steps.Step, frame: DataFrame, trim: bool, block_rows: int, block_bytes: int) -> DataFrame:
    from pyspark.sql.types import StructType

    _check_bounds(block_rows, block_bytes)
    if not trim:
        checking.check_no_overwriting(step.fields, frame.schema)
    schema = StructType([*(() if trim else frame.schema.fields), *step.fields])
    work = functools.partial(answered, step, trim, block_rows, block_bytes)
    return over(frame, step.columns if trim else frame.columns, work, schema, block_bytes)


Batches = Iterable["pa.RecordBatch"]


def over(
    frame: DataFrame,
    columns: Sequence[str],
    work: Callable[[Batches], Iterator[pa.RecordBatch]],
    schema: StructType | str,
    block_bytes: int = BLOCK_BYTES,
) -> DataFrame:
    """What `work` gives for the columns' batches, partition by partition; workers read Parquet themselves (`files`)."""
    # A step of no column still wants to know how many rows there are.
    parts = files.parts_of(frame) if columns else None
    if parts is not None:
        count = len(parts.tasks)
        numbers = frame.sparkSession.range(0, count, 1, max(1, count))
        return numbers.mapInArrow(
            functools.partial(_from_files, work, parts, tuple(columns), block_bytes), schema
        )
    # What is not needed does not leave the JVM.
    given = frame if list(columns) == frame.columns else frame.select(*map(_quoted, columns))
    return given.mapInArrow(work, schema)


def _from_files(
    work: Callable[[Batches], Iterator[pa.RecordBatch]],
    parts: files.Parts,
    columns: tuple[str, ...],
    block_bytes: int,
    numbers: Iterator[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    yield from work(files.batches(parts, columns, block_bytes, numbers))


def _check_bounds(block_rows: int, block_bytes: int) -> None:
    if block_rows < 1 or block_bytes < 1:
        raise BridgeError(f"block_rows={block_rows}, block_bytes={block_bytes}; expected 1 or more of each.")


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def answered(
    step: steps.Step, trim: bool, block_rows: int, block_bytes: int, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """The rows of one partition with the step's results, block by block, in a worker."""
    import pyarrow as pa

    names, kinds = [field.name for field in step.fields], step.arrow_types()
    for block in blocks_of(batches, block_rows, block_bytes):
        results = step.run(block)
        rows: int | None = None if trim else block.num_rows
        columns = []
        for name, kind in zip(names, kinds, strict=True):
            if name not in results:
                raise BridgeError(
                    f"The function gave {sorted(results)}; expected the result {name!r} as well."
                )
            column = tensors.column_of(results[name], kind, rows, name)
            rows = len(column)
            columns.append(column)
        kept, kept_names = ([], []) if trim else (block.columns, block.schema.names)
        yield pa.RecordBatch.from_arrays([*kept, *columns], [*kept_names, *names])


def blocks_of(
    batches: Iterable[pa.RecordBatch], block_rows: int, block_bytes: int
) -> Iterator[pa.RecordBatch]:
    """The rows of all batches in order, as blocks within the bounds (one row may exceed the bytes); none is empty.

    A batch that is too large is sliced, which copies nothing; small ones are joined. The largest block that is worth
    a copy is what two batches make.
    """
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        for block in _sliced(batch, block_rows, block_bytes):
            if waiting and _exceeds([*waiting, block], block_rows, block_bytes):
                yield _joined(waiting)
                waiting = []
            waiting.append(block)
    if waiting:
        yield _joined(waiting)


def _sliced(batch: pa.RecordBatch, block_rows: int, block_bytes: int) -> Iterator[pa.RecordBatch]:
    if not batch.num_rows:
        return
    a_row = max(1, batch.nbytes // batch.num_rows)
    size = max(1, min(block_rows, block_bytes // a_row))
    for start in range(0, batch.num_rows, size):
        yield batch.slice(start, size)


def _exceeds(blocks: Sequence[pa.RecordBatch], block_rows: int, block_bytes: int) -> bool:
    return sum(b.num_rows for b in blocks) > block_rows or sum(b.nbytes for b in blocks) > block_bytes


def _joined(blocks: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    import pyarrow as pa

    if len(blocks) == 1:
        return blocks[0]
    return pa.Table.from_batches(blocks).combine_chunks().to_batches()[0]
