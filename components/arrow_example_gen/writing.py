"""Record batches to tf.Examples in gz TFRecord shards, as every TFX component reads them.

Shards are written aside and named in the end, all at once, so a split folder holds whole shards or nothing.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import struct
import uuid
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class ShardWriter:
    """One shard per split under `folder`, opened when its first row comes. Not for several threads.

    Compression runs in a thread beside the caller's work (zlib lets go of the GIL), one batch behind it.
    `close` returns the file names (None: the split got no row). `discard` removes what was written.
    """

    def __init__(self, folder: str, splits: int, gzip_level: int) -> None:
        self._stem = os.path.join(folder, uuid.uuid4().hex)
        self._gzip_level = gzip_level
        self._shards: list[RecordFile | None] = [None] * splits
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "gzip")
        self._pending: list[concurrent.futures.Future[None]] = []
        self.rows = [0] * splits

    def write(self, examples: Sequence[bytes], splits: Sequence[int]) -> None:
        """Serialised examples and the split number of each."""
        jobs = []
        for number in sorted(set(splits)):
            mine = [example for example, split in zip(examples, splits, strict=True) if split == number]
            self.rows[number] += len(mine)
            shard = self._shards[number]
            if shard is None:
                shard = self._shards[number] = RecordFile(self._name(number), self._gzip_level)
            jobs.append((shard.append, framed(mine)))
        self._settle()
        self._pending = [self._thread.submit(append, data) for append, data in jobs]

    def close(self) -> list[str | None]:
        try:
            self._settle()
        finally:
            self._thread.shutdown()
            for shard in self._shards:
                if shard is not None:
                    shard.close()
        return [self._name(number) if shard else None for number, shard in enumerate(self._shards)]

    def discard(self) -> None:
        """For the way out of an error: raises none of its own."""
        with contextlib.suppress(Exception):
            self.close()
        # The files lie in a folder that the executor removes as a whole.

    def _settle(self) -> None:
        pending, self._pending = self._pending, []
        for future in pending:
            future.result()

    def _name(self, number: int) -> str:
        return f"{self._stem}-{number}.gz"


class RecordFile:
    """A gz file of TFRecords; gzip even at level 0, because readers go by its name. The bytes hold no
    time."""

    def __init__(self, path: str, gzip_level: int) -> None:
        from tfx.dsl.io import fileio

        self._file = open(path, "wb") if "://" not in path else fileio.open(path, "wb")  # noqa: SIM115
        self._zip = zlib.compressobj(gzip_level, zlib.DEFLATED, 31)

    def append(self, data: bytes) -> None:
        """`data`: records as `framed` makes them."""
        self._file.write(self._zip.compress(data))

    def close(self) -> None:
        self._file.write(self._zip.flush())
        self._file.close()


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
            head = heads[size] = length + pack(_masked(checksum(length)))
        crc = checksum(record)
        # `_masked`, written out: a call per record would double the cost.
        parts += (head, record, pack((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF))
    return b"".join(parts)


def _masked(crc: int) -> int:
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def publish(shards: Sequence[str], folder: str, gzip_level: int) -> int:
    """Moves shards to `folder/data_tfrecord-00000-of-0000N.gz` in the given order; returns N.

    N is at least 1: an empty split is one empty shard, as TFX writes it.
    """
    from tfx.dsl.io import fileio

    fileio.makedirs(folder)
    total = max(1, len(shards))
    if not shards:
        RecordFile(shard_path(folder, 0, 1), gzip_level).close()
    for number, shard in enumerate(shards):
        fileio.rename(shard, shard_path(folder, number, total))
    return total


def shard_path(folder: str, number: int, total: int) -> str:
    return os.path.join(folder, f"data_tfrecord-{number:05d}-of-{total:05d}.gz")


class Encoder:
    """Record batches (int64, float64, string, binary, null, or lists of these) to serialised tf.Examples.

    As in TFX, a missing value is an empty list of its column's type, a column without any value a feature
    without a kind, and floats are 32 bits.
    """

    def __init__(self) -> None:
        from tfx_bsl.coders import example_coder

        self._encoder = example_coder.RecordBatchToExamplesEncoder()

    def encode(self, batch: pa.RecordBatch) -> list[bytes]:
        import pyarrow as pa

        columns = [_as_lists(column) for column in batch.columns]
        return self._encoder.encode(pa.RecordBatch.from_arrays(columns, batch.schema.names))


def _as_lists(column: pa.Array) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.list_(pa.binary()))
    if pa.types.is_large_list(column.type):
        offsets = np.asarray(column.offsets) - column.offsets[0].as_py()
        return pa.LargeListArray.from_arrays(pa.array(offsets), _narrow(column.flatten()))
    ends: np.ndarray = np.arange(len(column) + 1, dtype=np.int64)
    if column.null_count:
        ends[1:] = np.cumsum(np.asarray(column.is_valid()))
        column = column.drop_null()
    return pa.LargeListArray.from_arrays(pa.array(ends), _narrow(column))


def _narrow(values: pa.Array) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_floating(values.type):
        return values.cast(pa.float32(), safe=False)
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        return values.cast(pa.binary() if pa.types.is_string(values.type) else pa.large_binary())
    return values
