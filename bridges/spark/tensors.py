"""Arrow columns and numpy arrays, both ways; memory is shared where the types allow it.

A column of numbers is an array over the same buffer, a column of equally long lists a matrix over it. Nothing is
cast here but between types of which the second holds every value of the first; see `checking` for who decides that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bridges.errors import BridgeError

if TYPE_CHECKING:
    import pyarrow as pa

    from serving.wire.arrays import Array, DType


def array_of(column: pa.Array, name: str) -> Array:
    """[n] of numbers, [n, k ...] of equally long lists, object [n] of bytes (texts as UTF-8), or object [n] of arrays
    where lists differ in length. Raises BridgeError for missing values, which no tensor holds."""
    import pyarrow as pa

    if column.null_count:
        place = column.is_null().index(True).as_py()
        raise BridgeError(
            f"Column {name!r} has {column.null_count} missing values in a block (the first at its row {place}); a "
            "tensor holds none. Fill or drop them first: frame.fillna(...), frame.dropna()."
        )
    if _is_list(column.type):
        return _array_of_lists(column, name)
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        return column.cast(pa.binary()).to_numpy(zero_copy_only=False)
    if pa.types.is_boolean(column.type):
        return column.to_numpy(zero_copy_only=False)
    return column.to_numpy(zero_copy_only=True)


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _array_of_lists(column: pa.Array, name: str) -> Array:
    lengths = np.asarray(column.value_lengths())
    inner = array_of(column.flatten(), name)
    if not len(lengths):
        return inner.reshape((0, 0, *inner.shape[1:]))
    if (lengths == lengths[0]).all():
        return inner.reshape((len(lengths), int(lengths[0]), *inner.shape[1:]))
    ragged = np.empty(len(lengths), object)
    ragged[:] = np.split(inner, np.cumsum(lengths)[:-1])
    return ragged


def fed(
    columns: Sequence[tuple[str, pa.Array]], kind: DType, shape: tuple[int, ...] | None, name: str
) -> Array:
    """The tensor for the input `name`: of one column, or of several side by side as [n, k]."""
    arrays = [array_of(column, of) for of, column in columns]
    if len(arrays) == 1:
        array = arrays[0]
    else:
        array = np.empty((len(arrays[0]), len(arrays)), kind)
        for place, one in enumerate(arrays):
            array[:, place] = one
    if array.dtype == object and kind.kind != "O":
        lengths = sorted({len(row) for row in array})
        raise BridgeError(
            f"Column {columns[0][0]!r} is ragged (rows of {lengths[0]} to {lengths[-1]} values in a block), and the "
            f"model's input {name!r} is a tensor. Use map_rows, or pad the lists."
        )
    array = array.astype(kind, copy=False)
    if shape is not None and (
        len(shape) != array.ndim
        or any(size not in (-1, got) for size, got in zip(shape, array.shape, strict=True))
    ):
        wanted = ", ".join("n" if size < 0 else str(size) for size in shape)
        raise BridgeError(
            f"Input {name!r} wants [{wanted}], the columns {[of for of, _ in columns]} give {list(array.shape)}. Feed "
            "it a list column of that length, or as many columns."
        )
    return array


def column_of(values: Any, kind: pa.DataType, rows: int | None, name: str) -> pa.Array:
    """A result as a column of that type. `rows`: how many it must have (None: any). Raises BridgeError."""
    import pyarrow as pa

    array = values if isinstance(values, np.ndarray) else np.asarray(values, dtype=_object_for(values))
    if array.ndim == 0 or (rows is not None and len(array) != rows):
        shape = list(array.shape)
        raise BridgeError(
            f"Result {name!r} has shape {shape}, expected a row for each of the block's {rows}. With trim=True the "
            "number of rows may differ, for all results alike."
        )
    try:
        return _column(array, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError, TypeError) as error:
        raise BridgeError(
            f"Result {name!r} ({array.dtype}, {list(array.shape)}) is no {kind}: {error}"
        ) from None


def _object_for(values: Any) -> Any:
    """Texts and bytes stay Python objects: numpy would cut zeros off the end of bytes."""
    first = values[0] if isinstance(values, (list, tuple)) and values else None
    return object if isinstance(first, (str, bytes, list, np.ndarray)) else None


def _column(array: Array, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if _is_list(kind):
        if array.dtype == object and array.ndim == 1:
            return pa.array([np.asarray(row) for row in array], kind)
        if array.ndim < 2:
            raise ValueError("a list for each row was declared")
        inner = _column(array.reshape((-1, *array.shape[2:])), kind.value_type)
        offsets = np.arange(array.shape[0] + 1, dtype=np.int32) * array.shape[1]
        return pa.ListArray.from_arrays(pa.array(offsets), inner)
    if array.ndim != 1:
        raise ValueError("one value for each row was declared")
    if array.dtype == object or array.dtype.kind in "SU":
        return pa.array(array.tolist(), kind)
    if array.dtype.names is not None or array.dtype.kind == "V" or array.dtype == np.float16:
        # Types of machine learning that Arrow cannot cast.
        array = array.astype(np.float32)
    column = pa.array(np.ascontiguousarray(array))
    return column if column.type == kind else column.cast(kind)
