"""Exact counts of text values: how many are different, and which are the most frequent.

TFDV's generator for this is a graph of Beam; here the counts of batches are added up, on the disk where there are too
many different values for memory. Which features it is asked about is computing.py's business.
"""

from __future__ import annotations

import heapq
import os
import tempfile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

# Different values are held in memory up to this, then parted by their hash into so many files.
HELD_BYTES = 128 << 20
PARTITIONS = 64


class Counts(NamedTuple):
    """`top`: (value, count) with the greatest counts, of equal counts the greater values."""

    unique: int
    top: list[tuple[bytes | int, int]]


class ValueCounter:
    """Counts the values of one feature. `add` batches, then ask `result` once. Memory is bounded by `held_bytes`,
    twice while counts are added up."""

    def __init__(self, most: int, held_bytes: int = HELD_BYTES) -> None:
        self._most, self._held_bytes = most, held_bytes
        self._held: list[pa.RecordBatch] = []
        self._fresh = self._settled = 0
        self._spilled: _Spilled | None = None

    def add(self, values: pa.Array) -> None:
        """Values without nulls; equal types in every call."""
        import pyarrow as pa

        counted = values.value_counts()
        columns = [counted.field("values"), counted.field("counts").cast(pa.int64())]
        batch = pa.RecordBatch.from_arrays(columns, ["value", "count"])
        self._held.append(batch)
        self._fresh += batch.nbytes
        # Adding up costs as much as what is held already, so it waits for as much again.
        if self._fresh > max(self._settled, 1 << 20):
            self._add_up()

    def result(self) -> Counts:
        if self._spilled is None:
            return _counts([_added_up(self._held)], self._most)
        if self._held:
            self._spilled.write(_added_up(self._held))
        return self._spilled.counts(self._most)

    def _add_up(self) -> None:
        table = _added_up(self._held)
        if table.nbytes > self._held_bytes:
            self._spilled = self._spilled or _Spilled(table.schema)
            self._spilled.write(table)
            self._held, self._fresh, self._settled = [], 0, 0
        else:
            self._held, self._fresh, self._settled = table.to_batches(), 0, table.nbytes


class _Spilled:
    """Counts in temporary files, equal values in the same one."""

    def __init__(self, schema: pa.Schema) -> None:
        import pyarrow as pa

        self._folder = tempfile.TemporaryDirectory(prefix="viaduct-values-")
        self._paths = [os.path.join(self._folder.name, f"{number}.arrow") for number in range(PARTITIONS)]
        self._writers = [pa.ipc.new_stream(path, schema) for path in self._paths]

    def write(self, table: pa.Table) -> None:
        import numpy as np
        import pyarrow as pa
        from pandas.util import hash_array

        if not table.num_rows:
            return
        values = table.column("value").combine_chunks()
        hashes = hash_array(np.asarray(values.to_pandas()), categorize=False) % PARTITIONS
        for number, writer in enumerate(self._writers):
            mine = np.flatnonzero(hashes == number)
            if len(mine):
                writer.write_table(table.take(pa.array(mine)))

    def counts(self, most: int) -> Counts:
        import pyarrow as pa

        for writer in self._writers:
            writer.close()
        parts = []
        for path in self._paths:
            with pa.memory_map(path) as source:
                batches = list(pa.ipc.open_stream(source))
                # Only the top of each part is kept.
                parts.append(_counts([_added_up(batches)], most) if batches else Counts(0, []))
        self._folder.cleanup()
        top = heapq.nlargest(most, (pair for part in parts for pair in part.top), key=lambda pair: pair[::-1])
        return Counts(sum(part.unique for part in parts), top)


def _added_up(batches: list[pa.RecordBatch]) -> pa.Table:
    import pyarrow as pa

    table = pa.Table.from_batches(batches)
    if len(batches) < 2:
        return table
    summed = table.group_by("value").aggregate([("count", "sum")])
    return pa.table({"value": summed.column("value"), "count": summed.column("count_sum")})


def _counts(tables: list[pa.Table], most: int) -> Counts:
    """Of tables that share no value."""
    import numpy as np

    unique = 0
    top: list[tuple[bytes | int, int]] = []
    for table in tables:
        unique += table.num_rows
        counts = table.column("count").to_numpy()
        if len(counts) > most:
            # Whatever is as frequent as the last one that fits may still be in, by its value.
            least = np.partition(counts, len(counts) - most)[len(counts) - most]
            table = table.filter(_at_least(table, int(least)))
        pairs = zip(table.column("value").to_pylist(), table.column("count").to_pylist(), strict=True)
        top = heapq.nlargest(most, (*top, *pairs), key=lambda pair: pair[::-1])
    return Counts(unique, top)


def _at_least(table: pa.Table, count: int) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.greater_equal(table.column("count"), count)
