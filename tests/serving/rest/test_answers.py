"""Outputs as JSON: the same whole and in pieces, NaN and infinities as words, texts as the original prints them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from serving.rest import answers
from serving.rest.answers import COLUMN, ROW
from serving.rest.reader import document
from serving.rest.texts import as_text

F = np.float32


def texts(*words):
    array = np.empty(len(words), object)
    array[:] = words
    return array


OUTPUTS = [
    {"y": np.arange(24, dtype=F).reshape(2, 3, 4)},
    {"y": np.zeros((2, 0, 3), F)},
    {"y": texts(b"a", b"\xff", b"null")},
    {"y_bytes": texts(b"a", b"b")},
    {"a": np.arange(5), "b": np.array([[1.5, np.nan]] * 5, F), "c": texts(b"null", b"", b"x", b"y", b"z")},
    {"y": np.array([np.nan, 1, np.inf, -np.inf])},
]


@pytest.mark.parametrize("outputs", OUTPUTS, ids=[str(list(o)) + str(i) for i, o in enumerate(OUTPUTS)])
@pytest.mark.parametrize("style", [ROW, COLUMN])
def test_pieces_make_the_same_answer_as_the_whole(monkeypatch, outputs, style):
    whole = answers.predict_response(outputs, style)
    for piece in (2, 3, 8):
        monkeypatch.setattr(answers, "PIECE", piece)
        made = answers.predict_response(outputs, style)
        assert repr(document(made)) == repr(document(whole))


def test_words_stand_where_numbers_are_not_finite_and_texts_stay():
    outputs = {"t": texts(b"null", b"a"), "y": np.array([np.nan, np.inf], F)}
    made = answers.predict_response(outputs, ROW)
    assert made == b'{\n    "predictions": [{"t":"null","y":NaN},{"t":"a","y":Infinity}]\n}'
    assert answers.dumps([np.float32("-inf"), "null"]) == b'[-Infinity,"null"]'


def test_an_error_is_valid_json_whatever_its_text_holds():
    assert json.loads(answers.error_body('a "quoted" \ud800')) == {"error": 'a "quoted" \\ud800'}


AS_PRINTED = [
    (3, "3"), (1.5, "1.5"), (3.0, "3.0"), (0.1, "0.1"), (1.1234567, "1.12345672"), (1e20, "1e+20"), (1e300, "1e+300"),
    (float("nan"), "NaN"), (float("-inf"), "-Infinity"), ("a", '"a"'), (None, "null"), ([], "[]"), ({}, "{}"),
    ({"a": [1, {"b": "é"}]}, '{\n    "a": [\n        1,\n        {\n            "b": "é"\n        }\n    ]\n}'),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), AS_PRINTED, ids=repr)
def test_a_value_is_printed_as_the_original_prints_it(value, text):
    assert as_text(value) == text


def test_long_and_deep_values_are_cut():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    for value in ("a" * 10**7, [1] * 10**6, {str(i): i for i in range(10**5)}, deep):
        assert len(as_text(value)) <= 1024 + len("...")
        assert as_text(value).endswith("...")
