"""Reads a split in column batches: from its columns where they match its records, else from the records.

Memory is bounded by a batch, whatever the size of the split. Which of the two was read, and why, is in the log.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from components.columns import framing, lists, manifest
from pipelines.base.errors import ViaductError

if TYPE_CHECKING:
    import pyarrow as pa
    from tensorflow_metadata.proto.v0 import schema_pb2

BATCH_ROWS = 16_384
BATCH_BYTES = 32 << 20


class DamagedRecords(ViaductError):
    """Records that cannot be read whole, or do not hold what the schema says; the text names file and row."""


def read_batches(
    uri: str,
    split: str,
    columns: Sequence[str] | None = None,
    batch_rows: int = BATCH_ROWS,
    schema: schema_pb2.Schema | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows of `Split-<split>` of the Examples artifact (tf.Examples, gz TFRecords) at `uri`, in stored order.

    Types are those of the package's docstring. A batch has at most `batch_rows` rows, and fewer where they are large;
    the last of each shard has fewer. A split without rows gives no batch. `columns`: only these features, in order of
    their names (a batch lacks one that it has no value of). With a `schema` (TFMD) every batch has exactly the
    schema's features in its order with its types, as TFXIO's with that schema; with `columns` as well, those of them.

    Raises DamagedRecords where the records are used and are cut off or damaged, or where a feature's values are of
    another type than the schema says; FileNotFoundError for a split that is not there.
    """
    from absl import logging

    wanted = None if columns is None else set(columns)
    shape = None if schema is None else _arrow_schema(schema, wanted)
    if shape is not None:
        wanted = set(shape.names)
    shards = manifest.read(uri, split)
    reason = shards if isinstance(shards, str) else manifest.mismatch(uri, split, shards)
    if reason:
        say = logging.warning if not isinstance(shards, str) else logging.info
        say("%s, split %s: the records are read, because %s.", uri, split, reason)
        batches = _from_records(
            uri, split, wanted, batch_rows, {} if isinstance(shards, str) else _rows(shards)
        )
    else:
        logging.info("%s, split %s: its columns are read.", uri, split)
        batches = _from_columns(uri, shards, wanted, batch_rows)  # type: ignore[arg-type]
    for batch in batches:
        yield batch if shape is None else _shaped(batch, shape, uri, split)


def rows_of(uri: str, split: str) -> int | None:
    """How many rows the manifest says the split has; None where there is none."""
    shards = manifest.read(uri, split)
    return None if isinstance(shards, str) else sum(shard["rows"] for shard in shards)


def _rows(shards: Sequence[manifest.Shard]) -> dict[str, int]:
    return {shard["records"]: shard["rows"] for shard in shards}


def _from_columns(
    uri: str, shards: Sequence[manifest.Shard], wanted: set[str] | None, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """Small stored batches put together, large ones cut, each group of one type."""
    for shard in shards:
        for part in shard["columns"]:
            pending: list[pa.RecordBatch] = []
            rows = size = 0
            for batch in _stored_batches(os.path.join(uri, manifest.FOLDER, part["file"]), wanted):
                full = rows + batch.num_rows > batch_rows or size + batch.nbytes > BATCH_BYTES
                if pending and full:
                    yield from _put_together(pending, batch_rows)
                    pending, rows, size = [], 0, 0
                pending.append(batch)
                rows, size = rows + batch.num_rows, size + batch.nbytes
            if pending:
                yield from _put_together(pending, batch_rows)


def _stored_batches(path: str, wanted: set[str] | None) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    if manifest.is_remote(path):
        with manifest.open_file(path, "rb") as remote:
            source: Any = pa.BufferReader(remote.read())
    else:
        source = pa.memory_map(path)
    with source:
        file = pa.ipc.open_file(source)
        if wanted is not None:
            fields = [number for number, name in enumerate(file.schema.names) if name in wanted]
            file = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=fields))
        for number in range(file.num_record_batches):
            yield file.get_batch(number)


def _put_together(batches: list[pa.RecordBatch], batch_rows: int) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    if len(batches) > 1 and batches[0].num_columns:
        batches = pa.Table.from_batches(batches).combine_chunks().to_batches()
    for batch in batches:
        for part in cut(batch, batch_rows):
            yield lists.listed(part)


