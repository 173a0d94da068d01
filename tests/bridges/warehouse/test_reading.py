"""Rows of a real PostgreSQL as Arrow batches: types, missing values, parts in one snapshot, and its faults."""

from __future__ import annotations

import contextlib
import threading
import time

import pyarrow as pa
import pytest

from bridges.errors import BridgeError
from bridges.warehouse import parts, query, reading, snapshot

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("warehouse")]


def read(at: str, text: str, count: int = 1, key: str = "", during=None) -> pa.Table:
    """All parts of a query, read in one snapshot."""
    with snapshot.held(at) as (cursor, moment):
        columns = query.columns_of(cursor, text, at)
        batches = []
        with snapshot.joined(at, moment, text) as own:
            for part in parts.cut(cursor, text, at, count, key):
                if during is not None:
                    during()
                batches += list(reading.batches(own, part, columns, at))
    return pa.Table.from_batches(batches)


def test_values_come_as_they_are_and_a_missing_text_is_no_empty_one(at, sql):
    sql(
        "DROP TABLE IF EXISTS kinds",
        "CREATE TABLE kinds (i int, b bigint, f float8, r real, n numeric, o boolean, t text, d date, s timestamptz, "
        "y bytea)",
        "INSERT INTO kinds VALUES (1, 9223372036854775807, 'NaN', 1.5, 12.25, true, '', '2024-02-29', "
        "'2024-01-01 UTC', '\\x00ff'), (NULL, NULL, '-Infinity', NULL, NULL, NULL, NULL, NULL, NULL, NULL), "
        "(-1, 0, 0.1, 0, 0, false, E'NULL,\"x\"\\n\\\\N', '1999-12-31', '2024-01-01 UTC', '')",
    )
    table = read(at, "SELECT * FROM kinds")
    assert table.schema.types == [
        pa.int64(), pa.int64(), pa.float64(), pa.float64(), pa.float64(), pa.int64(), pa.string(), pa.string(),
        pa.string(), pa.binary(),
    ]  # fmt: skip
    columns = table.to_pydict()
    assert columns["i"] == [1, None, -1] and columns["b"][0] == 2**63 - 1
    assert columns["f"][0] != columns["f"][0] and columns["f"][1:] == [float("-inf"), 0.1]
    assert columns["o"] == [1, None, 0]
    assert columns["t"] == ["", None, 'NULL,"x"\n\\N']
    assert columns["d"] == ["2024-02-29", None, "1999-12-31"]
    assert columns["y"] == [b"\x00\xff", None, b""]
    # A row of one missing value is an empty line of CSV.
    assert read(at, "SELECT t FROM kinds ORDER BY i").to_pydict() == {"t": ['NULL,"x"\n\\N', "", None]}
    text = "SELECT i FROM kinds WHERE i > 5 -- none"
    with snapshot.held(at) as (cursor, moment), snapshot.joined(at, moment, text) as own:
        assert list(reading.batches(own, text, query.columns_of(cursor, text, at), at)) == []


@pytest.mark.parametrize(
    ("text", "count", "key", "cuts"),
    [
        ("SELECT * FROM orders", 5, "", 5),
        ("TABLE orders", 3, "", 3),
        ("SELECT id, note FROM public.orders", 1000, "", None),
        ("SELECT * FROM orders WHERE id > 0", 4, "", 1),
        ("SELECT id, note FROM orders WHERE id > 0", 4, "id", 4),
        ("SELECT id, note FROM orders WHERE id > 0", 4, "note", None),
        ("SELECT id, paid::int AS paid FROM orders", 4, "paid", 3),
    ],
)
def test_parts_together_are_the_querys_rows_once_each(at, sql, orders, text, count, key, cuts):
    with snapshot.held(at) as (cursor, _):
        got = parts.cut(cursor, text, at, count, key)
        assert len(got) == cuts if cuts is not None else 1 < len(got) < 1000
        if cuts == 5:
            cursor.execute("EXPLAIN " + got[1])
            assert "Tid Range Scan" in str(cursor.fetchall())
    ids = read(at, text, count, key).column("id").to_pylist()
    assert sorted(ids) == list(range(1, orders + 1))


