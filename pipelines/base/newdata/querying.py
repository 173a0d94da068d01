"""Reads the rows of a query once, in one snapshot, as the new project's SqlExampleGen will read them.

The address that is kept has no password (bridges.warehouse.address); the query's text becomes a file of the project.
"""

from __future__ import annotations

from pathlib import Path

from bridges.warehouse import address as addresses
from bridges.warehouse import query as queries
from bridges.warehouse import reading as rows
from bridges.warehouse import snapshot
from pipelines.base.csv_reading import CsvReading
from pipelines.base.errors import ProjectError
from pipelines.base.newdata.reading import Source
from pipelines.base.paths import without_password


def is_address(text: str) -> bool:
    """Whether `--data` names a database and no file."""
    return "://" in text


def read(url: str, query: str) -> Source:
    """The rows of the query in the file `query`. Raises ProjectError or BridgeError: no file, no connection, a query
    that fails or gives nothing."""
    if not query:
        raise ProjectError(
            f"--data {without_password(url)} is a database; name the rows with --query FILE.sql."
        )
    address, file = addresses.taken_apart(url, reading=True), Path(query).expanduser().absolute()
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"--query {file} cannot be read: {error}") from None
    asked = queries.text_of(text, f"--query {file}")
    import pyarrow as pa

    with snapshot.held(address) as (cursor, _):
        columns = queries.columns_of(cursor, asked, address)
        batches = list(rows.batches(cursor, asked, columns, address))
    if not batches:
        raise ProjectError(
            f"The query of {file} gives no rows at {address}; a model needs rows to learn from."
        )
    table = pa.Table.from_batches(batches).combine_chunks()
    return Source(file, (), CsvReading(), table, address=address, query=text)
