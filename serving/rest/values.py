"""The exact, slow conversions of REST's JSON values: element by element, with TensorFlow Serving's errors.

`serving.rest.bodies` comes here where `serving.rest.vectors` cannot convert a whole list at once. A tensor's shape is
that of its first elements, as in the original; everything else must match it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from serving.errors import InvalidArgument, ServingError, Unimplemented
from serving.rest.reader import RawText, Repeated, members
from serving.rest.texts import as_text, json_type
from serving.wire import tensors
from serving.wire.arrays import Array

STRING, BOOL = 7, 10
FLOATS = (1, 2)
_INT32 = (-(2**31), 2**31 - 1)
# DataType -> the least and the largest number that the original reads for it. What is beyond a small type, but an
# int32, is cut to the type's bits (`cut_to`): RapidJSON and protobuf know no smaller integers.
INTEGERS = {
    3: _INT32, 4: _INT32, 5: _INT32, 6: _INT32, 9: (-(2**63), 2**63 - 1), 17: (0, 2**16 - 1), 22: (0, 2**32 - 1),
    23: (0, 2**64 - 1),
}  # fmt: skip
MAX_DEPTH = 254
ROWS_AT_ONCE = 4096


def is_base64(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and list(value) == ["b64"]
        and isinstance(value["b64"], str)
        and not isinstance(value, Repeated)
    )


def _type_error(value: Any, dtype: int) -> InvalidArgument:
    return InvalidArgument(
        f"JSON Value: {as_text(value)} Type: {json_type(value)} is not of expected type: "
        f"{tensors.type_name(dtype)}"
    )


def decoded_base64(value: Any) -> bytes:
    if not is_base64(value):
        raise InvalidArgument(f"JSON Value: {as_text(value)} not formatted correctly for base64 data")
    text = "".join(value["b64"].split())
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument("Unable to base64 decode") from None


def encoded(text: str) -> bytes:
    """The bytes of a string, also of one that is no UTF-8."""
    return text.raw if isinstance(text, RawText) else text.encode("utf-8", "surrogatepass")


def cut_to(whole: Array, dtype: int) -> Array:
    """64 bit integers as the DataType's, by their lowest bits."""
    return whole.astype(tensors.numpy_type(dtype), copy=False)