def test_rows_that_move_while_parts_are_read_are_neither_lost_nor_read_twice(at, sql, orders):
    def stir():
        # Every update puts the row into another page.
        sql("UPDATE orders SET price = price + 1 WHERE id % 7 = 0", "DELETE FROM orders WHERE id % 101 = 5")

    table = read(at, "SELECT * FROM orders", 4, during=stir)
    assert sorted(table.column("id").to_pylist()) == list(range(1, orders + 1))
    assert table.column("price").to_pylist() == [n / 8 for n in table.column("id").to_pylist()]


def test_a_state_sees_every_change_of_rows_and_no_order(at, sql, orders):
    def state(text="SELECT * FROM orders"):
        with snapshot.held(at) as (cursor, _):
            return query.state_of(cursor, text, at)

    first = state()
    assert first[0] == orders
    assert state("SELECT * FROM orders ORDER BY id DESC") == first
    sql("UPDATE orders SET note = ' ' WHERE id = 1")
    second = state()
    assert second != first
    sql("UPDATE orders SET note = '' WHERE id = 1")
    assert state() == first
    assert state("SELECT * FROM orders UNION ALL SELECT * FROM orders WHERE id = 2") != first


def test_what_is_wrong_with_a_query_is_told_in_the_servers_words(at, sql, orders, postgresql):
    def columns(text):
        with snapshot.held(at) as (cursor, _):
            return query.columns_of(cursor, text, at)

    with pytest.raises(BridgeError, match="the column 'id' twice"):
        columns("SELECT id, price AS id FROM orders")
    with pytest.raises(BridgeError, match=r"Column 'l' is integer\[\], which is no number"):
        columns("SELECT ARRAY[1] AS l")
    with pytest.raises(BridgeError, match='relation "ordres" does not exist'):
        columns("SELECT * FROM ordres")
    with pytest.raises(BridgeError, match="refuses looking at the query's columns: permission denied"):
        columns("SELECT * FROM pg_authid")
    with pytest.raises(BridgeError, match=r"ended the statement while counting.*statement timeout"):
        slow = f"{at}?options=-c%20statement_timeout%3D100"
        with snapshot.held(slow) as (cursor, _):
            query.state_of(cursor, "SELECT pg_sleep(5)", slow)


def test_a_table_is_not_altered_while_it_is_read(at, sql, orders):
    done = []

    def alter():
        sql("ALTER TABLE orders DROP COLUMN note")
        done.append(True)

    thread = threading.Thread(target=alter)

    def during():
        if not thread.ident:
            thread.start()
            time.sleep(0.3)
        assert not done

    assert read(at, "SELECT * FROM orders", 2, during=during).num_rows == orders
    thread.join(10)
    assert done


def test_a_reader_that_comes_behind_somebody_who_waits_to_alter_gives_up(at, sql, orders, monkeypatch):
    monkeypatch.setattr(snapshot, "LOCK_S", 1)
    text = "SELECT * FROM orders"
    thread = threading.Thread(target=sql, args=("ALTER TABLE orders DROP COLUMN note",))
    with snapshot.held(at) as (cursor, moment):
        query.columns_of(cursor, text, at)
        thread.start()
        time.sleep(0.3)
        with pytest.raises(BridgeError, match="somebody waits to alter"), snapshot.joined(at, moment, text):
            pass
    thread.join(10)


def test_a_server_that_goes_away_in_the_middle_is_a_clear_error_and_no_deadlock(at, sql, orders, postgresql):
    with contextlib.suppress(BridgeError), snapshot.held(at) as (cursor, moment):
        text = "SELECT a.id, b.note FROM orders a, orders b"
        columns = query.columns_of(cursor, text, at)
        with snapshot.joined(at, moment, text) as own:
            batches = reading.batches(own, text, columns, at)
            next(batches)
            postgresql.stop("immediate")
            try:
                with pytest.raises(BridgeError, match=r"broke while reading the rows.*run it again"):
                    for _ in batches:
                        pass
            finally:
                postgresql.start()
    assert sql("SELECT count(*) FROM orders") == [(orders,)]


def test_a_reader_that_stops_early_ends_the_copy(at, sql, orders):
    text = "SELECT a.id, b.note FROM orders a, orders b"
    with snapshot.held(at) as (cursor, moment), snapshot.joined(at, moment, text) as own:
        batches = reading.batches(own, text, query.columns_of(cursor, text, at), at)
        next(batches)
        started = time.monotonic()
        batches.close()
        assert time.monotonic() - started < 20
