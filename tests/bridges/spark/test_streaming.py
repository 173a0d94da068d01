"""A stream into a real PostgreSQL whose driver is killed at random: no event lost, none twice, each by one version."""

from __future__ import annotations

import contextlib
import datetime
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bridges.spark.ledger import Ledger
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


@pytest.fixture
def database(monkeypatch):
    """(the address, a function that gives a statement's rows)."""
    with temporary_cluster() as cluster:
        monkeypatch.setenv(address.PASSWORD, "of-mlmd")
        at = f"postgresql://mlmd@127.0.0.1:{cluster.port}/mlmd"

        def ask(statement: str) -> list[tuple]:
            with contextlib.closing(address.connect(at)) as connection, connection.cursor() as cursor:
                try:
                    cursor.execute(statement)
                except psycopg2.errors.UndefinedTable:
                    return []
                return cursor.fetchall()

        yield at, ask


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
def driver(*arguments: object, log: Path):
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with log.open("ab") as file:
        command = [sys.executable, "-c", DRIVER, *map(str, arguments)]
        process = subprocess.Popen(
            command, cwd=CHECKOUT, env=environment, stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


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
