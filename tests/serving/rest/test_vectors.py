"""Whole lists become the arrays that going element by element gives, or none."""

from __future__ import annotations

import numpy as np
import pytest

from serving.errors import ServingError
from serving.rest import values, vectors
from serving.wire import tensors

FLOAT, DOUBLE, INT32, UINT8, STRING, INT64, BOOL, UINT64 = 1, 2, 3, 4, 7, 9, 10, 23
GIVEN = [
    (FLOAT, [1, 2.5, 16777217, 1e300, -1e300, float("nan"), 2**64 - 1]),
    (DOUBLE, [[1, 2.5], [2**53 + 1, -(2**63)]]),
    (INT32, [[[1]], [[-(2**31)]], [[2**31 - 1]]]),
    (UINT8, [0, 255, 256, -1]),
    (INT64, [-(2**63), 2**63 - 1]),
    (UINT64, [2**64 - 1, 0]),
    (STRING, [["a", "é"], ["", "b"]]),
    (STRING, ["a", {"b64": "/w=="}]),
    (BOOL, [[True, False], [False, True]]),
    (FLOAT, [[], []]),
    (FLOAT, []),
]


@pytest.mark.parametrize(("dtype", "value"), GIVEN, ids=str)
@pytest.mark.parametrize("piece", [2, 3, 16 * 1024])
def test_a_list_becomes_the_same_array_at_once_as_element_by_element(monkeypatch, dtype, value, piece):
    monkeypatch.setattr(vectors, "PIECE", piece)
    found = vectors.array_of(value, dtype)
    expected = values.tensor(value, dtype)
    assert found is not None
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == tensors.numpy_type(dtype)


BENT = [
    (FLOAT, [1, True]), (FLOAT, [1, None]), (FLOAT, ["1"]), (FLOAT, [[1, 2], [3]]), (FLOAT, [1, [2]]),
    (FLOAT, [[1], 2]), (INT32, [1.0]), (INT32, [2**31]), (INT64, [2**63]), (UINT64, [-1]), (BOOL, [1]),
    (STRING, [1]), (STRING, ["a", {"b64": "*"}]), (STRING, ["a", {"x": 1}]), (BOOL, [[True], []]),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "value"), BENT, ids=str)
@pytest.mark.parametrize("piece", [2, 16 * 1024])
def test_nothing_is_bent_on_the_way(monkeypatch, dtype, value, piece):
    monkeypatch.setattr(vectors, "PIECE", piece)
    assert vectors.array_of(value, dtype) is None
    with pytest.raises(ServingError):
        values.tensor(value, dtype)


def test_what_is_no_list_is_left_to_the_slow_way():
    assert vectors.array_of(1.5, FLOAT) is None


def test_rows_are_looked_at_one_by_one_only_where_something_is_wrong(monkeypatch):
    monkeypatch.setattr(values, "ROWS_AT_ONCE", 2)
    rows = [[1, 2], [3, 4], [5, 6], [7, True]]
    with pytest.raises(ServingError, match=r"element: 3 of.*JSON Value: true Type: True"):
        values.plain_rows(rows, FLOAT, vectors.array_of)
    with pytest.raises(ServingError, match=r"element: 2 of.*Expecting tensor size: 2 but got: 1"):
        values.plain_rows([[1, 2], [3, 4], [5], [6]], FLOAT, vectors.array_of)
    with pytest.raises(ServingError, match=r"element: 2 of.*Expecting shape \[2\] but got: \[1,2\]"):
        values.plain_rows([[1, 2], [3, 4], [[5, 6]]], FLOAT, vectors.array_of)
    found = values.plain_rows([1, 2, 3], INT32, vectors.array_of)
    assert found.tolist() == [1, 2, 3]
