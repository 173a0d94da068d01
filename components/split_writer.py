"""Writes an Examples artifact from one process, as FunctionExampleGen and Transform do: records and columns.

ExampleGens that spread over Beam workers write shards of their own (see shards.py); the files are the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from components import records
from components.shards import folder_aside

if TYPE_CHECKING:
    import pyarrow as pa


class SplitsWriter:
    """Writes the splits of an Examples artifact from this process: one shard of records each, and columns.

    As a context manager: what was written is published when the block ends well, and leaves nothing where it does
    not. `prefix` is how the files of records are called. Not for several threads.
    """

    def __init__(
        self, uri: str, names: Sequence[str], gzip_level: int = 1, prefix: str = "data_tfrecord"
    ) -> None:
        self._uri, self._names, self._gzip_level, self._prefix = uri, list(names), gzip_level, prefix
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> SplitsWriter:
        folder = self._exit.enter_context(folder_aside(self._uri))
        self._writer = records.ShardWriter(folder, len(self._names), self._gzip_level)
        return self

    def write(
        self, split: str, batch: pa.RecordBatch | None, examples: Sequence[bytes] | None = None
    ) -> None:
        """Rows of one split. Without `examples` a batch as `records.encoded` takes it, strings and flat columns
        included; else the same rows serialised, and a batch of exactly what tfx_bsl decodes of them (None: no
        columns for this split)."""
        number = self._names.index(split)
        if examples is not None:
            self._writer.write_encoded(examples, batch, [number] * len(examples))
        elif batch is not None:
            self._writer.write(batch, [number] * batch.num_rows)

    @property
    def rows(self) -> dict[str, int]:
        """Rows written so far, by split."""
        return dict(zip(self._names, self._writer.rows, strict=True))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        with self._exit:
            if kind is not None:
                self._writer.discard()
                return
            shards = self._writer.close()
            splits = {n: [s] if s else [] for n, s in zip(self._names, shards, strict=True)}
            records.publish(self._uri, splits, self._gzip_level, self._prefix)
