"""What is said to Redshift and Vertica, as text; and Redshift's statements by a PostgreSQL that has its hash."""

from __future__ import annotations

import os

import pytest

from bridges.errors import BridgeError
from bridges.warehouse import address, dialects, parts, pointer, reading, snapshot
from bridges.warehouse import query as queries
from bridges.warehouse.dialects import REDSHIFT, VERTICA
from bridges.warehouse.kinds import FLOAT, INT, TEXT, Column

QUERY = "SELECT a, b FROM t"
WITHIN = f"(\n{QUERY}\n) AS viaduct_query"
# Redshift's function, as far as it matters here: a hash of a text that depends on a seed.
FNV_HASH = (
    "CREATE OR REPLACE FUNCTION fnv_hash(varchar, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE "
    "AS 'SELECT hashtextextended($1, $2)'"
)


def test_redshifts_statements():
    assert REDSHIFT.at(QUERY, "") == QUERY and REDSHIFT.moment() == ""
    assert REDSHIFT.parts(QUERY, 8, "a") == [QUERY]
    columns = [Column("a", INT), Column('da"y', TEXT, cast=True)]
    rows = REDSHIFT.rows(QUERY, columns)
    assert rows == f'SELECT "a", CAST("da""y" AS VARCHAR(64)) AS "da""y" FROM {WITHIN}'
    assert REDSHIFT.open_rows(rows) == f"DECLARE viaduct_rows CURSOR FOR {rows}"
    state = REDSHIFT.state(QUERY, ["a", "b"])
    value = "CASE WHEN \"{0}\" IS NULL THEN 'n' ELSE 'v' || CAST(\"{0}\" AS VARCHAR(65535)) END"
    hashed = f"FNV_HASH({value.format('b')}, FNV_HASH({value.format('a')}, {{}}::BIGINT))"
    sums = ", ".join(f"COALESCE(SUM(CAST({hashed.format(seed)} AS DECIMAL(38, 0))), 0)" for seed in (0, 1))
    assert state == f"SELECT COUNT(*), {sums} FROM {WITHIN}"


def test_verticas_statements_are_as_of_an_epoch():
    assert VERTICA.moment() == "SELECT GET_CURRENT_EPOCH() - 1"
    assert VERTICA.at(QUERY, "41") == f"AT EPOCH 41 {QUERY}"
    with pytest.raises(ValueError, match="invalid literal"):
        VERTICA.at(QUERY, "41; DROP TABLE t")
    assert VERTICA.open_rows(QUERY) == QUERY
    assert VERTICA.parts(QUERY, 2, "") == [QUERY]
    part = 'CASE WHEN "a" IS NULL THEN 0 ELSE MOD(HASH("a"), 2) END'
    assert VERTICA.parts(QUERY, 2, "a") == [f"SELECT * FROM {WITHIN} WHERE {part} = {n}" for n in (0, 1)]
    value = "CASE WHEN \"a\" IS NULL THEN 'n' ELSE 'v' || CAST(\"a\" AS VARCHAR(65000)) END"
    sums = ", ".join(f"COALESCE(SUM(CAST(HASH('{n}', {value}) AS NUMERIC(38, 0))), 0)" for n in (0, 1))
    assert VERTICA.state(QUERY, ["a"]) == f"SELECT COUNT(*), {sums} FROM {WITHIN}"


def test_a_dialect_is_chosen_by_scheme_and_only_read(monkeypatch):
    monkeypatch.setenv(address.PASSWORD, "before")
    assert dialects.of("postgresql://me@db/shop") is None
    assert dialects.of("redshift://me@db/shop") is REDSHIFT and dialects.of("vertica://me@db/shop") is VERTICA
    assert address.taken_apart("redshift://me:p%40ss@db:5/shop", reading=True) == "redshift://me@db:5/shop"
    assert os.environ[address.PASSWORD] == "p@ss"
    assert not address.is_address("vertica://me@db/shop")
    with pytest.raises(BridgeError, match=r"redshift and vertica:// are read by `viaduct run`, not written"):
        address.taken_apart("redshift://me@db/shop")
    with pytest.raises(BridgeError, match="pip install vertica-python"):
        address.connect("vertica://me@db/shop")


@pytest.fixture
def redshift(at, sql):
    sql(FNV_HASH, "DROP TABLE IF EXISTS sold")
    sql(
        "CREATE TABLE sold AS SELECT n AS id, CASE WHEN n % 5 = 0 THEN NULL ELSE n / 8.0 END AS price, "
        "CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'a, ' || n END AS note, date '2024-10-04' + n % 2 AS day, "
        "n % 2 = 0 AS even FROM generate_series(1, 2500) n"
    )
    return at.replace("postgresql://", "redshift://")


def test_a_postgresql_that_has_its_hash_gives_the_same_rows_through_redshifts_cursor(redshift, at):
    def rows(where: str) -> list[tuple]:
        text = "SELECT * FROM sold"
        with snapshot.held(where) as (cursor, moment):
            columns = queries.columns_of(cursor, text, where)
            [part] = parts.cut(cursor, text, where, 1)
            with snapshot.joined(where, moment, text) as own:
                found = list(reading.batches(own, part, columns, where, {"id": FLOAT}))
        return [tuple(row.values()) for batch in found for row in batch.to_pylist()]

    mine, theirs = rows(redshift), rows(at)
    assert len(mine) == 2500 and sorted(mine, key=str) == sorted(theirs, key=str)
    assert {type(value) for value in mine[6]} == {float, str, int}


def test_the_pointers_state_sees_changed_rows(redshift, sql, tmp_path):
    (tmp_path / "query.sql").write_text("SELECT * FROM sold")

    def state() -> pointer.Source:
        [file] = pointer.write(tmp_path / "w", redshift, tmp_path / "query.sql").glob(pointer.NAME)
        return pointer.read(file)

    first = state()
    assert (first.rows, first.address) == (2500, redshift) and state() == first
    sql("UPDATE sold SET note = '' WHERE id = 3")
    assert state().state != first.state
    with pytest.raises(BridgeError, match=r"No connection to \w+://me@127"):
        pointer.write(tmp_path / "w", "redshift://me@127.0.0.1:1/db", tmp_path / "query.sql")


def test_a_redshift_that_does_not_answer_is_called_by_the_address_that_was_given():
    with pytest.raises(BridgeError, match=r"No connection to redshift://me@127\.0\.0\.1:1/d: .*refused"):
        address.connect("redshift://me@127.0.0.1:1/d")
