"""A stream into a real PostgreSQL whose driver is killed at random: no event lost, none twice, each by one version."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bridges.cli import main_stream
from bridges.errors import BridgeError
from bridges.spark.ledger import Ledger
from bridges.spark.table_source import Plan, TableSource
from bridges.warehouse import address
from pipelines.base.paths import CHECKOUT
from tests.postgresql import temporary_cluster
from tests.serving import savedmodels

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.xdist_group("spark")]

# Each costs a start of Spark; the whole claim is checked with VIADUCT_KILLS=20.
KILLS = int(os.environ.get("VIADUCT_KILLS", "2"))
FILES, ROWS = 4 + 2 * KILLS, 40
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
DRIVER = """
import sys
from pathlib import Path
from bridges.spark import session, streaming
model, source, address, checkpoint = sys.argv[1:]
spark = session.open_session("local[1]", "stream", serve_only=True)
stream = streaming.Stream(model, Path(source), address, "events", Path(checkpoint), "id", "at", 600, files=1)
streaming.wait(streaming.start(spark, stream, once=True))
"""


@pytest.fixture(scope="module")
def server():
    with temporary_cluster() as cluster:
        yield f"postgresql://mlmd@127.0.0.1:{cluster.port}/mlmd"


@pytest.fixture
def database(server, monkeypatch):
    """(the address of an empty database, a function that gives a statement's rows)."""
    monkeypatch.setenv(address.PASSWORD, "of-mlmd")
    execute(server, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")

    def ask(statement: str) -> list[tuple]:
        with contextlib.closing(address.connect(server)) as connection, connection.cursor() as cursor:
            try:
                cursor.execute(statement)
            except psycopg2.errors.UndefinedTable:
                return []
            return cursor.fetchall()

    return server, ask


def execute(at: str, *statements: str) -> None:
    with contextlib.closing(address.connect(at)) as connection, connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def deliver(folder: Path, number: int) -> None:
    """A file of ROWS events a minute after the last file's; of file 3 the first five happened an hour before."""
    ids = [number * ROWS + row for row in range(ROWS)]
    when = START + datetime.timedelta(minutes=number)
    times = [when - datetime.timedelta(hours=1) if number == 3 and row < 5 else when for row in range(ROWS)]
    columns = {
        "id": pa.array(ids),
        "x": pa.array([[float(i), 1.0] for i in ids], pa.list_(pa.float32())),
        "at": pa.array(times, pa.timestamp("us", "UTC")),
    }
    pq.write_table(pa.table(columns), folder / f".{number}")
    os.utime(folder / f".{number}", (1_700_000_000 + number,) * 2)
    (folder / f".{number}").rename(folder / f"{number:03}.parquet")


@contextlib.contextmanager
def driver(*arguments: object, log: Path, code: str = DRIVER):
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with log.open("ab") as file:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        process = subprocess.Popen(
            command, cwd=CHECKOUT, env=environment, stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


TABLE_DRIVER = """
import sys
from pathlib import Path
from bridges.spark import session, streaming
from bridges.spark.table_source import TableSource
model, address, checkpoint = sys.argv[1:]
spark = session.open_session("local[2]", "stream", serve_only=True)
source = TableSource.of(address, ("id",), "orders")
stream = streaming.Stream(model, source, address, "events", Path(checkpoint), "id", "at", 600, rows=30)
streaming.follow(spark, stream, once=True)
"""


@pytest.mark.timeout(1200)
def test_a_driver_killed_at_random_points_loses_no_event_and_writes_none_twice(database, tmp_path):
    at, ask = database
    dice = random.Random(5)
    source, checkpoint, models, log = (tmp_path / name for name in ("source", "checkpoint", "model", "log"))
    source.mkdir()
    savedmodels.scaled(models / "2", 2)
    for number in range(FILES):
        deliver(source, number)
    arguments = (models, source, at, checkpoint)

    def closed() -> int:
        return len(ask("SELECT 1 FROM viaduct_batches WHERE closed IS NOT NULL"))

    for kill in range(KILLS):
        with driver(*arguments, log=log) as process:
            # In the middle of a batch, wherever that is.
            wanted = closed() + 1
            while closed() < wanted and process.poll() is None:
                time.sleep(0.02)
            time.sleep(dice.random())
            assert process.poll() is None, log.read_text()[-3000:]
        if kill == 0:
            savedmodels.scaled(models / "3", 3)
    commits = sorted((checkpoint / "commits").glob("[0-9]*"), key=lambda path: int(path.name))
    if commits:
        commits[-1].unlink()
        (checkpoint / "commits" / f".{commits[-1].name}.crc").unlink(missing_ok=True)
    with driver(*arguments, log=log) as process:
        assert process.wait() == 0, log.read_text()[-3000:]

    every = "(TABLE events UNION ALL TABLE events_late) e"
    rows = ask(f"SELECT id, x[1], y[1], model_version FROM {every}")
    assert sorted(row[0] for row in rows) == list(range(FILES * ROWS))
    assert all(y == x * version + 1 for _, x, y, version in rows)
    assert [row[0] for row in ask("SELECT id FROM events_late ORDER BY id")] == [
        3 * ROWS + n for n in range(5)
    ]
    assert ask("SELECT sum(rows + late), count(*), count(closed) FROM viaduct_batches") == [
        (FILES * ROWS, FILES, FILES)
    ]
    assert {row[3] for row in rows} == {2, 3}
    by_batch = ask(f"SELECT count(DISTINCT model_version) FROM {every} GROUP BY id / {ROWS}")
    assert set(by_batch) == {(1,)}
    assert ask("SELECT relname FROM pg_class WHERE relname LIKE 'viaduct_staged%'") == []


@pytest.mark.timeout(600)
def test_a_killed_driver_of_a_tables_new_rows_loses_none_and_writes_none_twice(database, tmp_path):
    at, ask = database
    models, checkpoint, log = (tmp_path / name for name in ("model", "checkpoint", "log"))
    savedmodels.rows(models / "2", 2)
    fill = (
        "INSERT INTO orders (x, note, at) SELECT n, CASE WHEN n % 3 = 0 THEN NULL ELSE 'a, b' END, "
        "timestamptz '2026-01-01 00:00+00' + n * interval '1 minute' FROM generate_series({}, {}) n"
    )
    execute(
        at,
        "CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, x real NOT NULL, note text, "
        "at timestamptz)",
        fill.format(1, 150),
        # An hour before the others of its time.
        "UPDATE orders SET at = at - interval '1 hour' WHERE id = 100",
    )
    arguments = (models, at, checkpoint)
    with driver(*arguments, log=log, code=TABLE_DRIVER) as process:
        # In the middle of the third batch: begun, and perhaps staged.
        while len(ask("SELECT 1 FROM viaduct_batches")) < 3 and process.poll() is None:
            time.sleep(0.02)
        assert process.poll() is None, log.read_text()[-3000:]
    planned = ask("SELECT batch, plan, version FROM viaduct_batches ORDER BY batch")
    savedmodels.rows(models / "3", 3)
    execute(at, fill.format(151, 160))
    with driver(*arguments, log=log, code=TABLE_DRIVER) as process:
        assert process.wait() == 0, log.read_text()[-3000:]

    assert ask("SELECT batch, plan, version FROM viaduct_batches ORDER BY batch")[: len(planned)] == planned
    rows = ask("SELECT id, x, y, model_version, note FROM (TABLE events UNION ALL TABLE events_late) e")
    assert sorted(row[0] for row in rows) == list(range(1, 161))
    assert all(y == x * version + 1 and x == id for id, x, y, version, _ in rows)
    assert all(note == (None if id % 3 == 0 else "a, b") for id, _, _, _, note in rows)
    assert ask("SELECT id FROM events_late") == [(100,)]
    assert ask("SELECT min(event_time) FROM events") == [(START + datetime.timedelta(minutes=1),)]
    assert {row[3] for row in rows} == {2, 3}
    assert ask("SELECT relname FROM pg_class WHERE relname LIKE 'viaduct_staged%'") == []


@pytest.mark.parametrize("key", [("id",), ("written", "id")])
def test_a_lower_key_that_is_committed_later_is_waited_for(database, key):
    at, _ = database
    execute(
        at,
        "CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY, written timestamptz NOT NULL DEFAULT now())",
    )
    said: list[str] = []
    with contextlib.closing(address.connect(at)) as slow, slow.cursor() as cursor:
        cursor.execute("INSERT INTO orders DEFAULT VALUES")
        execute(at, "INSERT INTO orders DEFAULT VALUES", "INSERT INTO orders DEFAULT VALUES")
        source = TableSource.of(at, key, "orders")
        with ThreadPoolExecutor(1) as pool:
            plan = pool.submit(source.plan, None, 100, 2, said.append)
            time.sleep(0.5)
            assert not plan.done()
            slow.commit()
            first = plan.result(timeout=60)
    with contextlib.closing(address.connect(at)) as connection, connection.cursor() as cursor:
        ids = []
        for after, end in zip((None, *first.ends[:-1]), first.ends, strict=True):
            cursor.execute(source.part(cursor, after, end))
            ids.append([row[0] for row in cursor.fetchall()])
    assert sorted(itertools.chain(*ids)) == [1, 2, 3] and len(ids) == 2
    assert Plan.of(first.to_json()) == first
    assert source.plan(first.ends[-1], 100, 2, said.append) is None


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (("nothing",), "'nothing', which is no column of the source: id, x, at"),
        (("x",), "--key is x real; expected one column of whole numbers"),
        (("at",), "at timestamp with time zone; expected one column of whole numbers"),
        (("id", "at"), "id integer, at timestamp with time zone; expected"),
        (("at", "id"), "at,id is missing in a row"),
    ],
)
def test_a_key_that_cannot_tell_new_rows_is_refused(database, key, words):
    at, _ = database
    execute(
        at, "CREATE TABLE orders (id int, x real, at timestamptz)", "INSERT INTO orders VALUES (1, 2, NULL)"
    )
    with pytest.raises(BridgeError, match=words):
        TableSource.of(at, key, "orders")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--source", "kafka://127.0.0.1:9092/topic"), "spark-sql-kafka-0-10"),
        (("--source", "postgresql://me@127.0.0.1:1/db"), "one of --from TABLE and --query FILE"),
        (("--source", "postgresql://me@127.0.0.1:1/db", "--from", "orders"), "No connection to"),
        (("--source", "/nowhere", "--from", "orders"), "are about a --source postgresql"),
    ],
)
def test_a_source_that_is_none_is_refused_before_spark_starts(arguments, words):
    with pytest.raises(BridgeError, match=words):
        main_stream(["card_fraud", "--sink", "postgresql://me@127.0.0.1:1/db", "--id", "id", *arguments])


def test_the_ledger_keeps_a_batchs_version_and_closes_it_once(database):
    at, _ = database
    schema = pa.schema([("id", pa.int64()), ("event_time", pa.timestamp("us", "UTC"))])
    ledger = Ledger(at, "a-query", "seen", "id", 600)
    ledger.open(schema)
    assert ledger.begin(0, "m", 1).version == 1
    entry = ledger.begin(0, "m", 2)
    assert (entry.version, entry.late_before, entry.closed) == (1, None, False)
    staged = ledger.stage(0, schema)
    assert ledger.close(0, staged, schema.names, entry) == (0, 0)
    assert ledger.begin(0, "m", 2).closed
    # Another driver that had staged the same batch finds it closed and adds nothing.
    assert ledger.close(0, ledger.stage(0, schema), schema.names, entry) == (0, 0)
