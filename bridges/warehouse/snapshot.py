"""One moment of a database, which several connections read together: PostgreSQL's exported snapshots.

Connections of their own snapshots see rows that moved between two parts twice, or not at all. The holder's
transaction also keeps the query's tables from being altered or emptied until it ends. Whoever wants to alter one then
waits for the holder, and readers that come later wait for them: so readers take their place in the beginning, and one
that comes too late gives up instead of waiting for ever.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from bridges.warehouse import address as addresses
from bridges.warehouse import dialects

LOCK_S = 10
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


@contextlib.contextmanager
def held(address: str) -> Iterator[tuple[Any, str]]:
    """(a cursor in the snapshot, the snapshot's name for `joined`), as long as the block lasts."""
    connection = addresses.connect(address, "viaduct snapshot")
    if dialect := dialects.of(address):
        with contextlib.closing(connection), _told_opening(address, connection, dialect, None) as reader:
            yield reader, reader.moment
        return
    try:
        connection.autocommit = True
        with addresses.told(address, "taking a snapshot"), connection.cursor() as cursor:
            cursor.execute(_BEGIN)
            cursor.execute("SELECT pg_export_snapshot()")
            name = cursor.fetchone()[0]
            # Texts of numbers and dates that do not depend on the server's settings.
            cursor.execute("SET LOCAL datestyle = 'ISO'; SET LOCAL extra_float_digits = 1")
        with connection.cursor() as cursor:
            yield cursor, name
    finally:
        connection.close()


@contextlib.contextmanager
def joined(address: str, name: str, query: str) -> Iterator[Any]:
    """A cursor of a connection of its own in the snapshot of that name, which has its hold on the query's tables.

    Raises BridgeError where one of them is about to be altered.
    """
    connection = addresses.connect(address, "viaduct reader")
    if dialect := dialects.of(address):
        with contextlib.closing(connection), _told_opening(address, connection, dialect, name) as reader:
            yield reader
        return
    try:
        connection.autocommit = True
        with addresses.told(address, "joining the snapshot"), connection.cursor() as cursor:
            cursor.execute(_BEGIN)
            # The name comes from the server and is quoted all the same.
            cursor.execute("SET TRANSACTION SNAPSHOT %s", (name,))
            cursor.execute("SET LOCAL datestyle = 'ISO'; SET LOCAL extra_float_digits = 1")
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_S}s'")
        with addresses.told(address, "taking hold of the query's tables"), connection.cursor() as cursor:
            cursor.execute(f"SELECT FROM (\n{query}\n) AS viaduct_query LIMIT 0")
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


@contextlib.contextmanager
def _told_opening(
    address: str, connection: Any, dialect: dialects.Dialect, moment: str | None
) -> Iterator[dialects.Reader]:
    with contextlib.ExitStack() as stack:
        with addresses.told(address, "beginning to read"):
            reader = stack.enter_context(dialects.opened(connection, dialect, moment))
        yield reader
