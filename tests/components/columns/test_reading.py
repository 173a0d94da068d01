"""Columns beside records: what they hold is what tfx_bsl decodes, and what does not match is not used."""

from __future__ import annotations

import errno
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KINDS = {"a": "float_list", "b": "int64_list", "c": "bytes_list", "é": "float_list", "z y": "bytes_list"}
VALUES = {
    "float_list": st.floats(width=32),
    "int64_list": st.integers(-(2**63), 2**63 - 1),
    "bytes_list": st.one_of(st.binary(max_size=6), st.sampled_from([b"x\ny", "ü".encode(), b""])),
}
# A row: None for a feature that it lacks, "" for one without a kind, a list of values.
ROW = st.fixed_dictionaries(
    {
        name: st.one_of(st.none(), st.just(""), st.lists(VALUES[kind], max_size=3))
        for name, kind in KINDS.items()
    }
)
# Rows of one value each are stored in another way; a run of them is followed by others.
PLAIN = st.fixed_dictionaries({"a": VALUES["float_list"].map(lambda v: [v]), "c": st.just([b"t"])})
BATCHES = st.lists(st.lists(st.one_of(PLAIN, ROW), min_size=1, max_size=4), min_size=1, max_size=4)


def serialised(row: dict[str, Any]) -> bytes:
    import tensorflow as tf

    example = tf.train.Example()
    for name, values in row.items():
        if values is None:
            continue
        feature = example.features.feature[name]
        if values != "":
            field = getattr(feature, KINDS[name])
            field.SetInParent()
            field.value.extend(values)
    return example.SerializeToString()


def decoded(records: list[bytes], schema: Any = None) -> pa.RecordBatch:
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    return ExamplesToRecordBatchDecoder(schema and schema.SerializeToString()).DecodeBatch(records)


def write(uri: Path, batches: list[list[bytes]]) -> None:
    from components.split_writer import SplitsWriter

    with SplitsWriter(str(uri), ["train"]) as writer:
        for records in batches:
            writer.write("train", decoded(records), records)


def table_schema() -> Any:
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    text = 'feature{name:"z y" type:BYTES} feature{name:"gone" type:INT} feature{name:"a" type:FLOAT}'
    return text_format.Parse(text, schema_pb2.Schema())


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def two_files(tmp_path: Path) -> Path:
    write(tmp_path / "1", [[serialised({"a": [1.0], "b": [2]}), serialised({"a": [3.0], "b": [4]})]])
    return tmp_path / "1"


def same(batch: pa.RecordBatch, expected: pa.RecordBatch) -> None:
    """Equal, but that a column without a value may be missing on one side, or be of type null."""
    assert batch.num_rows == expected.num_rows
    for name in {*batch.schema.names, *expected.schema.names}:
        mine, theirs = (
            side.column(side.schema.get_field_index(name)) if name in side.schema.names else None
            for side in (batch, expected)
        )
        empty = mine is None or mine.null_count == len(mine)
        if theirs is None or theirs.null_count == len(theirs):
            assert empty, name
        else:
            assert mine is not None and mine.type == theirs.type, name
            assert repr(mine.to_pylist()) == repr(theirs.to_pylist()), name


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES, batch_rows=st.integers(1, 5))
def test_columns_hold_exactly_what_is_decoded_of_the_records(
    folder: Path, caplog: pytest.LogCaptureFixture, batches: list[list[dict[str, Any]]], batch_rows: int
) -> None:
    from components.columns import read_batches

    uri = folder / "artifact"
    shutil.rmtree(uri, ignore_errors=True)
    records = [[serialised(row) for row in rows] for rows in batches]
    # Rows without any feature are kept by the records alone.
    kept = [[r for r in some if decoded([r]).num_columns] for some in records]
    kept = [some for some in kept if some]
    caplog.set_level(logging.INFO, logger="absl")
    caplog.clear()
    write(uri, kept)
    every = [record for some in kept for record in some]
    for schema in (None, table_schema()):
        done = 0
        for batch in read_batches(str(uri), "train", batch_rows=batch_rows, schema=schema):
            assert 0 < batch.num_rows <= batch_rows
            expected = decoded(every[done : done + batch.num_rows], schema)
            same(batch, expected)
            if schema is not None:
                assert batch.schema == expected.schema
            done += batch.num_rows
        assert done == len(every)
    assert "its columns are read" in caplog.text