def cut(batch: pa.RecordBatch, most: int) -> Iterator[pa.RecordBatch]:
    """The batch in parts of at most `most` rows: itself where it has no more."""
    import pyarrow as pa

    if batch.num_rows <= most:
        yield batch
        return
    for start in range(0, batch.num_rows, most):
        rows = range(start, min(start + most, batch.num_rows))
        # Copied, so that nobody meets arrays that begin in the middle of their buffers.
        yield batch.take(pa.array(rows, pa.int64()))


def _from_records(
    uri: str, split: str, wanted: set[str] | None, batch_rows: int, rows: dict[str, int]
) -> Iterator[pa.RecordBatch]:
    from tfx.dsl.io import fileio
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    folder = os.path.join(uri, f"Split-{split}")
    names = sorted(name for name in fileio.listdir(folder) if not name.startswith("."))
    missing = sorted(rows.keys() - set(names))
    if missing:
        raise DamagedRecords(
            f"{folder}: {missing[0]} is missing. Remove the artifact's run, or run the node anew."
        )
    decoder = ExamplesToRecordBatchDecoder()
    for name in names:
        path, done = os.path.join(folder, name), 0
        for records in records_of(path, batch_rows):
            batch = _decoded(decoder, records, path, done)
            done += batch.num_rows
            if wanted is not None:
                keep = [column for column in batch.schema.names if column in wanted]
                batch = _projected(batch, keep)
            yield batch
        if done < rows.get(name, 0):
            raise DamagedRecords(_cut_off(path, done, f"of {rows[name]:,} "))


def records_of(path: str, batch_rows: int) -> Iterator[list[bytes]]:
    """Lists of at most `batch_rows` records (and about BATCH_BYTES) of a gz TFRecord file.

    Raises DamagedRecords with the number of whole records before the damage.
    """
    done = 0
    try:
        for batch in framing.batches_of(path, batch_rows, BATCH_BYTES):
            done += len(batch)
            yield batch
    except framing.Broken as error:
        raise DamagedRecords(_cut_off(path, done, f"({error}) ")) from error


def _cut_off(path: str, rows: int, told: str) -> str:
    return (
        f"{path}: the file of records is damaged or cut off: {rows:,} whole rows {told}could be read. Run the node "
        "that wrote it again, or put back a whole copy."
    )


def _decoded(decoder: Any, records: list[bytes], path: str, done: int) -> pa.RecordBatch:
    try:
        return decoder.DecodeBatch(records)
    except RuntimeError as error:
        last = done + len(records)
        raise DamagedRecords(f"{path}, rows {done + 1:,} to {last:,}: {str(error).capitalize()}.") from error


def _projected(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    import pyarrow as pa

    if not names:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * batch.num_rows, pa.struct([])))
    columns = [batch.column(batch.schema.get_field_index(name)) for name in names]
    return pa.RecordBatch.from_arrays(columns, list(names))


def _arrow_schema(schema: schema_pb2.Schema, wanted: set[str] | None) -> pa.Schema:
    import pyarrow as pa
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    full = ExamplesToRecordBatchDecoder(schema.SerializeToString()).ArrowSchema()
    return full if wanted is None else pa.schema([field for field in full if field.name in wanted])


def _shaped(batch: pa.RecordBatch, shape: pa.Schema, uri: str, split: str) -> pa.RecordBatch:
    """The batch with exactly the columns of `shape`."""
    import pyarrow as pa

    columns = []
    for field in shape:
        place = batch.schema.get_field_index(field.name)
        column = None if place < 0 else batch.column(place)
        if column is None or pa.types.is_null(column.type) or column.null_count == len(column):
            columns.append(pa.nulls(batch.num_rows, field.type))
        elif column.type != field.type:
            raise DamagedRecords(
                f"{uri}, split {split}: feature {field.name!r} holds {column.type.value_type}, the schema says "
                f"{field.type.value_type}. Mend the schema, or what writes the examples."
            )
        else:
            columns.append(column)
    if not len(shape):
        return _projected(batch, [])
    return pa.RecordBatch.from_arrays(columns, schema=shape)
