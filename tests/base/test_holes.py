"""A value in every row, whatever a raw column lacks."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pipelines.base.holes import filled, is_missing


def sparse(rows: list[list[Any]], dtype: Any) -> Any:
    import tensorflow as tf

    return tf.ragged.constant(rows, dtype=dtype, ragged_rank=1).to_sparse()


@pytest.mark.parametrize(
    ("rows", "dtype", "default", "expected", "missing"),
    [
        ([[1.5], [], [math.nan]], "float32", 0.0, [1.5, 0.0, 0.0], [0, 1, 1]),
        ([[3], [], [-1, 7]], "int64", 9, [3, 9, -1], [0, 1, 0]),
        ([["a"], [], [""]], "string", "", [b"a", b"", b""], [0, 1, 0]),
        ([[], []], "int64", 4, [4, 4], [1, 1]),
    ],
)
def test_a_sparse_column_gets_its_default_where_a_row_has_nothing(
    rows: list[list[Any]], dtype: str, default: Any, expected: list[Any], missing: list[int]
) -> None:
    column = sparse(rows, dtype)
    assert filled(column, default).numpy().ravel().tolist() == expected
    assert is_missing(column).numpy().ravel().tolist() == missing


def test_a_dense_column_stays_but_for_nan() -> None:
    import tensorflow as tf

    numbers, texts = tf.constant([[1.0], [math.nan]]), tf.constant([["a"], [""]])
    assert filled(numbers, -1.0).numpy().ravel().tolist() == [1.0, -1.0]
    assert is_missing(numbers).numpy().ravel().tolist() == [0.0, 1.0]
    assert filled(texts, "x").numpy().ravel().tolist() == [b"a", b""]
    assert is_missing(texts).numpy().ravel().tolist() == [0.0, 0.0]
