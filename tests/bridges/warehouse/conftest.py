"""A real PostgreSQL for the tests of the warehouse, and a table that has everything."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import psycopg2
import pytest

from bridges.warehouse import address
from dags.cluster import Cluster
from tests.postgresql import temporary_cluster

PASSWORD = "of-mlmd"


@pytest.fixture(scope="package")
def postgresql() -> Iterator[Cluster]:
    with temporary_cluster() as cluster:
        yield cluster


@pytest.fixture
def at(postgresql: Cluster, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database's address; its password is in the environment."""
    monkeypatch.setenv(address.PASSWORD, PASSWORD)
    return f"postgresql://mlmd@127.0.0.1:{postgresql.port}/mlmd"


@pytest.fixture
def sql(at: str) -> Callable[..., list[tuple]]:
    """Runs statements, each by itself; the rows of the last."""

    def run(*statements: str) -> list[tuple]:
        with contextlib.closing(address.connect(at)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def orders(sql: Callable[..., list[tuple]]) -> Iterator[int]:
    """A table `orders` of 20,000 rows of several types; how many."""
    sql(
        "DROP TABLE IF EXISTS orders",
        "CREATE TABLE orders (id bigint PRIMARY KEY, price double precision, note text, paid boolean, day date, "
        "amount numeric(12, 2))",
        "INSERT INTO orders SELECT n, n / 8.0, CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'a \"b\",' || chr(10) "
        "|| n END, n % 2 = 0, date '2024-01-01' + n % 366, n / 100.0 FROM generate_series(1, 20000) n",
    )
    yield 20_000
    with contextlib.suppress(psycopg2.Error):
        sql("DROP TABLE IF EXISTS orders")
