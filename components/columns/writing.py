"""Writes the columns of one shard of records: one Arrow IPC file, and another whenever the columns' types change.

Columns are a convenience: what goes wrong with them (a full disk, values of two types under one name) gives them up
for this shard with a reason, and never fails the records.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from components.columns import lists
from components.columns.manifest import Summed, is_remote

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_PARTS = 64


class ColumnFile:
    """The columns of one shard, beside its records, under `stem` and a number. Not for several threads.

    `missing` says why there are none, once that is so.
    """

    def __init__(self, stem: str) -> None:
        self._stem, self.missing = stem, ""
        self._types: dict[str, pa.DataType] = {}
        self._parts: list[dict[str, Any]] = []
        self._file: Summed | None = None
        self._writer: pa.ipc.RecordBatchFileWriter | None = None

    def append(self, batch: pa.RecordBatch) -> None:
        """A batch as `lists.stored` gives it; its rows are the records' next ones."""
        if self.missing or not batch.num_rows:
            return
        try:
            self._append(_with_values(batch))
        except (OSError, ValueError) as error:
            self.give_up(f"{type(error).__name__}: {error}")

    def close(self) -> list[dict[str, Any]] | None:
        """Facts of the files ({"path", "rows", "bytes", "crc32c"}); None if the columns were given up."""
        if not self.missing:
            try:
                self._end_part()
            except OSError as error:
                self.give_up(f"{type(error).__name__}: {error}")
        return None if self.missing else self._parts

    def give_up(self, reason: str) -> None:
        """Removes what was written and writes no more."""
        from absl import logging

        logging.warning(
            "No columns beside the records %s*: %s. The records are written on.", self._stem, reason
        )
        self.missing = reason
        with contextlib.suppress(Exception):
            self._end_part()
        for part in self._parts:
            with contextlib.suppress(OSError):
                if not is_remote(part["path"]):
                    os.unlink(part["path"])
        self._parts = []

    def _append(self, batch: pa.RecordBatch) -> None:
        import pyarrow as pa

        types = self._merged(batch)
        if self._writer is None or types != self._types:
            self._end_part()
            self._types = types
            self._begin_part()
        widened = {n for n in batch.schema.names if lists.is_list(types[n])}
        batch = lists.widened(batch, {n for n in widened if not lists.is_list(batch.schema.field(n).type)})
        columns = [
            batch.column(batch.schema.get_field_index(name))
            if name in batch.schema.names and batch.schema.field(name).type == kind
            else pa.nulls(batch.num_rows, kind)
            for name, kind in types.items()
        ]
        assert self._writer is not None
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, list(types)))
        self._parts[-1]["rows"] += batch.num_rows

    def _merged(self, batch: pa.RecordBatch) -> dict[str, pa.DataType]:
        """The types that hold this batch as well: what was a list once stays one, null gives way to any type."""
        import pyarrow as pa

        types = dict(self._types)
        absent = [
            name for name, kind in types.items() if name not in batch.schema.names and not lists.is_list(kind)
        ]
        types.update({name: pa.large_list(types[name]) for name in absent})
        for field in batch.schema:
            before = types.get(field.name)
            if before is None:
                types[field.name] = field.type
            else:
                types[field.name] = _joined(field.name, before, field.type)
        return {name: types[name] for name in sorted(types)}

    def _begin_part(self) -> None:
        import pyarrow as pa

        if len(self._parts) == _MOST_PARTS:
            raise ValueError(f"the types of the columns changed {_MOST_PARTS} times")
        self._file = Summed(f"{self._stem}-{len(self._parts)}.arrow")
        self._parts.append({**self._file.facts(), "rows": 0})
        options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
        self._writer = pa.ipc.new_file(self._file, pa.schema(list(self._types.items())), options=options)

    def _end_part(self) -> None:
        if self._writer is None or self._file is None:
            return
        writer, file, self._writer, self._file = self._writer, self._file, None, None
        try:
            writer.close()
        finally:
            file.close()
        self._parts[-1].update(file.facts())


def _with_values(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Without the columns of lists that no row has: their records do not tell of them either."""
    import pyarrow as pa

    kept = [
        name
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
        if not pa.types.is_large_list(column.type) or column.null_count < len(column)
    ]
    if len(kept) == batch.num_columns:
        return batch
    if not kept:
        raise ValueError("rows without a feature cannot be kept as columns")
    return pa.RecordBatch.from_arrays([batch.column(batch.schema.get_field_index(n)) for n in kept], kept)


def _joined(name: str, one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """The stored type for columns of both; raises ValueError where their values differ in type."""
    import pyarrow as pa

    if one == other or pa.types.is_null(other):
        return one if lists.is_list(one) else (one if one == other else pa.large_list(one))
    if pa.types.is_null(one):
        return other if lists.is_list(other) else pa.large_list(other)
    values = [kind.value_type if pa.types.is_large_list(kind) else kind for kind in (one, other)]
    if values[0] != values[1]:
        raise ValueError(f"feature {name!r} holds {values[0]} in some rows and {values[1]} in others")
    return pa.large_list(values[0])
