"""Record batches to tf.Examples in gz TFRecord shards, as every TFX component reads them, and to columns beside them.

Shards are written aside and named in the end, all at once, so a split folder holds whole shards or nothing. What is
in a column file is components.columns' business.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import struct
import uuid
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.columns import lists, manifest
from components.columns.framing import masked
from components.columns.manifest import Summed, is_remote
from components.columns.writing import ColumnFile

if TYPE_CHECKING:
    import pyarrow as pa

# Rows that are encoded at once.
ENCODED_BYTES = 1 << 29

__all__ = ["RecordFile", "ShardWriter", "encoded", "framed", "is_remote", "publish"]


class ShardWriter:
    """One shard per split under `folder`, opened when its first row comes. Not for several threads.

    Compression runs in a thread beside the caller's work (zlib lets go of the GIL), one batch behind it.
    `close` returns the facts of each shard (see manifest.py; None: the split got no row) with its path under
    "path". `discard` removes what was written.
    """

    def __init__(self, folder: str, splits: int, gzip_level: int) -> None:
        self._stem = os.path.join(folder, uuid.uuid4().hex)
        self._gzip_level = gzip_level
        self._shards: list[tuple[RecordFile, ColumnFile] | None] = [None] * splits
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "gzip")
        self._pending: list[concurrent.futures.Future[None]] = []
        self.rows = [0] * splits

    def write(self, batch: pa.RecordBatch, splits: Sequence[int]) -> None:
        """Rows (see `encoded`) and the split number of each."""
        listed = lists.as_lists(batch)
        self.write_encoded(encoded(listed), listed, splits)

    def write_encoded(
        self, examples: Sequence[bytes], listed: pa.RecordBatch | None, splits: Sequence[int]
    ) -> None:
        """Serialised examples, the same rows as tfx_bsl decodes them (None: no columns), the split of each."""
        stored = None if listed is None else lists.stored(listed)
        jobs: list[tuple[Any, Any]] = []
        for number in sorted(set(splits)):
            mine = [example for example, split in zip(examples, splits, strict=True) if split == number]
            self.rows[number] += len(mine)
            shard = self._shards[number]
            if shard is None:
                stem = f"{self._stem}-{number}"
                shard = RecordFile(f"{stem}.gz", self._gzip_level), ColumnFile(stem)
                self._shards[number] = shard
            records, columns = shard
            jobs.append((records.append, framed(mine)))
            if stored is None:
                columns.give_up("the writer has none")
            else:
                jobs.append((columns.append, _rows_of_split(stored, splits, number, len(mine))))
        self._settle()
        self._pending = [self._thread.submit(append, data) for append, data in jobs]

    def close(self) -> list[dict[str, Any] | None]:
        try:
            self._settle()
        finally:
            self._thread.shutdown()
            for shard in self._shards:
                if shard is not None:
                    shard[0].close()
        return [
            None if shard is None else _facts(*shard, rows)
            for shard, rows in zip(self._shards, self.rows, strict=True)
        ]

    def discard(self) -> None:
        """For the way out of an error: raises none of its own."""
        with contextlib.suppress(Exception):
            self.close()
        # The files lie in a folder that the executor removes as a whole.

    def _settle(self) -> None:
        pending, self._pending = self._pending, []
        for future in pending:
            future.result()


def _rows_of_split(batch: pa.RecordBatch, splits: Sequence[int], number: int, count: int) -> pa.RecordBatch:
    import numpy as np
    import pyarrow as pa

    if count == batch.num_rows or not batch.num_columns:
        return batch
    return batch.take(pa.array(np.flatnonzero(np.asarray(splits) == number)))


def _facts(records: RecordFile, columns: ColumnFile, rows: int) -> dict[str, Any]:
    parts = columns.close()
    if parts is not None and sum(part["rows"] for part in parts) != rows:
        columns.give_up("rows without a feature cannot be kept as columns")
        parts = None
    return {**records.facts(), "rows": rows, "columns": parts, "missing": columns.missing}


class RecordFile:
    """A gz file of TFRecords; gzip even at level 0, because readers go by its name. The bytes hold no
    time."""

    def __init__(self, path: str, gzip_level: int) -> None:
        self._file = Summed(path)
        self._zip = zlib.compressobj(gzip_level, zlib.DEFLATED, 31)

    def append(self, data: bytes) -> None:
        """`data`: records as `framed` makes them."""
        self._file.write(self._zip.compress(data))

    def close(self) -> None:
        self._file.write(self._zip.flush())
        self._file.close()

    def facts(self) -> dict[str, Any]:
        """Of the closed file: {"path", "bytes", "crc32c"}."""
        return self._file.facts()


def framed(records: Sequence[bytes]) -> bytes:
    """TFRecord framing: length (8 bytes), its masked CRC-32C, the record, its masked CRC-32C, little-endian.

    Source: TensorFlow's tutorial "TFRecord and tf.train.Example", section "TFRecords format details".
    """
    import google_crc32c

    checksum, pack = google_crc32c.value, struct.Struct("<I").pack
    heads: dict[int, bytes] = {}
    parts: list[bytes] = []
    for record in records:
        size = len(record)
        head = heads.get(size)
        if head is None:
            length = struct.pack("<Q", size)
            head = heads[size] = length + pack(masked(checksum(length)))
        crc = checksum(record)
        # `masked`, written out: a call per record would double the cost.
        parts += (head, record, pack((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF))
    return b"".join(parts)


def publish(
    uri: str,
    splits: Mapping[str, Sequence[dict[str, Any]]],
    gzip_level: int,
    prefix: str = "data_tfrecord",
) -> None:
    """Moves the shards of each split to `uri`/Split-<name>/<prefix>-00000-of-0000N.gz in the given order, their
    columns beside them, and writes the manifest.

    N is at least 1: an empty split is one empty shard, as TFX writes it.
    """
    from tfx.dsl.io import fileio

    folder = os.path.join(uri, manifest.FOLDER)
    fileio.makedirs(folder)
    told: dict[str, list[manifest.Shard]] = {}
    for name, shards in splits.items():
        target = os.path.join(uri, f"Split-{name}")
        fileio.makedirs(target)
        if not shards:
            empty = RecordFile(os.path.join(folder, f".{uuid.uuid4().hex}"), gzip_level)
            empty.close()
            shards = [{**empty.facts(), "rows": 0, "columns": [], "missing": ""}]
        told[name] = []
        for number, shard in enumerate(shards):
            place = f"{number:05d}-of-{len(shards):05d}"
            records = f"{prefix}-{place}.gz"
            fileio.rename(shard["path"], os.path.join(target, records))
            parts: list[dict[str, Any]] = []
            for count, part in enumerate(shard["columns"] or []):
                file = f"{name}-{place}-{count}.arrow"
                fileio.rename(part["path"], os.path.join(folder, file))
                parts.append({"file": file, **_without_path(part)})
            columns = None if shard["columns"] is None else parts
            told[name].append({"records": records, **_without_path(shard), "columns": columns})
    manifest.write(uri, told)


def _without_path(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key != "path"}


def encoded(batch: pa.RecordBatch) -> list[bytes]:
    """Rows of a batch, as `lists.as_lists` gives it (int64, float64, string, binary, null, or lists of these), as
    serialised tf.Examples.

    A row lacks the features it has no value of; a column without any value is a feature without a kind in every row,
    and floats are 32 bits.
    """
    from bridges.examples.encoding import encode
    from bridges.examples.parsing import Feature

    if not batch.num_columns or not batch.num_rows:
        return [b""] * batch.num_rows
    if batch.nbytes > ENCODED_BYTES and batch.num_rows > 1:
        # Arrow counts the bytes of a column with 31 bits.
        half = batch.num_rows // 2
        return encoded(batch.slice(0, half)) + encoded(batch.slice(half))
    columns = dict(zip(batch.schema.names, map(lists.single, batch.columns), strict=True))
    features = [Feature(name, _kind(column.type), None, False) for name, column in columns.items()]
    rows: list[bytes] = encode(columns, features).tolist()
    return rows


def _kind(kind: pa.DataType) -> str:
    """The kind of list that a tf.Example holds a column's values in."""
    import pyarrow as pa

    from bridges.examples.parsing import BYTES, FLOAT, INT64

    while pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind):
        return INT64
    return FLOAT if pa.types.is_floating(kind) else BYTES
