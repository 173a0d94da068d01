"""Transform in process: which engine works, the analyzer cache, and what is said where preprocessing_fn fails."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.errors import ProjectError
from tests.components.transform.conftest import Made, Rows, same, write_examples


def rows(*numbers: float, text: str = "1") -> Rows:
    return [
        {
            "x": number,
            "n": place,
            "s": text,
            "label": 0,
            "vector": [0.0, 1.0, 2.0],
            "tokens": ["a"],
            "values": None,
        }
        for place, number in enumerate(numbers)
    ]


def test_a_row_that_preprocessing_fn_fails_on_is_shown_with_the_feature(
    transform: Callable[..., Made],
) -> None:
    splits = {"train": rows(1.0, 4.0), "eval": rows(*[1.0] * 700, -9.0, 1.0, text="é\n")}
    with pytest.raises(ProjectError) as raised:
        transform("square_roots", splits)
    told = str(raised.value)
    assert told.startswith("preprocessing_fn fails on feature 'x' of row 701 of split 'eval': {'x': -9.0, ")
    assert "'s': 'é\\n'" in told and "no root of a negative number" in told


def test_a_value_that_an_analyzers_input_fails_on_is_named_too_and_nothing_is_left(
    transform: Callable[..., Made], tmp_path: Path
) -> None:
    splits = {"train": [*rows(1.0, text="7"), *rows(1.0, text="seven")]}
    with pytest.raises(ProjectError, match=r"feature 's' of row 2 of split 'train': \{'s': 'seven'"):
        transform("fails_before_analysis", splits)
    assert not list((tmp_path / "made-0").glob("*/*"))


def test_tokens_that_a_vocabulary_loses_to_line_breaks_are_counted_and_said(
    transform: Callable[..., Made],
) -> None:
    broken = [*rows(1.0, 2.0, text="one\ntwo"), *rows(3.0, text="one"), *rows(4.0, text="two\r")]
    made = transform("categories_and_words", {"train": broken})
    (told,) = json.loads(made.artifacts["transformed_examples"].get_string_custom_property("warnings"))
    assert told.startswith("3 tokens of s hold a line break: a vocabulary leaves such out")
    assert made.vocabularies()["categories"].split() == [b"one"]
    assert set(made.vocabularies()["words"].split()) == {b"one", b"two"}


def test_without_line_breaks_nothing_is_said(transform: Callable[..., Made]) -> None:
    made = transform("categories_and_words", {"train": rows(1.0, 2.0, text="one two")})
    assert not made.artifacts["transformed_examples"].get_string_custom_property("warnings")


def test_a_function_without_features_is_told_what_is_expected(transform: Callable[..., Made]) -> None:
    with pytest.raises(ProjectError, match=r"returned {}; expected a dictionary of at least one feature"):
        transform("no_features", {"train": rows(1.0)})


@pytest.mark.parametrize("function", ["shapes", "square_roots"])
def test_columns_beside_the_transformed_records_hold_the_same_rows(
    function: str, transform: Callable[..., Made]
) -> None:
    from components import columns

    made = transform(function, {"train": rows(1.0, 2.0, 3.0), "eval": []})
    uri = str(made.path("transformed_examples"))
    assert columns.rows_of(uri, "train") == 3 and columns.rows_of(uri, "eval") == 0
    (batch,) = columns.read_batches(uri, "train")
    records = Path(uri) / "columns"
    shutil.rmtree(records)
    (again,) = columns.read_batches(uri, "train")
    assert batch.to_pydict() == again.to_pydict() and batch.schema == again.schema
    shards = sorted(p.name for p in Path(uri).glob("Split-*/*"))
    assert shards == ["transformed_examples-00000-of-00001.gz"] * 2


def two_spans(folder: Path) -> list[Any]:
    parts = (rows(1.0, 2.0, 3.0, text="a"), [*rows(10.0, text="a"), *rows(20.0, text="b\xe9")])
    return [
        write_examples(folder / f"span-{n}", {"train": part, "eval": part}) for n, part in enumerate(parts)
    ]


def empty(examples: Any) -> None:
    """Takes the training rows away, as it does who keeps only the newest span."""
    (file,) = (Path(examples.uri) / "Split-train").iterdir()
    file.write_bytes(gzip.compress(b""))


ONLY_EVAL = {"splits_config": '{"analyze": ["train"], "transform": ["eval"]}'}


@pytest.mark.slow
def test_what_was_analyzed_once_comes_from_the_cache_and_is_not_read_again(
    transform: Callable[..., Made], tmp_path: Path
) -> None:
    spans = two_spans(tmp_path)
    whole = transform("cached", examples=spans, **ONLY_EVAL)
    first = transform("cached", examples=spans[:1], **ONLY_EVAL)
    empty(spans[0])
    with_cache = transform(
        "cached", examples=spans, cache=first.artifacts["updated_analyzer_cache"], **ONLY_EVAL
    )
    same(with_cache, whole)
    # The cache handed on holds the first span still.
    third = transform(
        "cached", examples=spans, cache=with_cache.artifacts["updated_analyzer_cache"], **ONLY_EVAL
    )
    same(third, whole)


@pytest.mark.slow
def test_a_damaged_entry_of_the_cache_counts_as_none(transform: Callable[..., Made], tmp_path: Path) -> None:
    spans = two_spans(tmp_path)
    first = transform("cached", examples=spans, **ONLY_EVAL)
    for file in first.path("updated_analyzer_cache").glob("*/[12]-*.gz"):
        file.write_bytes(file.read_bytes()[:-9])
    again = transform("cached", examples=spans, cache=first.artifacts["updated_analyzer_cache"], **ONLY_EVAL)
    same(again, first)


@pytest.mark.slow
def test_beam_reads_our_cache_and_we_read_beams(
    transform: Callable[..., Made], stock: Any, tmp_path: Path
) -> None:
    spans = two_spans(tmp_path)
    ours = transform("cached", examples=spans, **ONLY_EVAL)
    beams = transform("cached", examples=spans, by=stock, **ONLY_EVAL)
    same(ours, beams)
    for span in spans:
        empty(span)
    theirs = beams.artifacts["updated_analyzer_cache"]
    same(transform("cached", examples=spans, cache=theirs, **ONLY_EVAL), beams)
    mine = ours.artifacts["updated_analyzer_cache"]
    same(transform("cached", examples=spans, cache=mine, by=stock, **ONLY_EVAL), beams)


@pytest.mark.slow
def test_an_analyzer_that_is_a_beam_transform_goes_to_beam_and_it_is_said_why(
    transform: Callable[..., Made],
) -> None:
    made = transform("a_ptransform", {"train": rows(1.0, 2.0), "eval": rows(3.0)})
    assert made.engine.startswith("Beam (the analyzer 'PTransform[") and "a Beam transform" in made.engine
    assert [row["share"] for row in made.examples()["Split-train"]] == [
        ("float_list", [0.0]),
        ("float_list", [0.5]),
    ]


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"disable_statistics": 0}, "statistics before and after are asked for"),
        ({"force_tf_compat_v1": 1}, "TensorFlow 1's mode is asked for"),
    ],
)
def test_what_is_not_done_here_is_a_reason_for_beam(
    properties: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    from components.transform.executor import _obstacle

    examples = write_examples(tmp_path / "examples", {"train": rows(1.0)})
    told = {"disable_statistics": 1, **properties}
    assert _obstacle({"examples": [examples]}, told) == reason
    assert _obstacle({"examples": [examples]}, {"disable_statistics": 1}) == ""


def test_batches_are_bounded_in_rows_and_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorflow_metadata.proto.v0 import schema_pb2

    from components.transform import sources

    schema = schema_pb2.Schema(feature=[schema_pb2.Feature(name="s", type=schema_pb2.BYTES)])
    write_examples(tmp_path / "examples", {"train": rows(*map(float, range(10)), text="x" * 100)})
    source = sources.Source(str(tmp_path / "examples"), "train", schema)
    monkeypatch.setattr(sources, "BATCH_ROWS", 6)
    assert [(first, batch.num_rows) for first, batch in source.batches()] == [(0, 6), (6, 4)]
    monkeypatch.setattr(sources, "BATCH_BYTES", 400)
    cut = list(source.batches())
    assert [first for first, _ in cut] == [0, 3, 6, 8]
    assert [batch.column(0).to_pylist() for _, batch in cut] == [[[b"x" * 100]] * n for n in (3, 3, 2, 2)]
