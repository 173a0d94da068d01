"""FunctionExampleGen: rows and splits as the project's function yields them, in TFX's Examples artifact."""

from __future__ import annotations

from pathlib import Path

import pytest


def read(folder: Path, split: str) -> list[dict[str, object]]:
    import tensorflow as tf

    found = []
    for record in tf.data.TFRecordDataset([str(p) for p in (folder / f"Split-{split}").glob("*.gz")], "GZIP"):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        found.append({k: list(getattr(v, v.WhichOneof("kind")).value) for k, v in features.items()})
    return found


def test_rows_keep_their_order_their_split_and_their_types(tmp_path: Path) -> None:
    from components.function_example_gen.executor import write_splits

    rows = [
        ("train", {"text": "ä", "n": 1, "x": 0.5}),
        ("late", {"text": b"\xff", "n": [3, 2], "x": [1, 2.5]}),
        ("train", {"text": "b", "n": 0, "x": 2.0}),
    ]
    assert write_splits(iter(rows), ["train", "late"], str(tmp_path)) == {"train": 2, "late": 1}
    first, second = read(tmp_path, "train")
    assert first == {"text": ["ä".encode()], "n": [1], "x": [0.5]} and second["text"] == [b"b"]
    assert read(tmp_path, "late") == [{"text": [b"\xff"], "n": [3, 2], "x": [1.0, 2.5]}]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("train", {"a": 1}), ("evla", {"a": 1})],
            r"Row 1 goes to split 'evla'; the node has \['eval', 'train'\]",
        ),
        ([("train", {"a": 1})], "No row for split 'eval'"),
        ([("train", {"a": None})], "Row 0: a is None"),
        ([("train", {"a": "\udcff"})], r"Row 0: a is '\\udcff', which is no UTF-8"),
    ],
)
def test_a_wrong_row_is_named_and_no_file_is_left(tmp_path: Path, rows: list, message: str) -> None:
    from components.function_example_gen.executor import RowError, write_splits

    with pytest.raises(RowError, match=message):
        write_splits(iter(rows), ["train", "eval"], str(tmp_path))
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_files_are_found_by_pattern_and_hidden_ones_passed_over(tmp_path: Path) -> None:
    from components.function_example_gen.executor import RowError, find

    for name in ("b.txt", "a.txt", ".a.txt", "_SUCCESS", "c.csv"):
        (tmp_path / name).touch()
    assert [p.name for p in find(str(tmp_path), ["*.txt"])] == ["a.txt", "b.txt"]
    with pytest.raises(RowError, match="No file matches"):
        find(str(tmp_path), ["*.parquet"])
