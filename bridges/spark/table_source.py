"""New rows of a PostgreSQL table, or of a query, as batches that read the same rows whenever they are read again.

Rows are told apart from those read before by a key that only grows: an integer that the database hands out, or a time
of its clock and an id. A batch is planned once, as bounds of that key, and its plan is kept (see `ledger`).

A lower key may be committed after a higher one, and whoever has read on would never see it. So the highest key is
looked at first, then the transactions that may still hold lower ones, and nothing is read before those have ended.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridges.errors import BridgeError
from bridges.warehouse import address as addresses
from bridges.warehouse import query as queries
from bridges.warehouse import reading
from bridges.warehouse.writing import quoted, quoted_table

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

WHOLE_NUMBERS = ("smallint", "integer", "bigint")
MOMENTS = ("timestamp with time zone",)
WAIT_S, TELL_S = 0.2, 30.0
Key = tuple[str, ...]
# Who writes holds this lock, or a stronger one, to the end of its transaction.
_WRITERS = (
    "locktype = 'relation' AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', "
    "'AccessExclusiveLock')"
)
# Every transaction holds its own number.
_EVERYONE = "locktype = 'virtualxid'"


@dataclass(frozen=True)
class Plan:
    """Rows of keys above `after` (none: from the first) up to the last of `ends`, a part of the batch up to each."""

    after: Key | None
    ends: tuple[Key, ...]

    def to_json(self) -> str:
        return json.dumps({"after": self.after, "ends": self.ends})

    @classmethod
    def of(cls, text: str) -> Plan:
        told = json.loads(text)
        after = None if told["after"] is None else tuple(told["after"])
        return cls(after, tuple(tuple(end) for end in told["ends"]))


@dataclass(frozen=True)
class TableSource:
    """A query whose new rows are asked for; its key's columns and their types."""

    address: str
    query: str
    key: tuple[str, ...]
    types: tuple[str, ...]
    columns: tuple[queries.Column, ...]
    moments: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, address: str, key: Sequence[str], table: str = "", query: str = "") -> TableSource:
        """Of a table, or of a query's text. Raises BridgeError: no connection, a standby, no such column, a key that
        cannot only grow or is missing in a row."""
        text = f"SELECT * FROM {quoted_table(table)}" if table else query
        with _cursor(address, "looking at the source") as cursor:
            cursor.execute("SELECT pg_is_in_recovery()")
            if cursor.fetchone()[0]:
                raise BridgeError(
                    f"{address} is a standby, which does not know who still writes. Name the primary."
                )
            columns = queries.columns_of(cursor, text, address)
            cursor.execute(f"SELECT * FROM (\n{text}\n) AS viaduct_query LIMIT 0")
            oids = {column.name: column.type_code for column in cursor.description}
            cursor.execute(
                "SELECT name, format_type(oid, NULL) FROM unnest(%s::text[], %s::oid[]) AS t (name, oid)",
                (list(oids), list(oids.values())),
            )
            types = dict(cursor.fetchall())
            _check_key(tuple(key), types)
            nowhere = " OR ".join(f"{quoted(name)} IS NULL" for name in key)
            cursor.execute(f"SELECT FROM (\n{text}\n) AS viaduct_query WHERE {nowhere} LIMIT 1")
            if cursor.fetchone() is not None:
                raise BridgeError(
                    f"--key {','.join(key)} is missing in a row; such rows would never be read."
                )
        moments = tuple((name, kind) for name, kind in types.items() if kind.startswith("timestamp"))
        return cls(address, text, tuple(key), tuple(types[name] for name in key), tuple(columns), moments)

    @property
    def by_time(self) -> bool:
        return len(self.key) > 1

    def plan(self, after: Key | None, rows: int, parts: int, say: Callable[[str], None]) -> Plan | None:
        """The next batch, of `rows` at most; None if nothing is new. Waits for those who may hold lower keys."""
        last = ", ".join(f"{quoted(name)}::text" for name in self.key)
        order = ", ".join(quoted(name) for name in self.key)
        down = ", ".join(f"{quoted(name)} DESC" for name in self.key)
        with _cursor(self.address, "looking for new rows") as cursor:
            bounds, values = self._between(after, None)
            # A time to come would make all that is written until then late.
            past = f"{quoted(self.key[0])} < clock_timestamp()" if self.by_time else "true"
            cursor.execute(
                f"SELECT {last} FROM (\n{self.query}\n) AS viaduct_query WHERE {bounds} AND {past} "
                f"ORDER BY {down} LIMIT 1",
                values,
            )
            highest = cursor.fetchone()
            if highest is None:
                return None
            self._wait(cursor, say)
            bounds, values = self._between(after, highest)
            cursor.execute(
                f"SELECT {last} FROM (\n{self.query}\n) AS viaduct_query WHERE {bounds} ORDER BY {order} LIMIT %s",
                (*values, rows),
            )
            keys = cursor.fetchall()
        if not keys:
            return None
        step = -(-len(keys) // max(1, parts))
        ends = [*keys[step - 1 :: step]]
        if ends[-1:] != [keys[-1]]:
            ends.append(keys[-1])
        return Plan(after, tuple(dict.fromkeys(ends)))

    def _wait(self, cursor: Any, say: Callable[[str], None]) -> None:
        """Until the transactions that may have taken a key lower than one that is seen already have ended."""
        which = f"{_EVERYONE if self.by_time else _WRITERS} AND pid IS DISTINCT FROM pg_backend_pid()"
        if not self.by_time:
            which += " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        running = f"SELECT DISTINCT virtualtransaction, pid FROM pg_locks WHERE {which}"
        cursor.execute(running)
        waiting = set(cursor.fetchall())
        told = time.monotonic()
        while waiting:
            time.sleep(WAIT_S)
            cursor.execute(running)
            waiting &= set(cursor.fetchall())
            if waiting and time.monotonic() - told > TELL_S:
                told = time.monotonic()
                pids = ", ".join(str(pid) for _, pid in sorted(waiting, key=str))
                say(
                    f"waiting for transactions of {addresses.without_password(self.address)} to end (pid {pids})"
                )

    def _between(self, after: Key | None, end: Key | None) -> tuple[str, tuple[str, ...]]:
        """(condition, its values): keys above `after` and up to `end`."""
        row = f"({', '.join(quoted(name) for name in self.key)})"
        values = f"({', '.join(f'%s::{kind}' for kind in self.types)})"
        bounds = ([f"{row} > {values}"] if after else []) + ([f"{row} <= {values}"] if end else [])
        return " AND ".join(bounds) or "true", (*(after or ()), *(end or ()))

    def part(self, cursor: Any, after: Key | None, end: Key) -> str:
        """The query of the rows between two keys, as one text."""
        bounds, values = self._between(after, end)
        condition = cursor.mogrify(bounds, values).decode()
        return f"SELECT * FROM (\n{self.query}\n) AS viaduct_query WHERE {condition}"

    def frame(self, session: SparkSession, plan: Plan | None) -> DataFrame:
        """The rows of a plan, a partition for each of its parts; without one no row, of the same columns."""
        if plan is None:
            return session.createDataFrame([], self.schema)
        starts = (plan.after, *plan.ends[:-1])
        pieces = tuple(zip(starts, plan.ends, strict=True))
        work = functools.partial(_read, self, os.environ.get(addresses.PASSWORD, ""), pieces)
        numbers = session.range(0, len(pieces), 1, len(pieces))
        return numbers.mapInArrow(work, self.schema)

    @property
    def schema(self) -> str:
        """The columns as Spark's text."""
        kinds = {
            queries.INT: "bigint",
            queries.BOOL: "bigint",
            queries.FLOAT: "double",
            queries.TEXT: "string",
            queries.BYTES: "binary",
        }
        moments = dict(self.moments)
        told = {c.name: "timestamp" if c.name in moments else kinds[c.kind] for c in self.columns}
        return ", ".join("`" + name.replace("`", "``") + f"` {kind}" for name, kind in told.items())


def _check_key(key: tuple[str, ...], types: dict[str, str]) -> None:
    for name in key:
        if name not in types:
            raise BridgeError(f"--key names {name!r}, which is no column of the source: {', '.join(types)}.")
    wanted = WHOLE_NUMBERS if len(key) == 1 else MOMENTS
    if len(key) not in (1, 2) or types[key[0]] not in wanted:
        told = ", ".join(f"{name} {types[name]}" for name in key)
        raise BridgeError(
            f"--key is {told}; expected one column of whole numbers that the database hands out, or a timestamp with "
            "time zone of its clock and an id (TIME,ID)."
        )


def _read(
    source: TableSource,
    password: str,
    pieces: Sequence[tuple[Key | None, Key]],
    numbers: Iterable[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    """In a task: the rows of the parts whose numbers it is given."""
    if password:
        os.environ[addresses.PASSWORD] = password
    for batch in numbers:
        for number in batch.column(0).to_pylist():
            with _cursor(source.address, "reading new rows") as cursor:
                query = source.part(cursor, *pieces[number])
                for rows in reading.batches(cursor, query, source.columns, source.address):
                    yield _with_moments(rows, dict(source.moments))


def _with_moments(rows: pa.RecordBatch, moments: Mapping[str, str]) -> pa.RecordBatch:
    """Texts of times as timestamps; those without a zone are taken for UTC."""
    import pyarrow as pa

    arrays = []
    for name, column in zip(rows.schema.names, rows.columns, strict=True):
        if name in moments:
            try:
                column = column.cast(pa.timestamp("us", "UTC" if moments[name] in MOMENTS else None))
            except pa.ArrowInvalid as error:
                raise BridgeError(f"Column {name!r} holds a time that Spark has not: {error}") from None
            column = column.cast(pa.timestamp("us", "UTC"))
        arrays.append(column)
    return pa.RecordBatch.from_arrays(arrays, rows.schema.names)


@contextlib.contextmanager
def _cursor(address: str, doing: str) -> Iterator[Any]:
    """Each statement a transaction of its own, times in UTC."""
    with contextlib.closing(addresses.connect(address, "viaduct source")) as connection:
        connection.autocommit = True
        with addresses.told(address, doing), connection.cursor() as cursor:
            cursor.execute("SET datestyle = 'ISO'; SET extra_float_digits = 1; SET timezone = 'UTC'")
            yield cursor
