"""The exact, slow conversions of REST's JSON values: element by element, with TensorFlow Serving's errors.

`serving.rest_json` comes here when numpy cannot convert a whole list at once. A tensor's shape is that of its
first elements, as in the original; everything else must match it.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from serving import tensors
from serving.errors import InvalidArgument, ServingError, Unimplemented

STRING, BOOL = 7, 10
_FLOATS = {1: ("float", 2**24 - 1, float(np.finfo(np.float32).max)), 2: ("double", 2**53 - 1, math.inf)}
_INTEGERS = (3, 4, 5, 6, 9, 17, 22, 23)
# As rapidjson has it: the small types are read as int32 and cut, so their range is checked here as well.
_TEXT_LIMIT = 1024
MAX_DEPTH = 254


def as_text(value: Any) -> str:
    """A JSON value for an error text, cut where it is long."""
    try:
        if isinstance(value, (list, dict)):
            text = json.dumps(value, indent=4, ensure_ascii=False)
        else:
            text = json.dumps(value, ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):
        text = repr(value)
    return text if len(text) <= _TEXT_LIMIT else text[:_TEXT_LIMIT] + "..."


def is_base64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def json_type(value: Any) -> str:
    if value is None:
        return "Null"
    if value is True:
        return "True"
    if value is False:
        return "False"
    kinds: dict[type, str] = {dict: "Object", list: "Array", str: "String"}
    return kinds.get(type(value), "Number")


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


def _encoded(text: str) -> bytes:
    # JSON can hold halves of surrogate pairs, which have no UTF-8; they are kept as they are.
    return text.encode("utf-8", "surrogatepass")


def _element(value: Any, dtype: int) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if dtype in _FLOATS:
        if not number:
            raise _type_error(value, dtype)
        name, exact, largest = _FLOATS[dtype]
        too_large = abs(value) > exact if isinstance(value, int) else largest < abs(value) < math.inf
        if too_large:
            raise InvalidArgument(
                f"Cannot convert JSON value: {as_text(value)} to {name} without loss of precision."
            )
        return value
    if dtype in _INTEGERS:
        limits = np.iinfo(tensors.numpy_type(dtype))
        if not number or isinstance(value, float) or not limits.min <= value <= limits.max:
            raise _type_error(value, dtype)
        return value
    if dtype == STRING:
        if isinstance(value, dict):
            return decoded_base64(value)
        if not isinstance(value, str):
            raise _type_error(value, dtype)
        return _encoded(value)
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
        out.append(_element(value, dtype))
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


def tensor(value: Any, dtype: int) -> np.ndarray:
    """One tensor from nested lists. Raises InvalidArgument or Unimplemented."""
    shape = _shape(value)
    flat: list[Any] = []
    _fill(value, 0, shape, dtype, flat)
    kind = tensors.numpy_type(dtype)
    assert kind is not None
    array = np.empty(len(flat), kind)
    with np.errstate(over="ignore"):
        array[:] = flat
    return array.reshape(shape)


def _item(value: Any, dtype: int, earlier: np.ndarray | None) -> np.ndarray:
    array = tensor(value, dtype)
    if earlier is not None and earlier.size != array.size:
        raise InvalidArgument(f"Expecting tensor size: {earlier.size} but got: {array.size}")
    if earlier is not None and earlier.shape != array.shape:
        shapes = ["[" + ",".join(map(str, a.shape)) + "]" for a in (earlier, array)]
        raise InvalidArgument(f"Expecting shape {shapes[0]} but got: {shapes[1]}")
    return array


def _stacked(items: list[np.ndarray]) -> np.ndarray:
    result = np.empty((len(items), *items[0].shape), items[0].dtype)
    for place, item in enumerate(items):
        result[place] = item if item.ndim else item[()]
    return result


def plain_rows(rows: list[Any], dtype: int) -> np.ndarray:
    """ "instances" as a plain list: one tensor per element, stacked."""
    items: list[np.ndarray] = []
    for place, row in enumerate(rows):
        if isinstance(row, dict) and not is_base64(row):
            raise InvalidArgument(f"Expecting value/list but got object at item {place} of input list")
        try:
            items.append(_item(row, dtype, items[0] if items else None))
        except ServingError as error:
            raise InvalidArgument(
                f"Failed to process element: {place} of 'instances' list. "
                f"Error: {error.code}: {error.message}"
            ) from None
    return _stacked(items)


def named_rows(rows: list[Any], inputs: Mapping[str, int]) -> dict[str, np.ndarray]:
    """ "instances" as a list of objects: one tensor per element and name, stacked by name."""
    columns: dict[str, list[np.ndarray]] = {name: [] for name in inputs}
    for place, row in enumerate(rows):
        if not isinstance(row, dict) or is_base64(row):
            raise InvalidArgument(f"Expecting object but got list at item {place} of input list")
        for name, value in row.items():
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
    return {name: _stacked(items) for name, items in columns.items()}


def texts(array: np.ndarray, as_bytes: bool) -> Any:
    """Strings as nested lists of text; as {"b64": ...} where the name asks for it or they are no UTF-8."""

    def one(value: Any) -> Any:
        if isinstance(value, list):
            return [one(v) for v in value]
        raw = value if isinstance(value, bytes) else str(value).encode()
        if not as_bytes:
            try:
                return raw.decode()
            except UnicodeDecodeError:
                pass
        return {"b64": base64.b64encode(raw).decode()}

    return one(array.tolist())


def dumps_not_finite(value: Any) -> str:
    """JSON text with NaN, Infinity and -Infinity; floats in the shortest form of their own type."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {dumps_not_finite(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim > 0):
        return "[" + ", ".join(dumps_not_finite(v) for v in value) + "]"
    if isinstance(value, (np.floating, float)):
        number = float(value)
        if math.isnan(number):
            return "NaN"
        if math.isinf(number):
            return "Infinity" if number > 0 else "-Infinity"
        return str(value)
    if isinstance(value, np.generic):
        return json.dumps(value.item())
    if isinstance(value, np.ndarray):
        return dumps_not_finite(value[()])
    return json.dumps(value)
