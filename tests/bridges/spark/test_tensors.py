"""Columns as arrays and back: shared memory where types allow it, and what no tensor holds is refused by name."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from bridges.errors import BridgeError
from bridges.spark import tensors


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_numbers_and_equal_lists_share_the_columns_memory():
    numbers = pa.array(np.arange(6, dtype=np.float32))
    assert address(tensors.array_of(numbers, "x")) == numbers.buffers()[1].address
    lists = pa.ListArray.from_arrays(pa.array([0, 3, 6], pa.int32()), numbers)
    matrix = tensors.array_of(lists, "v")
    assert matrix.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert address(matrix) == numbers.buffers()[1].address
    assert tensors.array_of(lists.slice(1), "v").tolist() == [[3, 4, 5]]


def test_lists_of_lists_ragged_lists_texts_and_pictures():
    assert tensors.array_of(pa.array([[[1, 2], [3, 4]]]), "m").shape == (1, 2, 2)
    ragged = tensors.array_of(pa.array([[1.0], [2.0, 3.0], []]), "r")
    assert [row.tolist() for row in ragged] == [[1.0], [2.0, 3.0], []]
    assert tensors.array_of(pa.array(["é", "\0a\0"]), "t").tolist() == ["é".encode(), b"\0a\0"]
    assert tensors.array_of(pa.array([b"\x89PNG\0"]), "p").tolist() == [b"\x89PNG\0"]
    assert tensors.array_of(pa.array([True, False]), "b").tolist() == [True, False]


def test_missing_values_are_refused_with_column_and_row():
    with pytest.raises(
        BridgeError, match=r"Column 'x' has 1 missing values in a block \(the first at its row 1\)"
    ):
        tensors.array_of(pa.array([1.0, None]), "x")
    with pytest.raises(BridgeError, match="'v' has 1 missing"):
        tensors.array_of(pa.array([[1.0, None]]), "v")


def test_a_tensor_of_several_columns_stands_side_by_side_and_shapes_are_compared():
    columns = [("a", pa.array([1.0, 2.0], pa.float32())), ("b", pa.array([3.0, 4.0], pa.float32()))]
    assert tensors.fed(columns, np.dtype("f4"), (-1, 2), "x").tolist() == [[1, 3], [2, 4]]
    with pytest.raises(
        BridgeError, match=r"Input 'x' wants \[n, 3\], the columns \['a', 'b'\] give \[2, 2\]"
    ):
        tensors.fed(columns, np.dtype("f4"), (-1, 3), "x")
    with pytest.raises(BridgeError, match="'r' is ragged"):
        tensors.fed([("r", pa.array([[1.0], [1.0, 2.0]]))], np.dtype("f4"), None, "x")


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (np.array([[1, 2], [3, 4]], np.float32), pa.list_(pa.float32()), [[1, 2], [3, 4]]),
        (np.zeros((1, 2, 1), np.int64), pa.list_(pa.list_(pa.int64())), [[[0], [0]]]),
        (np.array([1, 2], np.uint8), pa.int16(), [1, 2]),
        (np.array([b"\0x\0", b""], object), pa.binary(), [b"\0x\0", b""]),
        (["a", "b"], pa.string(), ["a", "b"]),
        ([b"a\0"], pa.binary(), [b"a\0"]),
        (np.array([0.5], np.float16), pa.float32(), [0.5]),
    ],
)
def test_results_become_columns_of_the_declared_type(values, kind, expected):
    column = tensors.column_of(values, kind, len(expected), "y")
    assert (column.type, column.to_pylist()) == (kind, expected)


def test_results_of_another_length_or_type_are_refused_by_name():
    with pytest.raises(
        BridgeError, match=r"Result 'y' has shape \[2\], expected a row for each of the block's 3"
    ):
        tensors.column_of(np.zeros(2), pa.float64(), 3, "y")
    with pytest.raises(BridgeError, match=r"Result 'y' .* is no int64"):
        tensors.column_of(np.array([1.5]), pa.int64(), 1, "y")
    with pytest.raises(BridgeError, match="a list for each row"):
        tensors.column_of(np.zeros(2), pa.list_(pa.float64()), 2, "y")
