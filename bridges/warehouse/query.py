"""What a query gives, looked at before it is read: columns and their kinds, how many rows, and a digest of them.

The kinds are those of tf.Examples: whole numbers and booleans, fractions, texts (and dates, which stay texts). NULL
is a missing value and '' is none. A digest does not depend on the rows' order.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

from bridges.errors import BridgeError
from bridges.warehouse import address as addresses
from bridges.warehouse import dialects
from bridges.warehouse.kinds import BOOL, BYTES, FLOAT, INT, POSTGRESQL_KINDS, TEXT, Column

__all__ = ["BOOL", "BYTES", "FLOAT", "INT", "TEXT", "Column", "columns_of", "state_of", "text_of"]

_EPOCH = datetime.date(1970, 1, 1)
_PLACES = ("{SPAN_START}", "{SPAN_END}")


def text_of(text: str, source: str, span: int | None = None) -> str:
    """The query without its last semicolon, the span's first day and the day after it in their places.

    A span counts days since 1970-01-01, as TFX has it. Raises BridgeError for several statements, none, or places
    without a span.
    """
    query = text.strip().rstrip(";").strip()
    if not query:
        raise BridgeError(f"{source} is empty; expected one SELECT.")
    if (
        re.match(
            r"(?i)(select|with|table|values)\b", re.sub(r"(?s)^(\s*(--[^\n]*\n|/\*.*?\*/))*\s*", "", query)
        )
        is None
    ):
        raise BridgeError(
            f"{source} begins with {query[:40]!r}; expected one SELECT (or WITH, TABLE, VALUES)."
        )
    if any(place in query for place in _PLACES):
        if span is None:
            raise BridgeError(
                f"{source} has {_PLACES[0]} or {_PLACES[1]}; name the delivery with --span (days since 1970)."
            )
        start = _EPOCH + datetime.timedelta(days=span)
        for place, day in zip(_PLACES, (start, start + datetime.timedelta(days=1)), strict=True):
            query = query.replace(place, f"'{day.isoformat()}'")
    return query


def columns_of(cursor: Any, query: str, address: str) -> list[Column]:
    """The result's columns. Raises BridgeError: the query fails, a name stands twice, a type that no feature holds."""
    with addresses.told(address, "looking at the query's columns"):
        # Newlines: a comment in the query's last line must not hide the bracket.
        if isinstance(cursor, dialects.Reader):
            columns = cursor.columns_of(query)
        else:
            cursor.execute(f"SELECT * FROM (\n{query}\n) AS viaduct_query LIMIT 0")
            columns = _of_description(cursor)
    names = [column.name for column in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BridgeError(
            f"The query gives the column {twice[0]!r} twice. Name them apart: SELECT ... AS other."
        )
    if not columns:
        raise BridgeError("The query gives no columns.")
    return columns


def _of_description(cursor: Any) -> list[Column]:
    columns = []
    for described in cursor.description:
        if described.type_code not in POSTGRESQL_KINDS:
            cursor.execute("SELECT format_type(%s, NULL)", (described.type_code,))
            raise BridgeError(
                f"Column {described.name!r} is {cursor.fetchone()[0]}, which is no number, text or bytes. Cast it in "
                "the query, or leave it out."
            )
        columns.append(Column(described.name, POSTGRESQL_KINDS[described.type_code]))
    return columns


def state_of(cursor: Any, query: str, address: str) -> tuple[int, str]:
    """The number of rows, and a digest of all of them that does not depend on their order. The server reads them all.

    Two different sums of 64-bit hashes: rows that change, come, go or stand twice change it.
    """
    with addresses.told(address, "counting and hashing the query's rows"):
        if isinstance(cursor, dialects.Reader):
            return cursor.state_of(query)
        cursor.execute(
            "SELECT count(*), coalesce(sum(hashtextextended(r::text, 0)), 0), "
            f"coalesce(sum(hashtextextended(r::text, 1)), 0) FROM (\n{query}\n) AS r"
        )
        rows, one, other = cursor.fetchone()
    return int(rows), f"{int(one) & (1 << 128) - 1:032x}{int(other) & (1 << 128) - 1:032x}"
