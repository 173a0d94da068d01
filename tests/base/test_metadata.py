"""ML Metadata cannot be opened: the sentence names the cause and where, and never the password."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.base import metadata, refusals
from pipelines.base.errors import ProjectError
from tests.base.fake_mysql import FakeMysql

SECRET = "of%23secret"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """One attempt: these servers will not think better of it."""
    monkeypatch.setattr(metadata, "CONNECT_ATTEMPTS", 1)


@pytest.fixture
def mysql() -> Iterator[FakeMysql]:
    with FakeMysql("ann", "of#secret", ("mlmd",)) as server:
        yield server


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _refusal(url: str) -> str:
    with pytest.raises(ProjectError) as caught:
        metadata.store(url)
    text = str(caught.value)
    assert "secret" not in text and "\n" not in text
    return text


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_port_where_nothing_listens_is_named(scheme: str) -> None:
    port = _free_port()
    text = _refusal(f"{scheme}://ann:{SECRET}@127.0.0.1:{port}/mlmd")
    assert "connection refused" in text and f"port {port}" in text


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_host_that_does_not_exist_is_named_and_not_asked_again(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "CONNECT_ATTEMPTS", 100)
    assert "no host 'nowhere.invalid'" in _refusal(f"{scheme}://ann:{SECRET}@nowhere.invalid/mlmd")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:my#secret@db/mlmd", "postgresql://ann@db/mlmd"),
        ("postgresql://ann:my?secret@db/mlmd", "postgresql://ann@db/mlmd"),
        ("postgresql://ann:my/secret@db/mlmd", "postgresql://ann@db/mlmd"),
        ("postgresql://ann:secret@db:http/mlmd", "db:http"),
        ("postgresql://ann:secret@[db/mlmd", "[db"),
        ("postgresql://ann:secret@db", "postgresql://ann@db"),
        ("postgresql://ann:secret@db/mlmd?sslmode=require", "sslmode"),
        ("oracle://ann:secret@db/mlmd", "oracle://ann@db/mlmd"),
        ("sqlite:///data/a#b.db", "sqlite:///data/a#b.db"),
        ("sqlite://data/a.db", "sqlite://data/a.db"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_url_that_is_none_is_shown_with_the_forms_and_how_signs_are_written(url: str, shown: str) -> None:
    text = _refusal(url)
    assert shown in text and "expected sqlite:///FILE" in text and "%23" in text


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a#b.db"
    file.write_bytes(b"this is no database" * 100)
    assert str(file) in _refusal(f"sqlite://{tmp_path}/a%23b.db")


def test_mysql_that_takes_us_in_has_no_objection(mysql: FakeMysql) -> None:
    assert refusals.of_mysql("127.0.0.1", mysql.port, "ann", "of#secret", "mlmd") is None


def test_mysql_that_lets_another_plugin_of_ours_be_tried_is_answered_in_it(mysql: FakeMysql) -> None:
    mysql.switch = b"mysql_native_password"
    assert refusals.of_mysql("127.0.0.1", mysql.port, "ann", "of#secret", "mlmd") is None


@pytest.mark.parametrize(
    ("user", "password", "database", "cause"),
    [
        ("ann", "wrong secret", "mlmd", "Access denied for user 'ann'"),
        ("bob", "of#secret", "mlmd", "Access denied for user 'bob'"),
        ("ann", "of#secret", "other", "Unknown database 'other'"),
    ],
)
def test_mysql_says_what_it_holds_against_us(
    mysql: FakeMysql, user: str, password: str, database: str, cause: str
) -> None:
    refusal = refusals.of_mysql("127.0.0.1", mysql.port, user, password, database)
    assert refusal is not None and cause in refusal.cause and refusal.final


def test_mysql_that_wants_a_login_ml_metadata_does_not_know_says_so(mysql: FakeMysql) -> None:
    mysql.switch = b"caching_sha2_password"
    refusal = refusals.of_mysql("127.0.0.1", mysql.port, "ann", "of#secret", "mlmd")
    assert refusal is not None and "caching_sha2_password" in refusal.cause and refusal.final


def test_mysql_that_is_full_may_be_asked_again(mysql: FakeMysql) -> None:
    mysql.full = True
    refusal = refusals.of_mysql("127.0.0.1", mysql.port, "ann", "of#secret", "mlmd")
    assert refusal is not None and refusal.cause == "Too many connections" and not refusal.final


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x05\x00\x00\x00\x0aabc"])
def test_something_else_on_the_port_is_not_taken_for_mysql(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: _greet(server, greeting), daemon=True).start()
        refusal = refusals.of_mysql("127.0.0.1", server.getsockname()[1], "ann", "secret", "mlmd")
    assert refusal is not None and "does not answer as MySQL does" in refusal.cause


def _greet(server: socket.socket, greeting: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(greeting)


LOG = "I1126 20:27:16.408124 21209 x.cc:208] Connecting to database.\nE1126 20:27:16.422 21209 x.cc:211] "


@pytest.mark.parametrize(
    ("logged", "told", "cause", "final"),
    [
        ('PostgreSQL error: FATAL:  database "x" does not exist\n', "", 'database "x" does not exist', True),
        ("PostgreSQL error: fe_sendauth: no password supplied\n", "", "no password supplied", True),
        ("PostgreSQL error: FATAL:  the database system is starting up\n", "", "starting up", False),
        ("PostgreSQL error: FATAL:  sorry, too many clients already\n", "", "too many clients", False),
        (
            "",
            "PostgreSQL metadata source error: ERROR:  permission denied for schema public\nLINE 1: C",
            "",
            True,
        ),
        ("", "PostgreSQL metadata source error: ", "the server gave no reason", False),
    ],
)
def test_the_cause_is_taken_from_postgresqls_log_or_else_from_the_error(
    logged: str, told: str, cause: str, final: bool
) -> None:
    refusal = refusals.of_postgresql(_failing(LOG + logged), told)
    assert cause in refusal.cause and refusal.final is final
    assert not refusal.cause.startswith(("PostgreSQL", "FATAL", "ERROR")) and "LINE" not in refusal.cause


def _failing(text: str) -> Callable[[], None]:
    def connect() -> None:
        os.write(2, text.encode())
        raise RuntimeError("PostgreSQL metadata source error: ")

    return connect
