"""Arrow batches into tables of a warehouse by COPY ... FROM STDIN, and the tables they go into.

A missing value is nothing and an empty text is "", as in reading. Nothing here decides when rows count: see
`bridges.spark.staging` for that.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bridges.errors import BridgeError
from bridges.warehouse import address as addresses

if TYPE_CHECKING:
    import pyarrow as pa

_TYPES = {
    "bool": "boolean", "int8": "smallint", "int16": "smallint", "int32": "integer", "int64": "bigint",
    "float": "real", "double": "double precision", "string": "text", "binary": "bytea", "date32[day]": "date",
}  # fmt: skip


def type_of(kind: pa.DataType, name: str) -> str:
    """PostgreSQL's type for a column. Raises BridgeError where there is none."""
    import pyarrow as pa

    if pa.types.is_list(kind):
        return f"{type_of(kind.value_type, name)}[]"
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision}, {kind.scale})"
    if str(kind) not in _TYPES:
        raise BridgeError(
            f"Column {name!r} is {kind}, which is written to no table. Leave it out, or cast it."
        )
    return _TYPES[str(kind)]


def quoted(name: str) -> str:
    """An identifier, whatever is in it; a dot divides schema and table."""
    return '"' + name.replace('"', '""') + '"'


def quoted_table(name: str) -> str:
    return ".".join(quoted(part) for part in name.split("."))


def declaration(schema: pa.Schema) -> str:
    """The columns of CREATE TABLE."""
    return ", ".join(f"{quoted(field.name)} {type_of(field.type, field.name)}" for field in schema)


def copy(
    cursor: Any, table: str, names: Sequence[str], batches: Iterable[pa.RecordBatch], address: str
) -> int:
    """Writes the rows into the columns `names` of a table within the cursor's transaction; how many they were."""
    reading, writing = os.pipe()
    failed: list[BaseException] = []
    rows = 0

    def receive() -> None:
        try:
            with os.fdopen(reading, "rb") as source, addresses.told(address, f"writing to {table}"):
                columns = ", ".join(map(quoted, names))
                cursor.copy_expert(f"COPY {quoted_table(table)} ({columns}) FROM STDIN (FORMAT csv)", source)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=receive, name="copy", daemon=True)
    thread.start()
    try:
        with os.fdopen(writing, "wb") as sink:
            for batch in batches:
                if failed:
                    break
                _write(batch, sink)
                rows += batch.num_rows
    except BrokenPipeError:
        # The server ended the copy; why it did is in the thread's hands.
        pass
    finally:
        thread.join()
    if failed:
        raise failed[0]
    return rows


def _write(batch: pa.RecordBatch, sink: Any) -> None:
    import pyarrow as pa
    from pyarrow import csv

    columns = [_text(column) for column in batch.columns]
    plain = pa.RecordBatch.from_arrays(columns, batch.schema.names)
    csv.write_csv(plain, sink, csv.WriteOptions(include_header=False))


def _text(column: pa.Array) -> pa.Array:
    """Arrow's own CSV where it is PostgreSQL's as well; lists and bytes as the texts that PostgreSQL reads."""
    import pyarrow as pa

    if pa.types.is_binary(column.type):
        return pa.array(
            [None if value is None else f"\\x{value.hex()}" for value in column.to_pylist()], pa.string()
        )
    if pa.types.is_list(column.type):
        return pa.array(
            [None if value is None else _array(value) for value in column.to_pylist()], pa.string()
        )
    return column


def _array(values: Sequence[Any]) -> str:
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return _array(value)
    if isinstance(value, bytes):
        value = f"\\x{value.hex()}"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)
