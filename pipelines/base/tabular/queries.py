"""Rows of a query as a file, for a project's data.py: all of them, or some that a seed chooses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bridges.warehouse import address as addresses
from bridges.warehouse import query as queries
from bridges.warehouse import reading, snapshot

if TYPE_CHECKING:
    import pyarrow as pa


def copy(address: str, file: Path, folder: Path) -> None:
    """Writes the rows as they are now as `rows.parquet`. Raises BridgeError: no connection, a query that fails."""
    from pyarrow import parquet

    parquet.write_table(_rows(address, file), str(folder / "rows.parquet"))


def draw(address: str, file: Path, folder: Path, rows: int, seed: int) -> None:
    """Writes `rows` rows (all, if there are no more) as `sample.parquet`, in an order that `seed` decides.

    Raises BridgeError as `copy` does. The same seed gives the same rows as long as the database gives them in the same
    order, which only an ORDER BY of the query promises.
    """
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    table = _rows(address, file)
    order = np.random.default_rng(seed).permutation(table.num_rows)[:rows]
    parquet.write_table(table.take(pa.array(order)), str(folder / "sample.parquet"))


def _rows(address: str, file: Path) -> pa.Table:
    import pyarrow as pa

    address = addresses.taken_apart(address, reading=True)
    query = queries.text_of(file.read_text(encoding="utf-8"), str(file))
    with snapshot.held(address) as (cursor, _):
        columns = queries.columns_of(cursor, query, address)
        batches = list(reading.batches(cursor, query, columns, address))
    if not batches:
        return pa.table({column.name: pa.nulls(0) for column in columns})
    return pa.Table.from_batches(batches).combine_chunks()