@settings(max_examples=40, deadline=None)
@given(
    ints=st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=3, max_size=3),
    floats=st.lists(st.one_of(st.none(), st.floats()), min_size=3, max_size=3),
    texts=st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=3, max_size=3),
    lists=st.lists(st.one_of(st.none(), st.lists(st.floats(width=32), max_size=2)), min_size=3, max_size=3),
    words=st.lists(st.one_of(st.none(), st.lists(st.text(max_size=2), max_size=2)), min_size=3, max_size=3),
    counts=st.lists(st.lists(st.integers(-9, 300), min_size=1, max_size=2), min_size=3, max_size=3),
)
def test_flat_columns_become_the_lists_that_their_records_decode_to(
    ints, floats, texts, lists, words, counts
) -> None:
    from components.columns.lists import as_lists, listed, stored
    from components.records import encoded

    columns = {
        "a": pa.array(ints, pa.int64()),
        "b": pa.array(floats, pa.float64()),
        "c": pa.array(texts, pa.string()),
        "d": pa.array(lists, pa.large_list(pa.float64())),
        "e": pa.nulls(3),
        "f": pa.array(words, pa.large_list(pa.large_binary())),
        "g": pa.array(counts, pa.large_list(pa.int64())),
    }
    batch = as_lists(pa.RecordBatch.from_arrays(list(columns.values()), list(columns)))
    theirs = decoded(encoded(batch))
    for mine in (batch, listed(stored(batch))):
        same(mine, theirs)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.one_of(st.none(), st.integers(0, 9)), st.one_of(st.none(), st.sampled_from("xy"))),
        min_size=1,
        max_size=9,
    ),
    batch_rows=st.integers(1, 4),
)
def test_a_missing_cell_is_an_absent_feature_in_records_and_in_columns(
    folder: Path, rows, batch_rows
) -> None:
    import tensorflow as tf

    from components.columns import read_batches
    from components.split_writer import SplitsWriter

    uri = folder / "artifact"
    shutil.rmtree(uri, ignore_errors=True)
    with SplitsWriter(str(uri), ["train"]) as writer:
        for start in range(0, len(rows), batch_rows):
            numbers, texts = zip(*rows[start : start + batch_rows], strict=True)
            arrays = [pa.array(numbers, pa.int64()), pa.array(texts, pa.string())]
            writer.write("train", pa.RecordBatch.from_arrays(arrays, ["n", "t"]))
    files = [str(file) for file in (uri / "Split-train").iterdir()]
    examples = [
        tf.train.Example.FromString(r) for r in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()
    ]
    expected = [{"n": n, "t": t} for n, t in rows]
    assert [set(e.features.feature) for e in examples] == [
        {k for k, v in r.items() if v is not None} for r in expected
    ]
    read = []
    for batch in read_batches(str(uri), "train"):
        columns = {name: batch.column(place).to_pylist() for place, name in enumerate(batch.schema.names)}
        read += [{name: column[row] for name, column in columns.items()} for row in range(batch.num_rows)]
    assert [{k: v[0] for k, v in row.items() if v is not None} for row in read] == [
        {k: v.encode() if isinstance(v, str) else v for k, v in row.items() if v is not None}
        for row in expected
    ]


