"""A DataFrame's rows into a warehouse, once each, although tasks die and are done again.

Workers copy their partition into a staging table, a transaction for each: what an earlier attempt of the same
partition left is taken out in it, and two attempts at a time wait for each other. The rows count when the driver moves
them on in one transaction of its own. Partitions must be the same at each attempt, as those of files are.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from bridges.errors import BridgeError
from bridges.spark.session import told
from bridges.warehouse import address as addresses
from bridges.warehouse import writing

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

PART = "viaduct_part"


def arrow_schema(frame: DataFrame) -> pa.Schema:
    """The frame's columns in Arrow's types."""
    from pyspark.sql.pandas.types import to_arrow_schema

    return to_arrow_schema(frame.schema)


def create(cursor: Any, table: str, schema: pa.Schema) -> None:
    """An empty staging table of that name. It is not logged: a crash of the server empties it, and nothing is lost."""
    declared = f"{writing.quoted(PART)} integer, {writing.declaration(schema)}"
    cursor.execute(f"DROP TABLE IF EXISTS {writing.quoted_table(table)}")
    cursor.execute(f"CREATE UNLOGGED TABLE {writing.quoted_table(table)} ({declared})")


def stage(frame: DataFrame, address: str, table: str) -> int:
    """Copies all rows into the staging table; their number. Raises BridgeError."""
    # Workers connect themselves: the password travels within the task, not in Spark's configuration or its pages.
    work = functools.partial(_copy, address, os.environ.get(addresses.PASSWORD, ""), table)
    with told():
        counts = frame.mapInArrow(work, "copied long").collect()
    return sum(row.copied for row in counts)


def _copy(
    address: str, password: str, table: str, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyspark import TaskContext

    context = TaskContext.get()
    if context is None:
        raise BridgeError("Rows are staged by Spark's tasks only.")
    part = context.partitionId()
    if password:
        os.environ[addresses.PASSWORD] = password
    key = int.from_bytes(
        hashlib.blake2b(f"{table}/{part}".encode(), digest_size=8).digest(), "little", signed=True
    )
    with (
        contextlib.closing(addresses.connect(address, "viaduct writer")) as connection,
        addresses.told(address, f"writing to {table}"),
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (key,))
        cursor.execute(
            f"DELETE FROM {writing.quoted_table(table)} WHERE {writing.quoted(PART)} = %s", (part,)
        )
        first = next(iter(batches := iter(batches)), None)
        rows = 0
        if first is not None:
            rows = writing.copy(
                cursor, table, [PART, *first.schema.names], _numbered(part, first, batches), address
            )
    yield pa.RecordBatch.from_arrays([pa.array([rows], pa.int64())], ["copied"])


def _numbered(part: int, first: pa.RecordBatch, rest: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for batch in itertools.chain([first], rest):
        numbers = pa.array([part] * batch.num_rows, pa.int32())
        yield pa.RecordBatch.from_arrays([numbers, *batch.columns], [PART, *batch.schema.names])


def write_table(frame: DataFrame, address: str, table: str) -> int:
    """The frame as a new table, which appears with all of its rows. Raises BridgeError: the table exists, ..."""
    schema = arrow_schema(frame)
    columns = ", ".join(writing.quoted(name) for name in schema.names)
    name, aside = writing.quoted_table(table), f"{table}_viaduct_{os.getpid()}"
    check_free(address, table)
    with contextlib.closing(addresses.connect(address)) as connection:
        with addresses.told(address, f"making {aside}"), connection, connection.cursor() as cursor:
            create(cursor, aside, schema)
        try:
            stage(frame, address, aside)
            with addresses.told(address, f"writing {table}"), connection, connection.cursor() as cursor:
                cursor.execute(f"CREATE TABLE {name} AS SELECT {columns} FROM {writing.quoted_table(aside)}")
                return int(cursor.rowcount)
        finally:
            with contextlib.suppress(Exception), connection, connection.cursor() as cursor:
                cursor.execute(f"DROP TABLE IF EXISTS {writing.quoted_table(aside)}")


def check_free(address: str, table: str) -> None:
    """Raises BridgeError where the table exists."""
    with contextlib.closing(addresses.connect(address)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (writing.quoted_table(table),))
        if cursor.fetchone()[0]:
            raise BridgeError(
                f"The table {table} exists already at {address}; name another, or drop it first."
            )
