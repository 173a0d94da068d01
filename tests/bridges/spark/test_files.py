"""Parquet that workers read themselves gives what Spark gives, and is left to Spark where anything could differ."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bridges.spark import blocks, files

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.xdist_group("spark")]

ROWS = 1000


@pytest.fixture(scope="module")
def table() -> pa.Table:
    numbers = list(range(ROWS))
    return pa.table(
        {
            "id": pa.array(numbers),
            "v": pa.array([[float(n), 1.0] for n in numbers], pa.list_(pa.float32())),
            "text": pa.array([None if n % 7 == 0 else f"é{n % 9}" for n in numbers]),
            "raw": pa.array([bytes([n % 256]) for n in numbers]),
            "flag": pa.array([n % 2 == 0 for n in numbers]),
        }
    )


def test_workers_read_the_rows_that_spark_reads(spark, table, tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    pq.write_table(table.slice(0, 600), folder / "a.parquet", row_group_size=100)
    # Another order of columns, and no dictionary.
    other = table.slice(600).select(["flag", "raw", "text", "v", "id"])
    pq.write_table(other, folder / "b.parquet", row_group_size=150, use_dictionary=False)
    plain = spark.read.parquet(str(folder))
    parts = files.parts_of(plain)
    assert parts is not None and sum(len(groups) for task in parts.tasks for _, groups in task) == 9
    assert len(parts.tasks) >= 2

    def work(block):
        return {"total": block["v"].sum(axis=1), "n": [len(block["id"])] * len(block["id"])}

    # A filter that keeps all makes it Spark's to read.
    filtered = plain.where("id >= 0")
    assert files.parts_of(filtered) is None
    feed = {"v": "v", "id": "id"}
    mine, theirs = (blocks.map_blocks(work, frame, feed, block_rows=70) for frame in (plain, filtered))
    assert mine.schema == theirs.schema

    def rows(frame):
        return sorted(tuple(row)[:-1] for row in frame.collect())

    assert rows(mine) == rows(theirs) and len(rows(mine)) == ROWS
    assert max(row.n for row in mine.collect()) == 70
    trimmed = blocks.map_blocks(work, plain, feed, trim=True)
    assert trimmed.selectExpr("sum(total)").first()[0] == sum(range(ROWS)) + ROWS
    (folder / "b.parquet").unlink()
    with pytest.raises(Exception, match=r"This worker does not reach .*b\.parquet"):
        mine.collect()


@pytest.mark.parametrize(
    "why", ["times", "types differ", "partitioned", "cached", "an option", "csv", "a column less"]
)
def test_all_else_is_read_by_spark(spark, table, tmp_path, why):
    folder = tmp_path / "t"
    folder.mkdir()
    pq.write_table(table, folder / "a.parquet")
    reader = spark.read
    if why == "times":
        pq.write_table(pa.table({"at": pa.array([1], pa.timestamp("us", "UTC"))}), folder / "a.parquet")
    elif why == "types differ":
        pq.write_table(table.set_column(0, "id", table["id"].cast(pa.int32())), folder / "b.parquet")
    elif why == "a column less":
        pq.write_table(table.select(["id", "v", "text", "raw"]), folder / "b.parquet")
    elif why == "partitioned":
        (folder / "day=1").mkdir()
        (folder / "a.parquet").rename(folder / "day=1" / "a.parquet")
    elif why == "an option":
        reader = reader.option("mergeSchema", True)
    frame = reader.csv(str(folder)) if why == "csv" else reader.parquet(str(folder))
    if why == "cached":
        frame = frame.cache()
    try:
        assert files.parts_of(frame) is None
    finally:
        frame.unpersist()


def test_tasks_are_neighbouring_groups_of_about_as_many_bytes():
    sizes = [("a", 0, 10), ("a", 1, 10), ("b", 0, 10), ("b", 1, 10)]
    assert files._tasks(sizes, 2) == ((("a", (0, 1)),), (("b", (0, 1)),))
    assert files._tasks(sizes, 1) == ((("a", (0, 1)), ("b", (0, 1))),)
    assert files._tasks([], 2) == ()
    huge = [("a", n, 100 << 20) for n in range(3)]
    assert len(files._tasks(huge, 1)) == 3