def test_only_the_columns_asked_for_are_read(two_files: Path) -> None:
    from components.columns import read_batches

    assert [b.to_pydict() for b in read_batches(str(two_files), "train", ["b", "no such"])] == [
        {"b": [[2], [4]]}
    ]
    shutil.rmtree(two_files / "columns")
    assert [b.to_pydict() for b in read_batches(str(two_files), "train", ["b"])] == [{"b": [[2], [4]]}]


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda uri: shutil.rmtree(uri / "columns"), "it has no columns beside its records"),
        (lambda uri: _cut(next(uri.glob("columns/*.arrow"))), "bytes, the manifest says"),
        (lambda uri: _flip(next(uri.glob("columns/*.arrow"))), "its checksum differs"),
        (lambda uri: next(uri.glob("columns/*.arrow")).unlink(), "is missing"),
        (lambda uri: (uri / "columns" / "manifest.json").write_text("{"), "cannot be used (JSONDecodeError"),
        (
            lambda uri: (uri / "columns" / "manifest.json").write_text('{"version": 2}'),
            "is of version 2, expected 1",
        ),
    ],
)
def test_what_is_wrong_with_the_columns_is_said_and_the_records_are_read(
    two_files: Path, caplog: pytest.LogCaptureFixture, damage: Any, told: str
) -> None:
    from components.columns import read_batches

    caplog.set_level(logging.INFO, logger="absl")
    damage(two_files)
    assert [b.to_pydict() for b in read_batches(str(two_files), "train")] == [
        {"a": [[1.0], [3.0]], "b": [[2], [4]]}
    ]
    assert "the records are read, because" in caplog.text and told in caplog.text


def test_other_records_than_those_the_columns_were_made_of_are_what_counts(two_files: Path) -> None:
    from components.columns import read_batches

    write(two_files.with_name("2"), [[serialised({"a": [5.0]})]])
    name = "Split-train/data_tfrecord-00000-of-00001.gz"
    shutil.copy(two_files.with_name("2") / name, two_files / name)
    shutil.copy(two_files / name, two_files / "Split-train" / "more.gz")
    (two_files / name).unlink()
    with pytest.raises(Exception, match=r"data_tfrecord-00000-of-00001.gz is missing"):
        list(read_batches(str(two_files), "train"))
    (two_files / "Split-train" / "more.gz").rename(two_files / name)
    with pytest.raises(Exception, match=r"1 whole rows of 2 could be read"):
        list(read_batches(str(two_files), "train"))


def test_a_shard_that_is_cut_off_is_named_with_the_rows_that_are_whole(tmp_path: Path) -> None:
    from components.columns import DamagedRecords, read_batches

    rows = [
        serialised({"b": [number * 7919], "c": [str(number * 104729).encode()]}) for number in range(5000)
    ]
    write(tmp_path, [rows])
    shard = tmp_path / "Split-train" / "data_tfrecord-00000-of-00001.gz"
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    for manifest_too in (False, True):
        if manifest_too:
            shutil.rmtree(tmp_path / "columns")
        with pytest.raises(
            DamagedRecords, match=r"data_tfrecord-00000-of-00001.gz: .* [1-4],\d{3} whole rows"
        ):
            list(read_batches(str(tmp_path), "train"))


def test_values_of_another_type_than_the_schema_says_are_named(tmp_path: Path) -> None:
    from components.columns import DamagedRecords, read_batches

    write(tmp_path, [[serialised({"b": [1]})]])
    schema = table_schema()
    schema.feature[2].name = "b"
    with pytest.raises(DamagedRecords, match="feature 'b' holds int64, the schema says float"):
        list(read_batches(str(tmp_path), "train", schema=schema))
    shutil.rmtree(tmp_path / "columns")
    with pytest.raises(DamagedRecords, match="feature 'b' holds int64, the schema says float"):
        list(read_batches(str(tmp_path), "train", schema=schema))


def test_a_full_disk_gives_up_the_columns_and_not_the_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from components.columns import manifest, read_batches, writing

    class Full(manifest.Summed):
        def write(self, data: bytes) -> int:
            if self.bytes > 100:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    monkeypatch.setattr(writing, "Summed", Full)
    caplog.set_level(logging.INFO, logger="absl")
    write(tmp_path, [[serialised({"a": [1.0]})], [serialised({"a": [2.0]})]])
    assert list(tmp_path.glob("columns/*.arrow")) == []
    assert [b.to_pydict() for b in read_batches(str(tmp_path), "train")] == [{"a": [[1.0], [2.0]]}]
    assert "No space left on device" in caplog.text and "no columns were written for" in caplog.text


def test_whole_numbers_beside_fractions_give_up_the_columns(tmp_path: Path) -> None:
    from components.columns import manifest
    from components.function_example_gen.executor import write_splits

    write_splits([("train", {"a": 1}), ("train", {"a": 0.5})], ["train"], str(tmp_path))
    (shard,) = manifest.read(str(tmp_path), "train")
    assert shard["columns"] is None and shard["rows"] == 2
