"""A query cut into parts that together are its rows, once each: by a table's pages, else by quantiles of a key.

A table's rows lie in pages, and a range of them is read without reading the others (a Tid Range Scan). Any other
query runs once for each part, so it is cut only where a key says how; without one it stays whole.
"""

from __future__ import annotations

import re
from typing import Any

from bridges.errors import BridgeError
from bridges.warehouse import address as addresses
from bridges.warehouse import dialects

_NAME = r'(?:"(?:[^"]|"")+"|[A-Za-z_][A-Za-z0-9_$]*)'
_TABLE = re.compile(
    rf"(?is)\s*(?:TABLE\s+(?P<bare>{_NAME}(?:\.{_NAME})?)"
    rf"|SELECT\s+(?P<list>\*|{_NAME}(?:\s*,\s*{_NAME})*)\s+FROM\s+(?P<from>{_NAME}(?:\.{_NAME})?))\s*"
)
# Words that the pattern takes for names of columns, but which say that it is no plain list of columns.
_NO_COLUMNS = {
    "distinct",
    "all",
    "null",
    "true",
    "false",
    "case",
    "current_date",
    "current_timestamp",
    "user",
}


def cut(cursor: Any, query: str, address: str, count: int, key: str = "") -> list[str]:
    """At most `count` queries; just the query where nothing says how to cut. `key`: a column of its result."""
    if count <= 1:
        return [query]
    if isinstance(cursor, dialects.Reader):
        return cursor.dialect.parts(query, count, key)
    if key:
        return _by_key(cursor, query, address, count, key)
    table = _table(cursor, query)
    return [query] if table is None else _by_pages(cursor, *table, address, count)


def _table(cursor: Any, query: str) -> tuple[str, str] | None:
    """(columns, table) where the query is all rows of one ordinary table or materialised view."""
    match = _TABLE.fullmatch(query)
    if match is None:
        return None
    columns = "*" if match["bare"] else match["list"]
    if any(name.strip().lower() in _NO_COLUMNS for name in columns.split(",")):
        return None
    name = match["bare"] or match["from"]
    # A parent of inherited tables has rows in other tables' pages, which its own numbers do not tell.
    cursor.execute(
        "SELECT relkind IN ('r', 'm') AND NOT relhassubclass FROM pg_class WHERE oid = to_regclass(%s)",
        (name,),
    )
    plain = cursor.fetchone()
    return (columns, name) if plain and plain[0] else None


def _by_pages(cursor: Any, columns: str, table: str, address: str, count: int) -> list[str]:
    with addresses.told(address, "measuring the table"):
        cursor.execute(
            "SELECT pg_relation_size(to_regclass(%s)) / current_setting('block_size')::bigint", (table,)
        )
        pages = int(cursor.fetchone()[0])
    # A rewrite of the table in between keeps the rows, and the snapshot the meaning of their places; the last part
    # has no end, so that pages that come later are in it.
    count = max(1, min(count, pages))
    starts = [pages * number // count for number in range(count)]
    parts = []
    for number, start in enumerate(starts):
        bounds = [f"ctid >= '({start},0)'"] if number else []
        bounds += [f"ctid < '({starts[number + 1]},0)'"] if number + 1 < count else []
        parts.append(f"SELECT {columns} FROM {table}" + (f" WHERE {' AND '.join(bounds)}" if bounds else ""))
    return parts


def _by_key(cursor: Any, query: str, address: str, count: int, key: str) -> list[str]:
    from psycopg2 import sql

    quoted = sql.Identifier(key).as_string(cursor)
    fractions = ", ".join(str(number / count) for number in range(1, count))
    with addresses.told(address, f"looking for quantiles of {key!r}"):
        cursor.execute(
            f"SELECT (percentile_disc(ARRAY[{fractions}]) WITHIN GROUP (ORDER BY {quoted}))::text[] "
            f"FROM (\n{query}\n) AS q"
        )
        found = cursor.fetchone()[0]
    if found is None:
        raise BridgeError(f"The key {key!r} has no value in any row; choose another to cut the query by.")
    ends = [sql.Literal(end).as_string(cursor) for end in dict.fromkeys(found)]
    parts = []
    for number in range(len(ends) + 1):
        bounds = [f"{quoted} >= {ends[number - 1]}"] if number else []
        bounds += [f"{quoted} < {ends[number]}"] if number < len(ends) else []
        condition = " AND ".join(bounds)
        # Rows without a key come with the first part.
        condition = f"({condition}) OR {quoted} IS NULL" if not number else condition
        parts.append(f"SELECT * FROM (\n{query}\n) AS q WHERE {condition}")
    return parts
