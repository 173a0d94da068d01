"""A document is read the same at once, in slices, and by the slow reader that decides."""

from __future__ import annotations

import gc
import json
import random

import numpy as np
import pytest

from serving.errors import InvalidArgument
from serving.rest import documents, reader
from serving.rest.reader import Repeated

WORDS = ["", 'a"b\\', "é\u2028😀", "\n\t\x01", "[,]{}:", "\\", '\\"', ',"', "http://a:b"]


def value(rng, depth):
    kind = rng.randrange(9 if depth else 6)
    if kind == 0:
        return rng.choice([0, -0.0, 1, -1, 2**63, 1e308, float("inf"), rng.random()])
    if kind == 1:
        return rng.choice(WORDS)
    if kind == 2:
        return rng.choice([None, True, False])
    if kind <= 5:
        return rng.randrange(-(10**18), 10**18)
    if kind <= 7:
        return [value(rng, depth - 1) for _ in range(rng.randrange(6))]
    return {f"k{rng.randrange(4)}": value(rng, depth - 1) for _ in range(rng.randrange(4))}


def mutated(rng, text, times):
    data = bytearray(text)
    for _ in range(times):
        data[rng.randrange(len(data))] = rng.choice(b'[]{}",:0123456789+-.tfn \\ua\xff')
    return bytes(data)


def outcome(read, text):
    try:
        return repr(read(text))
    except InvalidArgument as error:
        return error


def same(found, expected):
    return found == expected or getattr(found, "message", "") == getattr(expected, "message", None)


@pytest.mark.parametrize("size", [8, 100, 1000])
def test_slices_of_any_size_give_what_the_whole_gives(monkeypatch, size):
    monkeypatch.setattr(documents, "SLICE_BYTES", size)
    rng = random.Random(size)
    read = 0
    for _ in range(400):
        made = {"instances": value(rng, 5), "x": value(rng, 3)}
        text = json.dumps(made, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1])).encode()
        for times in (0, 1, 2):
            changed = mutated(rng, text, times)
            expected = outcome(reader.document, changed)
            assert same(outcome(documents.in_slices, changed), expected), changed
            quick = documents.quick(changed)
            assert quick is None or repr(quick) == expected, changed
            read += isinstance(expected, str)
    assert read > 500


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}', '{"a": [{"x": 1, "x": 2}]}', '{"a": {"b": {"c": 1, "c": 1}}}', '{"a": ["u:v"], "a": "u:v"}',
        '[{"x": 1}, {"x": 1, "x": 2}]',
    ],
)  # fmt: skip
def test_names_that_come_twice_are_left_to_the_slow_reader(text):
    assert documents.quick(text.encode()) is None


@pytest.mark.parametrize(
    "text", ['{"a": 1, "b": [{"x": 1}, {"x": 2}]}', '{"a": {"b": "u:v"}}', '{"a": ["::"]}']
)
def test_names_in_other_objects_are_no_repetition(text):
    assert documents.quick(text.encode()) == json.loads(text)


def test_a_large_document_keeps_what_comes_twice():
    rows = ",".join(['{"x": 1.5}'] * 20_000)
    found = documents.parse(f'{{"instances": [{rows}, {{"x": 1, "x": 2}}], "instances": 1}}'.encode())
    assert isinstance(found, Repeated)
    assert len(found["instances"]) == 20_001
    assert isinstance(found["instances"][-1], Repeated)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "JSON Parse error: The document is empty"), (b"[1]", "JSON Value: [\n    1\n] Is not object"),
        (b"null", "JSON Value: null Is not object"),
        (b'{"x": [%b, 1.]}' % b",".join([b"0.5"] * 50_000), "Miss fraction part in number. at offset: 200010"),
    ],
)  # fmt: skip
def test_what_is_no_object_is_refused(body, text):
    with pytest.raises(InvalidArgument) as caught:
        documents.parse(body)
    assert text in caught.value.message


@pytest.mark.parametrize(
    "text", [b"0.1", b"2.2250738585072011e-308", b"9007199254740993.0", b"1.7976931348623157e308"]
)
def test_a_double_is_read_to_the_nearest(text):
    assert documents.quick(text) == reader.document(text) == float(text)


def test_a_document_is_freed_in_pieces(monkeypatch):
    monkeypatch.setattr(documents, "FREED_AT_ONCE", 3)
    inner = [[1, 2], list(range(10)), {"a": list(range(10)), "b": [[1] * 10]}]
    made = {"instances": [list(range(20)), inner, {"k": 1}], "x": "y"}
    rows = made["instances"]
    documents.dismantle(made)
    assert made == {}
    assert rows == inner == []
    texts = np.array([[b"a"] * 5] * 2, object)
    documents.dismantle(texts)
    assert texts.tolist() == [[None] * 5] * 2


def test_no_garbage_is_looked_for_while_large_documents_are_read():
    assert gc.isenabled()
    with documents.large_work():
        with documents.large_work():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with documents.large_work():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
