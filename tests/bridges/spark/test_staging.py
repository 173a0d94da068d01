"""Rows of a DataFrame as a new table of a real PostgreSQL: with all of them or not there."""

from __future__ import annotations

import contextlib

import pytest

from bridges.errors import BridgeError
from bridges.spark import blocks, staging
from bridges.warehouse import address
from tests.postgresql import temporary_cluster

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.xdist_group("spark")]


def test_values_arrive_as_they_are_and_a_failed_task_leaves_no_table(spark, monkeypatch):
    with temporary_cluster() as cluster:
        monkeypatch.setenv(address.PASSWORD, "of-mlmd")
        at = f"postgresql://mlmd@127.0.0.1:{cluster.port}/mlmd"

        def ask(statement: str) -> list[tuple]:
            with contextlib.closing(address.connect(at)) as connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()

        frame = spark.range(0, 100, 1, 3).selectExpr(
            "id",
            "cast(id / 8 as float) x",
            "case id % 3 when 0 then null when 1 then '' else concat('\"a\\\\,\\n', id) end t",
            "array(cast(id as double), null) v",
            "array('a\"b', 'c,\\\\') w",
            "cast(concat('\\\\', id) as binary) b",
            "timestamp '2026-01-01 00:00:00' at",
            "id % 2 = 0 o",
        )
        assert staging.write_table(frame, at, "written") == 100
        rows = {row[0]: row[1:] for row in ask("SELECT id, x, t, v, w, b, o FROM written")}
        expected = {row.id: row for row in frame.collect()}
        assert rows.keys() == expected.keys()
        for key, (x, t, v, w, b, o) in rows.items():
            row = expected[key]
            assert (x, t, v, w, bytes(b), o) == (row.x, row.t, row.v, row.w, bytes(row.b), row.o)
        with pytest.raises(BridgeError, match="exists already"):
            staging.write_table(frame, at, "written")

        def fails(block):
            if 77 in block["id"]:
                raise ValueError("the last partition")
            return {"y": block["id"]}

        with pytest.raises(BridgeError, match="the last partition"):
            staging.write_table(blocks.map_blocks(fails, frame.select("id")), at, "failed")
        assert ask("SELECT relname FROM pg_class WHERE relname ~ 'failed|viaduct'") == []
        # Neither the driver's configuration nor Spark's pages have the password.
        assert "of-mlmd" not in str(spark.sparkContext.getConf().getAll())
