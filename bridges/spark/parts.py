"""Parquet written by the workers that made the rows, so that they do not go back through the JVM.

A partition is one file, named by its number. An attempt of a task writes aside and renames in the end, so a file is
whole or not there, and an attempt that is done again puts the same rows in the same place. The folder is on storage
that all workers share; who names it when all are there is the driver (see `tables.appearing`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridges.errors import BridgeError
from bridges.spark import blocks, checking, staging, steps
from bridges.spark.models import ModelAt
from bridges.spark.session import told
from pipelines.base import whole

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

# Rows of a row group, whatever the blocks were.
GROUP_ROWS, GROUP_BYTES = 65_536, 64 << 20


@dataclass(frozen=True)
class Named:
    """Columns of one value each that every row gets, such as the model's name."""

    values: tuple[tuple[str, Any], ...]

    def added(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow as pa

        columns = [pa.array([value] * batch.num_rows) for _, value in self.values]
        names = [name for name, _ in self.values]
        return pa.RecordBatch.from_arrays([*batch.columns, *columns], [*batch.schema.names, *names])


def score(model: ModelAt, frame: DataFrame, folder: Path, block_rows: int, named: Named) -> int:
    """Writes the frame with the model's outputs and the `named` columns as parts in the folder; their rows.

    Raises BridgeError, for columns before anything runs.
    """
    step = steps.step_of(model, frame.schema, {}, None)
    checking.check_no_overwriting([*step.fields, *checking.text_fields(*dict(named.values))], frame.schema)
    folder.mkdir(parents=True)
    work = functools.partial(_part, step, str(folder), block_rows, named)
    with told():
        done = blocks.over(frame, frame.columns, work, "rows long").collect()
        rows = sum(row.rows for row in done)
    if not rows:
        # Readers want a file to tell them the columns.
        _write_empty(staging.arrow_schema(frame), step, folder, named)
    return rows


def _part(
    step: steps.Step, folder: str, block_rows: int, named: Named, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """One partition, in a worker."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyspark import TaskContext

    context = TaskContext.get()
    if context is None or not Path(folder).is_dir():
        raise BridgeError(
            f"This worker does not reach {folder}; the output lies on storage that all workers share."
        )
    rows = 0
    answered = blocks.answered(step, False, block_rows, blocks.BLOCK_BYTES, batches)
    groups = blocks.blocks_of(map(named.added, answered), GROUP_ROWS, GROUP_BYTES)
    first = next(groups, None)
    if first is not None:
        target = Path(folder) / f"part-{context.partitionId():05d}.parquet"
        with whole.file(target) as aside, pq.ParquetWriter(aside, first.schema) as writer:
            for group in _again(first, groups):
                writer.write_batch(group)
                rows += group.num_rows
    yield pa.RecordBatch.from_arrays([pa.array([rows], pa.int64())], ["rows"])


def _again(first: pa.RecordBatch, rest: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def _write_empty(schema: pa.Schema, step: steps.Step, folder: Path, named: Named) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for field, kind in zip(step.fields, step.arrow_types(), strict=True):
        schema = schema.append(pa.field(field.name, kind))
    for name, value in named.values:
        schema = schema.append(pa.field(name, pa.scalar(value).type))
    pq.write_table(schema.empty_table(), folder / "part-00000.parquet")
