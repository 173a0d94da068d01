"""Rows that a person typed: missing features, unknown names, types, files. No server is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.base import raw_rows
from pipelines.base.csv_reading import CsvReading
from pipelines.base.errors import ViaductError
from serving.client.results import TensorInfo

KNOWN = {
    "age": TensorInfo("age", "int64", (None,)),
    "fare": TensorInfo("fare", "float32", (None,)),
    "town": TensorInfo("town", "object", (None,)),
}


def inputs(*rows: dict[str, Any], optional: tuple[str, ...] = tuple(KNOWN)) -> dict[str, np.ndarray]:
    return raw_rows.inputs(rows, KNOWN, optional)


def test_a_feature_that_no_row_has_is_not_sent() -> None:
    made = inputs({"age": 39, "fare": None})
    assert list(made) == ["age"] and made["age"].tolist() == [39]


def test_where_some_rows_lack_a_feature_they_get_what_stands_for_missing() -> None:
    made = inputs({"age": 39, "fare": 2, "town": "Ulm"}, {"age": None}, {"fare": "", "town": " "})
    assert made["age"].tolist() == [39, raw_rows.LEAST, raw_rows.LEAST]
    assert made["fare"].tolist()[:1] == [2.0] and np.isnan(made["fare"][1:]).all()
    assert made["town"].tolist() == [b"Ulm", b"", b""]


def test_texts_of_a_csv_file_and_whole_floats_are_read_as_the_features_types() -> None:
    made = inputs({"age": "39", "fare": "2.5", "town": 7}, {"age": 40.0, "fare": 1, "town": True})
    assert made["age"].tolist() == [39, 40] and made["fare"].tolist() == [2.5, 1.0]
    assert made["town"].tolist() == [b"7", b"true"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"agee": 39}, "Row 1: Feature 'agee' does not exist. Did you mean 'age'?"),
        ({"age": "old"}, "Row 1: feature 'age' is 'old'; expected a whole number"),
        ({"age": 39.5}, "feature 'age' is 39.5; expected a whole number"),
        ({"fare": [1]}, r"feature 'fare' is \[1\]; expected a number"),
        ({"age": 10**30}, "expected a whole number"),
    ],
)
def test_what_the_model_cannot_take_is_named(row: dict[str, Any], said: str) -> None:
    with pytest.raises(ViaductError, match=said):
        inputs(row)


def test_a_feature_that_the_model_needs_is_asked_for() -> None:
    with pytest.raises(ViaductError, match="Row 2: feature 'fare' is missing, and the model needs a value"):
        inputs({"fare": 1}, {"age": 3}, optional=("age", "town"))


@pytest.mark.parametrize(
    ("text", "said"), [("{", "no JSON"), ("3", "a JSON object"), ("[]", "a JSON object")]
)
def test_a_typed_row_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(ViaductError, match=said):
        raw_rows.of_text(text)


def test_rows_come_from_csv_files_and_from_lines_of_json(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("\ufeffage,town\n39,Ulm\n,\n", encoding="utf-8")
    assert raw_rows.of_file(tmp_path / "rows.csv", CsvReading()) == [
        {"age": "39", "town": "Ulm"},
        {"age": "", "town": ""},
    ]
    (tmp_path / "rows.jsonl").write_text('{"age": 39}\n\n{"town": null}\n', encoding="utf-8")
    assert raw_rows.of_file(tmp_path / "rows.jsonl", CsvReading()) == [{"age": 39}, {"town": None}]


def test_a_csv_file_is_read_as_the_card_says_that_the_projects_are(tmp_path: Path) -> None:
    reading = CsvReading(delimiter=";", null_values=("NA",), decimal=",", thousands=".", encoding="latin-1")
    (tmp_path / "rows.csv").write_text("age;fare;town\n1.039;2,5;Zürich\n3;NA;NA\n", encoding="latin-1")
    rows = raw_rows.of_file(tmp_path / "rows.csv", reading)
    made = raw_rows.inputs(rows, KNOWN, KNOWN, (), reading)
    assert made["age"].tolist() == [1039, 3] and made["fare"].tolist()[0] == 2.5 and np.isnan(made["fare"][1])
    assert made["town"].tolist() == ["Zürich".encode(), b""]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("rows.csv", "age,town\n39\n", "row 1: fewer cells than the header has columns"),
        ("rows.csv", "age,town\n39,Ulm,3\n", "row 1: more cells"),
        ("rows.csv", "age,town\n", "has no rows"),
        ("rows.jsonl", '{"age": 39}\n{"age"\n', "line 2: no JSON"),
        ("rows.jsonl", "39\n", "line 1: '39'; expected a JSON object"),
    ],
)
def test_a_file_of_rows_that_is_none_is_refused_with_its_line(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ViaductError, match=said):
        raw_rows.of_file(tmp_path / name, CsvReading())
    with pytest.raises(ViaductError, match="cannot be read"):
        raw_rows.of_file(tmp_path / "none.csv", CsvReading())


def test_probabilities_are_told_by_the_names_of_the_classes() -> None:
    answer = {"label": "b", "probabilities": [0.2, 0.8]}
    told = raw_rows.named(answer, ("a", "b"))
    assert json.dumps(told) == '{"label": "b", "probabilities": {"b": 0.8, "a": 0.2}}'
    assert raw_rows.named({"probability": 0.2}, ("a", "b")) == {"probability": 0.2}
