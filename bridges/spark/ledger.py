"""The book of a stream's batches, in the database that its rows go to: what was begun with which model, what is in.

A batch is entered before it is scored, with the version that scores it and the moment before which rows are late, so
that a replay does the same; it is closed in the transaction that moves its rows on, so that a replay of a closed
batch does nothing. One row a batch, for ever: it is also the record of which model answered what.
"""

from __future__ import annotations

import contextlib
import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridges.errors import BridgeError
from bridges.spark import staging
from bridges.warehouse import address as addresses
from bridges.warehouse.writing import declaration, quoted, quoted_table

if TYPE_CHECKING:
    import pyarrow as pa

BATCHES = "viaduct_batches"
EVENT_TIME = "event_time"
_TABLE = f"""CREATE TABLE IF NOT EXISTS {BATCHES} (
    query text, batch bigint, model text NOT NULL, version bigint NOT NULL, late_before timestamptz,
    begun timestamptz NOT NULL DEFAULT now(), closed timestamptz, rows bigint, late bigint, latest timestamptz,
    plan text, PRIMARY KEY (query, batch))"""
# Of books that are older than plans.
_PLAN = f"ALTER TABLE {BATCHES} ADD COLUMN IF NOT EXISTS plan text"


@dataclass(frozen=True)
class Entry:
    """One batch: the version that scores it, the moment before which its rows are late (None: none is), whether
    its rows are in already, and which rows they are, where the source does not keep that itself."""

    version: int
    late_before: datetime.datetime | None
    closed: bool
    plan: str = ""


@dataclass(frozen=True)
class Ledger:
    """The books of one query (a checkpoint's id) at an address, for one sink table with unique ids."""

    address: str
    query: str
    table: str
    id_column: str
    delay_s: float

    @property
    def late_table(self) -> str:
        return f"{self.table}_late"

    def open(self, schema: pa.Schema) -> None:
        """Makes the book and the two tables where they are not there. Raises BridgeError."""
        columns = f"{declaration(schema)}, PRIMARY KEY ({quoted(self.id_column)})"
        with self._cursor("making the stream's tables") as cursor:
            # Two queries that start at once would both find nothing.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('viaduct streams', 0))")
            cursor.execute(_TABLE)
            cursor.execute(
                "SELECT FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = 'plan'", (BATCHES,)
            )
            if cursor.fetchone() is None:
                cursor.execute(_PLAN)
            for name in (self.table, self.late_table):
                cursor.execute(f"CREATE TABLE IF NOT EXISTS {quoted_table(name)} ({columns})")
                cursor.execute(f"SELECT * FROM {quoted_table(name)} LIMIT 0")
                there = [described.name for described in cursor.description]
                if there != schema.names:
                    raise BridgeError(
                        f"The table {name} has the columns {', '.join(there)}; the stream writes "
                        f"{', '.join(schema.names)}. Name another (--table)."
                    )

    def last(self) -> tuple[int, str, bool] | None:
        """(number, plan, whether it is closed) of the last batch that was begun."""
        with self._cursor("looking for the last batch") as cursor:
            cursor.execute(
                f"SELECT batch, coalesce(plan, ''), closed IS NOT NULL FROM {BATCHES} WHERE query = %s "
                "ORDER BY batch DESC LIMIT 1",
                (self.query,),
            )
            found: tuple[int, str, bool] | None = cursor.fetchone()
            return found

    def begin(self, batch: int, model: str, version: int, plan: str = "") -> Entry:
        """The batch's entry, made now with `version` and `plan` if it has none."""
        with self._cursor(f"entering batch {batch}") as cursor:
            cursor.execute(
                f"INSERT INTO {BATCHES} (query, batch, model, version, plan, late_before) SELECT %s, %s, %s, %s, %s, "
                f"max(latest) - make_interval(secs => %s) FROM {BATCHES} "
                "WHERE query = %s AND batch < %s ON CONFLICT DO NOTHING",
                (self.query, batch, model, version, plan, self.delay_s, self.query, batch),
            )
            cursor.execute(
                f"SELECT version, late_before, closed IS NOT NULL, coalesce(plan, '') FROM {BATCHES} "
                "WHERE query = %s AND batch = %s",
                (self.query, batch),
            )
            return Entry(*cursor.fetchone())

    def stage(self, batch: int, schema: pa.Schema) -> str:
        """An empty staging table for the batch."""
        name = f"viaduct_staged_{self.query.replace('-', '')[:24]}_{batch}"
        with self._cursor(f"making {name}") as cursor:
            staging.create(cursor, name, schema)
        return name

    def close(self, batch: int, staged: str, names: list[str], entry: Entry) -> tuple[int, int]:
        """Moves the staged rows on, each id once, and closes the batch, in one transaction: (rows, late ones) that
        were new. Nothing where another driver has closed it."""
        columns = ", ".join(map(quoted, names))
        source, key = quoted_table(staged), quoted(self.id_column)
        with self._cursor(f"closing batch {batch}") as cursor:
            cursor.execute(
                f"SELECT closed IS NOT NULL FROM {BATCHES} WHERE query = %s AND batch = %s FOR UPDATE",
                (self.query, batch),
            )
            counts = [0, 0]
            if not cursor.fetchone()[0]:
                late = (
                    f"{quoted(EVENT_TIME)} < %s"
                    if entry.late_before is not None
                    else "false AND %s::timestamptz IS NULL"
                )
                for at, (table, chosen) in enumerate(
                    ((self.table, f"NOT ({late})"), (self.late_table, late))
                ):
                    known = (
                        ""
                        if at == 0
                        else f" AND NOT EXISTS (SELECT FROM {quoted_table(self.table)} t WHERE t.{key} = s.{key})"
                    )
                    cursor.execute(
                        f"INSERT INTO {quoted_table(table)} ({columns}) SELECT {columns} FROM {source} s "
                        f"WHERE coalesce({chosen}, {at == 0}){known} ON CONFLICT DO NOTHING",
                        (entry.late_before,),
                    )
                    counts[at] = cursor.rowcount
                cursor.execute(
                    f"UPDATE {BATCHES} SET closed = now(), rows = %s, late = %s, latest = "
                    f"(SELECT max({quoted(EVENT_TIME)}) FROM {source}) WHERE query = %s AND batch = %s",
                    (*counts, self.query, batch),
                )
            cursor.execute(f"DROP TABLE {source}")
        return counts[0], counts[1]

    @contextlib.contextmanager
    def _cursor(self, doing: str) -> Any:
        """A transaction of its own."""
        with (
            contextlib.closing(addresses.connect(self.address, "viaduct stream")) as connection,
            addresses.told(self.address, doing),
            connection,
            connection.cursor() as cursor,
        ):
            yield cursor
