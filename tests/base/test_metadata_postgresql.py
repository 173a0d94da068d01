"""What a real PostgreSQL holds against us is told in one sentence, and settling works on it as on SQLite."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dags.cluster import Cluster
from pipelines.base import executions, metadata
from pipelines.base.errors import ProjectError
from pipelines.base.paths import Paths
from tests.base.metadata_store import Filled
from tests.postgresql import temporary_cluster

pytestmark = pytest.mark.slow
PASSWORD = "of-mlmd"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with temporary_cluster() as made:
        yield made


def _refusal(url: str) -> str:
    with pytest.raises(ProjectError) as caught:
        metadata.store(url)
    return str(caught.value)


def test_a_wrong_password_an_unknown_user_and_an_unknown_database_are_named_at_once(cluster: Cluster) -> None:
    wrong, nobody = cluster.url("mlmd", "my-secret", "mlmd"), cluster.url("nobody", "my-secret", "mlmd")
    assert 'password authentication failed for user "mlmd"' in _refusal(wrong)
    assert 'password authentication failed for user "nobody"' in _refusal(nobody)
    assert 'database "other" does not exist' in _refusal(cluster.url("mlmd", PASSWORD, "other"))
    for url in (wrong, nobody):
        assert "my-secret" not in _refusal(url) and "\n" not in _refusal(url)


def test_a_user_who_may_not_make_tables_is_told_so(cluster: Cluster) -> None:
    import psycopg2

    with contextlib.closing(psycopg2.connect(cluster.url("mlmd", PASSWORD, "mlmd"))) as connection:
        connection.autocommit = True
        connection.cursor().execute("CREATE SCHEMA own")
        connection.cursor().execute("ALTER ROLE mlmd SET default_transaction_read_only = on")
    try:
        assert "read-only transaction" in _refusal(cluster.url("mlmd", PASSWORD, "mlmd"))
    finally:
        with contextlib.closing(psycopg2.connect(cluster.url("mlmd", PASSWORD, "mlmd"))) as connection:
            connection.autocommit = True
            connection.cursor().execute("SET default_transaction_read_only = off")
            connection.cursor().execute("ALTER ROLE mlmd RESET default_transaction_read_only")


def test_a_server_that_is_down_is_named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "CONNECT_ATTEMPTS", 1)
    cluster.stop()
    try:
        assert f"nothing listens on port {cluster.port}" in _refusal(cluster.url("mlmd", PASSWORD, "mlmd"))
    finally:
        cluster.start()


def test_what_a_killed_node_left_is_failed_there_too(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = cluster.url("mlmd", PASSWORD, "mlmd")
    monkeypatch.setenv("VIADUCT_METADATA", url)
    paths = Paths.of("card_fraud", tmp_path)
    filled = Filled(paths, url)
    (paths.runs / "card_fraud-1").mkdir(parents=True)
    trainer = filled.execution("card_fraud-1", "Trainer", "RUNNING", pending=True)
    theirs = filled.execution("card_fraud-2", "Trainer", "RUNNING")
    assert executions.settle_run(filled.store, paths, "card_fraud-1", 'C:\\ it\'s "gone"', "Trainer") == 1
    assert filled.reason(trainer) == 'C:\\ it\'s "gone"' and filled.artifact_states() == ["ABANDONED"]
    assert executions.settle_project(filled.store, paths) == 0
    assert filled.state(theirs) == "RUNNING", "the run of another home in the same store"
