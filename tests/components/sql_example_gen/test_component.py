"""SqlExampleGen in TFX over a real PostgreSQL: the rows of the table, once each, in the splits of ArrowExampleGen."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

import pytest

from bridges.errors import BridgeError
from bridges.warehouse import address, pointer
from components.shards import InputError
from tests.postgresql import temporary_cluster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("warehouse")]


@pytest.fixture(scope="module")
def database():
    """Its address, with a table of 3,000 rows; the password is in the environment."""
    with temporary_cluster() as cluster, pytest.MonkeyPatch.context() as patched:
        patched.setenv(address.PASSWORD, "of-mlmd")
        at = f"postgresql://mlmd@127.0.0.1:{cluster.port}/mlmd"
        run(
            at,
            "CREATE TABLE rows AS SELECT n AS i, n / 8.0::float8 AS f, CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE "
            "'text, ' || n % 5 END AS t, n % 40 AS customer, date '2024-10-04' + n % 2 AS day "
            "FROM generate_series(1, 3000) n",
        )
        yield at


def run(at: str, statement: str) -> None:
    with contextlib.closing(address.connect(at)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)


def pointed(folder: Path, at: str, text: str, **arguments) -> Path:
    (folder / "query.sql").write_text(text)
    return pointer.write(folder / "warehouse", at, folder / "query.sql", **arguments)


def sql_gen(base: Path, pattern: str = pointer.NAME, **arguments):
    from tfx.proto import example_gen_pb2

    from components.sql_example_gen.component import SqlExampleGen

    config = example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name="all", pattern=pattern)])
    return SqlExampleGen(input_base=str(base), input_config=config, **arguments)


def counted(rows):
    return Counter(tuple(sorted(row.items())) for row in rows)


def test_redshifts_cursor_gives_the_rows_and_splits_of_postgresqls_copy(database, tmp_path, execute, rows_of):
    run(
        database,
        "CREATE OR REPLACE FUNCTION fnv_hash(varchar, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE "
        "AS 'SELECT hashtextextended($1, $2)'",
    )
    found = []
    for scheme in ("postgresql", "redshift"):
        (tmp_path / scheme).mkdir()
        at = database.replace("postgresql", scheme)
        base = pointed(tmp_path / scheme, at, "SELECT i, f, t, customer, day FROM rows", key="customer")
        splits = rows_of(execute(sql_gen(base)).uri)
        found.append(
            {name: Counter(str(sorted(row.items())) for row in rows) for name, rows in splits.items()}
        )
    assert found[0] == found[1] and sum(sum(split.values()) for split in found[0].values()) == 3000


def test_rows_and_splits_are_those_of_the_same_rows_in_a_file(database, tmp_path, execute, rows_of):
    from components.arrow_example_gen.component import ArrowExampleGen

    base = pointed(tmp_path, database, "SELECT i, f, t FROM rows")
    ours = execute(sql_gen(base, parts=3))
    lines = "".join(f"{n},{n / 8},{'' if n % 3 < 2 else f'text; {n % 5}'}\n" for n in range(1, 3001))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("i,f,t\n" + lines)
    filed = execute(ArrowExampleGen(input_base=str(tmp_path / "data")))
    table, file = rows_of(ours.uri), rows_of(filed.uri)
    assert sum(map(len, table.values())) == ours.get_int_custom_property("num_rows") == 3000
    texts = Counter(row.get("t") for rows in table.values() for row in rows)
    # NULL is no feature at all, '' is a text.
    assert texts["bytes_list", (b"",)] == 1000 and texts[None] == 1000
    numbers = {name: {(row["i"], row["f"]) for row in rows} for name, rows in table.items()}
    # In a CSV file a missing text and an empty one are the same, which may change a row's split.
    kept = {
        name: {(row["i"], row["f"]) for row in rows if row["i"][1][0] % 3 == 0} for name, rows in file.items()
    }
    assert all(kept[name] <= numbers[name] for name in kept)
    assert ours.split_names == filed.split_names


def test_a_split_key_keeps_its_rows_together_and_a_span_takes_its_day(database, tmp_path, execute, rows_of):
    text = "SELECT i, customer FROM rows WHERE day >= {SPAN_START} AND day < {SPAN_END}"
    base = pointed(tmp_path, database, text, span=20_000, key="customer")
    artifact = execute(sql_gen(base, f"span-20000/{pointer.NAME}"))
    splits = rows_of(artifact.uri)
    assert sum(map(len, splits.values())) == 1500
    customers = [{row["customer"] for row in rows} for rows in splits.values()]
    assert not customers[0] & customers[1]


def test_a_schema_fixes_types_and_what_it_lacks_is_told_and_nothing_is_left(
    database, tmp_path, execute, rows_of
):
    schema = tmp_path / "schema.pbtxt"
    schema.write_text('feature { name: "i" type: FLOAT presence { min_fraction: 1 min_count: 1 } }')
    rows = rows_of(
        execute(sql_gen(pointed(tmp_path, database, "SELECT i FROM rows"), schema_path=str(schema))).uri
    )
    assert {row["i"][0] for split in rows.values() for row in split} == {"float_list"}
    for text, says in {
        "SELECT f FROM rows": "gives no column 'i'",
        "SELECT t AS i FROM rows": "Cast it in the query",
    }.items():
        with pytest.raises(InputError, match=says):
            execute(sql_gen(pointed(tmp_path, database, text), schema_path=str(schema)))
    with pytest.raises(BridgeError, match="gives no rows"):
        pointed(tmp_path, database, "SELECT i FROM rows WHERE i < 0")
    with pytest.raises(BridgeError, match="the column 'i' twice"):
        pointed(tmp_path, database, "SELECT i, f AS i FROM rows")
    with pytest.raises(InputError, match="has no value in a row"):
        execute(sql_gen(pointed(tmp_path, database, "SELECT i, t FROM rows", key="t")))
    assert len([path for path in tmp_path.glob("examples-*/*") if path.name.startswith(".")]) == 0


def test_changed_rows_are_another_pointer_and_the_same_rows_the_same(database, tmp_path):
    base = pointed(tmp_path, database, "SELECT * FROM rows")
    before = (base / pointer.NAME).read_bytes()
    assert pointed(tmp_path, database, "SELECT * FROM rows") == base
    assert (base / pointer.NAME).read_bytes() == before
    run(database, "UPDATE rows SET t = 'other' WHERE i = 7")
    assert pointed(tmp_path, database, "SELECT * FROM rows") == base
    assert (base / pointer.NAME).read_bytes() != before
    assert b"of-mlmd" not in (base / pointer.NAME).read_bytes()


def test_later_rows_of_a_query_judge_and_only_the_columns_asked_for_are_written(
    database, tmp_path, execute, rows_of
):
    base = pointed(tmp_path, database, "SELECT i, t, day FROM rows")
    rows = rows_of(execute(sql_gen(base, split_time="day", columns=["i"], parts=3)).uri)
    assert {name: {row["i"][1][0] % 2 for row in of} for name, of in rows.items()} == {
        "train": {0},
        "eval": {1},
    }
    assert all(set(row) == {"i"} for of in rows.values() for row in of)
    with pytest.raises(InputError, match="The label 't' has no value in a row of the query"):
        execute(sql_gen(base, label="t"))
    with pytest.raises(InputError, match=r"gives no column 'dey', which the pipeline asks for.*'day'"):
        execute(sql_gen(base, split_time="dey"))
