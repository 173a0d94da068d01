"""Warehouses that are no PostgreSQL, by the scheme of their address: what is said otherwise to Redshift and Vertica.

Redshift speaks PostgreSQL's protocol, but has no COPY to a client and no snapshot that connections share: its rows come
through one cursor, a statement and so one moment. Vertica answers as of an epoch, so that several connections read the
same rows; its client (vertica-python) is not among our packages. Rows are tuples here, for want of a faster way.

Sources: Amazon Redshift's guide (DECLARE, FETCH, FNV_HASH), Vertica's (AT EPOCH, GET_CURRENT_EPOCH, HASH).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridges.errors import BridgeError
from bridges.warehouse.kinds import BOOL, BYTES, FLOAT, INT, POSTGRESQL_KINDS, POSTGRESQL_TEXTS, TEXT, Column
from bridges.warehouse.writing import quoted

if TYPE_CHECKING:
    import pyarrow as pa

CURSOR = "viaduct_rows"
# A Redshift of one node gives no more at once.
FETCHED = 1000


@dataclass(frozen=True)
class Dialect:
    """`kinds` of a result's type codes, and which of them are texts already; `parallel`: whether several connections
    can read one moment."""

    name: str
    port: int
    kinds: Mapping[int, str]
    texts: frozenset[int]
    parallel: bool

    def begin(self) -> list[str]:
        """What opens a transaction in which nothing changes."""
        if self is REDSHIFT:
            return ["BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", "SET datestyle TO 'ISO'"]
        return ["SET DATESTYLE TO ISO"]

    def moment(self) -> str:
        """The query of a name for now, which `at` understands; '' where a statement is a moment of its own."""
        # What is written now goes to the current epoch, so the one before is whole.
        return "SELECT GET_CURRENT_EPOCH() - 1" if self is VERTICA else ""

    def at(self, query: str, moment: str) -> str:
        """The query as of that moment."""
        return f"AT EPOCH {int(moment)} {query}" if moment else query

    def columns(self, query: str) -> str:
        return f"SELECT * FROM (\n{query}\n) AS viaduct_query LIMIT 0"

    def state(self, query: str, names: Sequence[str]) -> str:
        """The number of rows, and two sums of hashes of all their values, in any order of rows."""
        sums = ", ".join(
            f"COALESCE(SUM(CAST({self._hash(names, seed)} AS {self._wide})), 0)" for seed in "01"
        )
        return f"SELECT COUNT(*), {sums} FROM (\n{query}\n) AS viaduct_query"

    @property
    def _wide(self) -> str:
        return "DECIMAL(38, 0)" if self is REDSHIFT else "NUMERIC(38, 0)"

    def _hash(self, names: Sequence[str], seed: str) -> str:
        # A missing value and an empty text are different.
        values = [f"CASE WHEN {quoted(n)} IS NULL THEN 'n' ELSE 'v' || {self._text(n)} END" for n in names]
        if self is VERTICA:
            return f"HASH('{seed}', {', '.join(values)})"
        hashed = f"{seed}::BIGINT"
        for value in values:
            hashed = f"FNV_HASH({value}, {hashed})"
        return hashed

    def _text(self, name: str) -> str:
        # Casts to a text without a length cut it off after 256 (Redshift) or 80 (Vertica).
        return f"CAST({quoted(name)} AS VARCHAR({65535 if self is REDSHIFT else 65000}))"

    def parts(self, query: str, count: int, key: str) -> list[str]:
        """Queries that together are the rows, once each: by the key's hash where connections share a moment."""
        if not (self.parallel and key and count > 1):
            return [query]
        part = f"CASE WHEN {quoted(key)} IS NULL THEN 0 ELSE MOD(HASH({quoted(key)}), {count}) END"
        return [
            f"SELECT * FROM (\n{query}\n) AS viaduct_query WHERE {part} = {number}" for number in range(count)
        ]

    def rows(self, query: str, columns: Sequence[Column]) -> str:
        """The query with times and the like as texts."""
        told = ", ".join(
            f"CAST({quoted(c.name)} AS VARCHAR(64)) AS {quoted(c.name)}" if c.cast else quoted(c.name)
            for c in columns
        )
        return f"SELECT {told} FROM (\n{query}\n) AS viaduct_query"

    def open_rows(self, query: str) -> str:
        """What is executed before rows are fetched."""
        return f"DECLARE {CURSOR} CURSOR FOR {query}" if self is REDSHIFT else query


