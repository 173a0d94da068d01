"""Batches of any size become blocks within bounds, without a cluster."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from bridges.spark import blocks


def batches(*sizes: int) -> Iterator[pa.RecordBatch]:
    start = 0
    for size in sizes:
        yield pa.RecordBatch.from_arrays([pa.array(np.arange(start, start + size))], ["n"])
        start += size


@pytest.mark.parametrize("rows", [1, 3, 4, 100])
def test_blocks_keep_every_row_in_order_within_the_bounds(rows):
    got = list(blocks.blocks_of(batches(5, 0, 1, 1, 7), rows, 1 << 20))
    assert [n for block in got for n in block.column(0).to_pylist()] == list(range(14))
    assert all(0 < block.num_rows <= rows for block in got)


def test_bytes_bound_blocks_as_well_but_a_row_is_never_cut():
    wide = pa.RecordBatch.from_arrays([pa.array([b"x" * 1000] * 10)], ["picture"])
    assert {block.num_rows for block in blocks.blocks_of([wide], 100, 3500)} == {3, 1}
    assert {block.num_rows for block in blocks.blocks_of([wide], 100, 10)} == {1}
