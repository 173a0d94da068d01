"""`viaduct run P --data postgresql://... --query FILE`: a run on a table, its cache, and where its password is not."""

from __future__ import annotations

import contextlib
import re

import pytest

from bridges.warehouse import address
from pipelines.base.forkserver import client as forkserver
from pipelines.base.paths import Paths
from tests.conftest import viaduct
from tests.postgresql import temporary_cluster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("warehouse")]


@pytest.fixture
def url(finished_run, monkeypatch):
    """A database with the table `transactions`, which holds card_fraud's sample; its URL with the password."""
    [file] = finished_run("card_fraud").paths.samples.glob("*/span-0/creditcard.csv")
    with temporary_cluster() as cluster, file.open() as rows:
        monkeypatch.setenv(address.PASSWORD, "of-mlmd")
        at = f"postgresql://mlmd@127.0.0.1:{cluster.port}/mlmd"
        names = file.read_text().partition("\n")[0].split(",")
        with contextlib.closing(address.connect(at)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(
                f'CREATE TABLE transactions ({", ".join(f"{name} float8" for name in names[:-1])}, "Class" int)'
            )
            cursor.copy_expert("COPY transactions FROM STDIN (FORMAT csv, HEADER)", rows)
        monkeypatch.delenv(address.PASSWORD)
        yield at.replace("mlmd@", "mlmd:of-mlmd@")


def test_a_run_on_a_table_is_cached_by_its_rows_and_its_password_is_nowhere(url, tmp_path):
    query, home = tmp_path / "query.sql", tmp_path / "home"
    query.write_text("SELECT * FROM transactions;\n")

    def run(project: str = "card_fraud", at: str = url):
        return viaduct(
            "run", project, "--plain", "--data", at, "--query", str(query), home=home, VIADUCT_HOST_IDLE="60"
        )

    try:
        first = run()
        assert first.returncode == 0, first.stdout + first.stderr
        assert re.search(r"train [\d,]+ rows, tune [\d,]+ rows, eval [\d,]+ rows", first.stdout), first.stdout
        assert "Blessed and pushed" in first.stdout
        assert "Nothing has changed" in run().stdout
        files = run("stock_prices")
        assert files.returncode == 1 and "stock_prices reads files, and --data is a query" in files.stderr
    finally:
        forkserver.stop(home)
    holding = [path for path in home.rglob("*") if path.is_file() and b"of-mlmd" in path.read_bytes()]
    assert holding == []
    assert "of-mlmd" not in first.stdout + first.stderr
    [pointer] = Paths.of("card_fraud", home).warehouse.glob("*/source.json")
    assert '"rows": 20000' in pointer.read_text()


def test_what_is_wrong_with_the_database_is_said_at_once(tmp_path):
    query = tmp_path / "query.sql"
    query.write_text("SELECT 1 AS x")
    for arguments, says in {
        (
            "--data",
            "postgresql://me:secret@127.0.0.1:1/db",
            "--query",
            str(query),
        ): "No connection to postgresql://me@127.0.0.1:1/db",
        ("--data", "postgresql://me:secret@127.0.0.1:1/db"): "name the rows with --query",
        ("--query", str(query)): "--query needs --data postgresql://",
        ("--data", "oracle://me:secret@db/x", "--query", str(query)): "is no warehouse",
    }.items():
        done = viaduct("run", "card_fraud", *arguments, home=tmp_path / "home")
        assert done.returncode == 1
        assert says in done.stderr and "secret" not in done.stderr