REDSHIFT = Dialect("Redshift", 5439, POSTGRESQL_KINDS, POSTGRESQL_TEXTS, parallel=False)
VERTICA = Dialect(
    "Vertica",
    5433,
    {
        5: BOOL, 6: INT, 7: FLOAT, 16: FLOAT, 8: TEXT, 9: TEXT, 115: TEXT, 20: TEXT,
        10: TEXT, 11: TEXT, 12: TEXT, 13: TEXT, 14: TEXT, 15: TEXT, 17: BYTES, 116: BYTES, 117: BYTES,
    },
    frozenset({8, 9, 115}),
    parallel=True,
)  # fmt: skip
BY_SCHEME = {"redshift": REDSHIFT, "vertica": VERTICA}


def of(address: str) -> Dialect | None:
    """The dialect of an address; None for PostgreSQL."""
    return BY_SCHEME.get(address.partition("://")[0])


class Reader:
    """A cursor whose statements are all as of one moment."""

    def __init__(self, dialect: Dialect, cursor: Any, moment: str) -> None:
        self.dialect, self._cursor, self.moment = dialect, cursor, moment

    @property
    def description(self) -> Any:
        return self._cursor.description

    def execute(self, query: str) -> None:
        self._cursor.execute(self.dialect.at(query, self.moment))

    def fetchone(self) -> Any:
        return self._cursor.fetchone()

    def columns_of(self, query: str) -> list[Column]:
        """As bridges.warehouse.query.columns_of, which checks them."""
        self.execute(self.dialect.columns(query))
        columns = []
        for described in self.description:
            name, code = described[0], described[1]
            if code not in self.dialect.kinds:
                raise BridgeError(
                    f"Column {name!r} has {self.dialect.name}'s type {code}, which is no number, text or bytes. Cast "
                    "it in the query, or leave it out."
                )
            kind = self.dialect.kinds[code]
            columns.append(Column(name, kind, kind == TEXT and code not in self.dialect.texts))
        return columns

    def state_of(self, query: str) -> tuple[int, str]:
        """As bridges.warehouse.query.state_of."""
        names = [column.name for column in self.columns_of(query)]
        self.execute(self.dialect.state(query, names))
        rows, one, other = self.fetchone()
        return int(rows), f"{int(one) & (1 << 128) - 1:032x}{int(other) & (1 << 128) - 1:032x}"

    def batches(
        self, query: str, columns: Sequence[Column], kinds: Mapping[str, str]
    ) -> Iterator[pa.RecordBatch]:
        """As bridges.warehouse.reading.batches, by tuples."""
        query = self.dialect.at(self.dialect.rows(query, columns), self.moment)
        self._cursor.execute(self.dialect.open_rows(query))
        try:
            while rows := self._fetched():
                yield _batch(rows, columns, kinds)
        finally:
            if self.dialect is REDSHIFT:
                # After an error there is no cursor any more.
                with contextlib.suppress(Exception):
                    self._cursor.execute(f"CLOSE {CURSOR}")

    def _fetched(self) -> list[tuple[Any, ...]]:
        if self.dialect is REDSHIFT:
            self._cursor.execute(f"FETCH FORWARD {FETCHED} FROM {CURSOR}")
            return list(self._cursor.fetchall())
        return list(self._cursor.fetchmany(FETCHED))


def _batch(
    rows: Sequence[tuple[Any, ...]], columns: Sequence[Column], kinds: Mapping[str, str]
) -> pa.RecordBatch:
    import pyarrow as pa

    types = {INT: pa.int64(), FLOAT: pa.float64(), BOOL: pa.int64(), TEXT: pa.string(), BYTES: pa.binary()}
    makes = {INT: int, FLOAT: float, BOOL: int, TEXT: str, BYTES: bytes}
    arrays = []
    for column, values in zip(columns, zip(*rows, strict=True), strict=True):
        kind = kinds.get(column.name, column.kind)
        make = makes[kind]
        try:
            arrays.append(pa.array([None if v is None else make(v) for v in values], types[kind]))
        except (ValueError, TypeError, OverflowError) as error:
            raise BridgeError(
                f"A value of the query's column {column.name!r} is not of its kind, {kind}: {error}"
            ) from None
    return pa.RecordBatch.from_arrays(arrays, [column.name for column in columns])


@contextlib.contextmanager
def opened(connection: Any, dialect: Dialect, moment: str | None = None) -> Iterator[Reader]:
    """A reader of that connection as of `moment` (None: now)."""
    # Else psycopg2 has begun a transaction of another kind already.
    connection.autocommit = True
    with contextlib.closing(connection.cursor()) as cursor:
        for statement in dialect.begin():
            cursor.execute(statement)
        if moment is None and dialect.moment():
            cursor.execute(dialect.moment())
            moment = str(cursor.fetchone()[0])
        yield Reader(dialect, cursor, moment or "")
