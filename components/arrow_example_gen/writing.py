"""Record batches to tf.Examples in gz TFRecord shards, as every TFX component reads them.

Shards are written aside and named in the end, all at once, so a split folder holds whole shards or nothing.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class ShardWriter:
    """One shard per split under `folder`, opened when its first row comes. Not for several threads.

    `close` returns the file names (None: the split got no row). `discard` removes what was written.
    """

    def __init__(self, folder: str, splits: int, gzip_level: int) -> None:
        self._stem = os.path.join(folder, uuid.uuid4().hex)
        self._gzip_level = gzip_level
        self._writers: list[Any] = [None] * splits
        self.rows = [0] * splits

    def write(self, examples: Sequence[bytes], splits: Sequence[int]) -> None:
        """Serialised examples and the split number of each."""
        for number in set(splits):
            if self._writers[number] is None:
                self._writers[number] = open_shard(self._name(number), self._gzip_level)
        sinks = [writer and writer.write for writer in self._writers]
        for example, split in zip(examples, splits, strict=True):
            sinks[split](example)
        for number in set(splits):
            self.rows[number] += splits.count(number)

    def close(self) -> list[str | None]:
        names: list[str | None] = []
        for number, writer in enumerate(self._writers):
            names.append(self._name(number) if writer else None)
            if writer:
                writer.close()
        return names

    def discard(self) -> None:
        from tfx.dsl.io import fileio

        for name in self.close():
            if name:
                fileio.remove(name)

    def _name(self, number: int) -> str:
        return f"{self._stem}-{number}.gz"


def open_shard(path: str, gzip_level: int) -> Any:
    """A TFRecord writer; the file is gzip even at level 0, because readers go by its name."""
    import tensorflow as tf

    settings = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=gzip_level)
    return tf.io.TFRecordWriter(path, settings)


def publish(shards: Sequence[str], folder: str, gzip_level: int) -> int:
    """Moves shards to `folder/data_tfrecord-00000-of-0000N.gz` in the given order; returns N (at least 1: an empty
    split is one empty shard, as TFX writes it)."""
    from tfx.dsl.io import fileio

    fileio.makedirs(folder)
    total = max(1, len(shards))
    if not shards:
        open_shard(shard_path(folder, 0, 1), gzip_level).close()
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
