"""A query's text before it is sent: one SELECT, its span's days in their places; addresses without passwords."""

from __future__ import annotations

import os

import pytest

from bridges.errors import BridgeError
from bridges.warehouse import address, query


def test_the_last_semicolon_goes_and_days_come_into_their_places():
    assert query.text_of(" SELECT 1 ; \n", "q.sql") == "SELECT 1"
    text = "SELECT * FROM t WHERE day >= {SPAN_START} AND day < {SPAN_END}"
    assert query.text_of(text, "q.sql", 20_000) == (
        "SELECT * FROM t WHERE day >= '2024-10-04' AND day < '2024-10-05'"
    )
    assert query.text_of("-- why\nWITH a AS (SELECT 1) SELECT * FROM a", "q.sql").endswith("FROM a")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "q.sql is empty"),
        ("DROP TABLE t", "begins with 'DROP TABLE t'"),
        ("SELECT {SPAN_END}", "name the delivery"),
    ],
)
def test_a_text_that_is_no_select_or_lacks_its_span_is_refused(text, says):
    with pytest.raises(BridgeError, match=says):
        query.text_of(text, "q.sql")


def test_a_password_moves_from_the_url_to_the_environment(monkeypatch):
    monkeypatch.setenv(address.PASSWORD, "before")
    assert address.taken_apart("postgresql://me:p%40ss@db:5/shop") == "postgresql://me@db:5/shop"
    assert os.environ[address.PASSWORD] == "p@ss"
    assert address.taken_apart("postgresql://me@db/shop") == "postgresql://me@db/shop"
    for url, says in {
        "mysql://me:secret@db/shop": "is no warehouse",
        "postgresql://me:secret@db": "names no database",
        "postgresql://me@db/shop?password=secret": "Leave the password out",
    }.items():
        with pytest.raises(BridgeError, match=says) as caught:
            address.taken_apart(url)
        assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_told_without_the_password(monkeypatch):
    monkeypatch.setenv(address.PASSWORD, "of-nobody")
    with pytest.raises(
        BridgeError, match=r"No connection to postgresql://me@127.0.0.1:1/shop: .*refused"
    ) as caught:
        address.connect("postgresql://me@127.0.0.1:1/shop")
    assert "of-nobody" not in str(caught.value)