def element(value: Any, dtype: int) -> Any:
    """What goes into an array for one JSON value that is no list. Raises InvalidArgument or Unimplemented."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if dtype in FLOATS:
        if not number:
            raise _type_error(value, dtype)
        return float(value)
    if dtype in INTEGERS:
        low, high = INTEGERS[dtype]
        if not number or isinstance(value, float) or not low <= value <= high:
            raise _type_error(value, dtype)
        return value
    if dtype == STRING:
        if isinstance(value, dict):
            return decoded_base64(value)
        if not isinstance(value, str):
            raise _type_error(value, dtype)
        return encoded(value)
    if dtype == BOOL:
        if not isinstance(value, bool):
            raise _type_error(value, dtype)
        return value
    raise Unimplemented(f"Conversion of JSON Value: {as_text(value)} to type: {tensors.type_name(dtype)}")


def _shape(value: Any) -> list[int]:
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if len(shape) > MAX_DEPTH:
            raise InvalidArgument(f"JSON Value: nested more than {MAX_DEPTH} lists deep")
        if not value:
            break
        value = value[0]
    return shape


def _fill(value: Any, level: int, shape: list[int], dtype: int, out: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise InvalidArgument(
                f"JSON Value: {as_text(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {len(shape)}"
            )
        if isinstance(value, dict) and dtype != STRING:
            raise _type_error(value, dtype)
        out.append(element(value, dtype))
        return
    if level >= len(shape):
        raise InvalidArgument(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise InvalidArgument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    for part in value:
        _fill(part, level + 1, shape, dtype, out)


def tensor(value: Any, dtype: int) -> Array:
    """One tensor from nested lists. Raises InvalidArgument or Unimplemented."""
    shape = _shape(value)
    flat: list[Any] = []
    _fill(value, 0, shape, dtype, flat)
    kind = tensors.numpy_type(dtype)
    assert kind is not None
    if dtype in INTEGERS:
        return cut_to(np.array(flat, np.uint64 if INTEGERS[dtype][0] == 0 else np.int64), dtype).reshape(
            shape
        )
    array = np.empty(len(flat), np.float64 if dtype in FLOATS else kind)
    array[:] = flat
    with np.errstate(over="ignore"):
        return array.astype(kind, copy=False).reshape(shape)


def _item(value: Any, dtype: int, earlier: Array | None) -> Array:
    array = tensor(value, dtype)
    if earlier is not None and earlier.size != array.size:
        raise InvalidArgument(f"Expecting tensor size: {earlier.size} but got: {array.size}")
    if earlier is not None and earlier.shape != array.shape:
        shapes = ["[" + ",".join(map(str, a.shape)) + "]" for a in (earlier, array)]
        raise InvalidArgument(f"Expecting shape {shapes[0]} but got: {shapes[1]}")
    return array


def _stacked(items: list[Array], count: int) -> Array:
    """The first `count` items under each other; there are more of them where a row has given its input twice."""
    result = np.empty((count, *items[0].shape), items[0].dtype)
    for place, item in enumerate(items[:count]):
        result[place] = item if item.ndim else item[()]
    return result


def plain_rows(rows: list[Any], dtype: int, at_once: Callable[[Any, int], Array | None]) -> Array:
    """ "instances" as a plain list: one tensor per element, stacked. Rows that `at_once` can convert together, some
    thousands at a time, are not looked at one by one."""
    parts: list[Array] = []
    first: Array | None = None
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[start : start + ROWS_AT_ONCE]
        part = at_once(some, dtype)
        if part is None or (first is not None and part.shape[1:] != first.shape):
            part = _rows_one_by_one(some, dtype, start, first)
        if first is None:
            first = part[0] if part.ndim > 1 else part[:1].reshape(())
        parts.append(part)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _rows_one_by_one(rows: list[Any], dtype: int, start: int, first: Array | None) -> Array:
    items: list[Array] = []
    for place, row in enumerate(rows, start):
        if isinstance(row, dict) and not is_base64(row):
            raise InvalidArgument(f"Expecting value/list but got object at item {place} of input list")
        try:
            items.append(_item(row, dtype, items[0] if first is None and items else first))
        except ServingError as error:
            raise InvalidArgument(
                f"Failed to process element: {place} of 'instances' list. "
                f"Error: {error.code}: {error.message}"
            ) from None
    return _stacked(items, len(rows))


def named_rows(rows: list[Any], inputs: Mapping[str, int]) -> dict[str, Array]:
    """ "instances" as a list of objects: one tensor per element and name, stacked by name."""
    columns: dict[str, list[Array]] = {name: [] for name in inputs}
    for place, row in enumerate(rows):
        if not isinstance(row, dict) or is_base64(row):
            raise InvalidArgument(f"Expecting object but got list at item {place} of input list")
        for name, value in members(row):
            try:
                if name not in inputs:
                    raise InvalidArgument(f"JSON object: does not have named input: {name}")
                earlier = columns[name]
                earlier.append(_item(value, inputs[name], earlier[0] if earlier else None))
            except ServingError as error:
                raise InvalidArgument(
                    f"Failed to process element: {place} key: {name} of 'instances' list. "
                    f"Error: {error.code}: {error.message}"
                ) from None
        if row.keys() != inputs.keys():
            raise InvalidArgument(
                f"Failed to process element: {place} of 'instances' list. JSON object: {as_text(row)} "
                f"keys must be equal to: {','.join(sorted(inputs))}"
            )
    return {name: _stacked(items, len(rows)) for name, items in columns.items()}
