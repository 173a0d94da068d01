"""A query's rows as Arrow batches: COPY ... TO STDOUT through a pipe into Arrow's CSV reader.

A thread moves bytes, Arrow parses them; no row is a Python object. In COPY's CSV a missing value is nothing and an
empty text is "", and so they stay apart.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bridges.errors import BridgeError
from bridges.warehouse import address as addresses
from bridges.warehouse import dialects
from bridges.warehouse.query import BOOL, BYTES, FLOAT, INT, Column

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 4 << 20
# A row is a write of its own for psycopg2; into the pipe they go together.
PIPE_BYTES = 1 << 18


def batches(
    cursor: Any, query: str, columns: Sequence[Column], address: str, kinds: Mapping[str, str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows: int64 (booleans too), float64, string, binary columns; `kinds` puts other kinds in the catalogue's
    place. Raises BridgeError: the connection broke, the statement was ended, a value is not of its kind."""
    from pyarrow import ArrowInvalid

    if isinstance(cursor, dialects.Reader):
        with addresses.told(address, "reading the rows"):
            yield from cursor.batches(query, columns, dict(kinds or {}))
        return
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def copy() -> None:
        try:
            with (
                os.fdopen(writing, "wb", buffering=PIPE_BYTES) as sink,
                addresses.told(address, "reading the rows"),
            ):
                cursor.copy_expert(f"COPY (\n{query}\n) TO STDOUT (FORMAT csv)", sink)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=copy, name="copy", daemon=True)
    thread.start()

    def stop() -> None:
        # A statement that still computes gives Arrow's last read nothing to return with.
        with contextlib.suppress(Exception):
            cursor.connection.cancel()

    try:
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            try:
                yield from _parsed(_Source(pipe, stop), columns, dict(kinds or {}))
            except ArrowInvalid as error:
                # A stream that was cut short is no CSV either: what cut it goes first.
                thread.join(1)
                if not failed:
                    raise BridgeError(f"A value of the query is not of its column's kind: {error}") from None
    finally:
        # The pipe is closed, which ends a copy that still writes into it.
        thread.join()
    if failed:
        raise failed[0]


class _Source:
    """The pipe as Arrow reads it, in a thread of its own and ahead of what is asked for; `stop` ends it."""

    closed = False

    def __init__(self, pipe: Any, stopped: Callable[[], None]) -> None:
        self._pipe, self._stopped, self._over = pipe, stopped, False

    def read(self, size: int) -> bytes:
        """As many bytes as are asked for, but for the end: a pipe gives 64 kB, and each answer becomes a batch."""
        chunks: list[bytes] = []
        while size > 0 and not self._over:
            chunk = self._pipe.read(size)
            if not chunk:
                break
            chunks.append(chunk)
            size -= len(chunk)
        return b"" if self._over else b"".join(chunks)

    def stop(self) -> None:
        self._over = True
        self._stopped()


def _parsed(source: _Source, columns: Sequence[Column], kinds: dict[str, str]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import csv

    kinds = {column.name: kinds.get(column.name, column.kind) for column in columns}
    types = {INT: pa.int64(), FLOAT: pa.float64(), BOOL: pa.bool_()}
    booleans = {column.name for column in columns if column.kind == BOOL}
    convert = csv.ConvertOptions(
        column_types={
            n: pa.bool_() if n in booleans else types.get(kind, pa.string()) for n, kind in kinds.items()
        },
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        true_values=["t"],
        false_values=["f"],
    )
    try:
        reader = csv.open_csv(
            source,
            csv.ReadOptions(column_names=list(kinds), block_size=BLOCK_BYTES, use_threads=False),
            # A row of one missing value is an empty line.
            csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert,
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):
            return
        raise
    whole = False
    try:
        for batch in reader:
            if batch.num_rows:
                yield _plain(batch, kinds, booleans)
        whole = True
    finally:
        if not whole:
            # A reader that is let go while its thread reads waits for it, and that thread for the lock that we hold.
            source.stop()
            with contextlib.suppress(pa.ArrowInvalid):
                for _ in reader:
                    pass


def _plain(batch: pa.RecordBatch, kinds: dict[str, str], booleans: set[str]) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = []
    for column, name in zip(batch.columns, batch.schema.names, strict=True):
        if name in booleans:
            column = column.cast(pa.int64())
            column = column.cast(pa.float64()) if kinds[name] == FLOAT else column
        elif kinds[name] == BYTES:
            # bytea's own text is \x and hexadecimal digits.
            column = pa.array(
                [None if v is None else bytes.fromhex(v[2:]) for v in column.to_pylist()], pa.binary()
            )
        arrays.append(column)
    return pa.RecordBatch.from_arrays(arrays, batch.schema.names)
