"""Nested lists of JSON values to arrays, whole lists at a time: numbers, booleans and strings.

Nothing is bent on the way: what is ragged, mixed or out of range gives None, and `serving.rest.values` goes through
it element by element and says what is wrong. Large values are converted in pieces, so that other threads get their
turn in between.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np

from serving.errors import InvalidArgument
from serving.rest.values import BOOL, FLOATS, INTEGERS, STRING, cut_to, element
from serving.wire import tensors
from serving.wire.arrays import Array

# Elements that are converted in one go, in about a millisecond.
PIECE = 16 * 1024
MAX_DEPTH = 254


def array_of(value: Any, dtype: int) -> Array | None:
    """A value as an array of the DataType, or None where that takes a closer look."""
    leaf = _LEAVES.get(dtype)
    if leaf is None or type(value) is not list:
        return None
    first = value[0] if value else None
    if type(first) is not list or (first and type(first[0]) is not list):
        inner = len(first) if type(first) is list else 1
        if len(value) * inner <= PIECE:
            return _whole(value, leaf)
    return _in_pieces(value, leaf, tensors.numpy_type(dtype), 0)


def _in_pieces(
    value: list[Any], leaf: Callable[[list[Any]], Array | None], kind: Any, depth: int
) -> Array | None:
    inner = _count(value[0], PIECE) if value else 0
    if len(value) * inner <= PIECE or depth > MAX_DEPTH:
        return _whole(value, leaf)
    if inner >= PIECE:
        parts = [_in_pieces(v, leaf, kind, depth + 1) if isinstance(v, list) else None for v in value]
        if any(part is None or part.shape != parts[0].shape for part in parts):  # type: ignore[union-attr]
            return None
        return np.stack(parts)  # type: ignore[arg-type]
    step = max(1, PIECE // max(inner, 1))
    result: Array | None = None
    for start in range(0, len(value), step):
        part = _whole(value[start : start + step], leaf)
        if part is None or (result is not None and part.shape[1:] != result.shape[1:]):
            return None
        if result is None:
            result = np.empty((len(value), *part.shape[1:]), kind)
        result[start : start + step] = part
    return result


def _count(value: Any, limit: int) -> int:
    """About how many elements a value has, by its first ones; 1 for a scalar."""
    count = 1
    while isinstance(value, list):
        count *= max(1, len(value))
        if not value or count >= limit:
            break
        value = value[0]
    return count


def _whole(value: list[Any], leaf: Callable[[list[Any]], Array | None]) -> Array | None:
    """One list of equal lists of ... of elements."""
    shape = [len(value)]
    flat = value
    while flat and type(flat[0]) is list:
        if set(map(type, flat)) != {list} or len(shape) > MAX_DEPTH:
            return None
        sizes = set(map(len, flat))
        if len(sizes) != 1:
            return None
        shape.append(sizes.pop())
        flat = list(chain.from_iterable(flat))
    array = leaf(flat)
    return None if array is None else array.reshape(shape)


def _floats(flat: list[Any]) -> Array | None:
    if not set(map(type, flat)) <= _NUMBERS:
        return None
    try:
        return np.array(flat, np.float64)
    except OverflowError:
        return None


def _singles(flat: list[Any]) -> Array | None:
    # Through double, as the original has it: rounding twice may give another float than rounding once.
    exact = _floats(flat)
    if exact is None:
        return None
    with np.errstate(over="ignore"):
        return exact.astype(np.float32)


def _integers(dtype: int) -> Callable[[list[Any]], Array | None]:
    low, high = INTEGERS[dtype]
    wide: type = np.uint64 if low == 0 else np.int64

    def convert(flat: list[Any]) -> Array | None:
        if not set(map(type, flat)) <= _WHOLE or (flat and (min(flat) < low or max(flat) > high)):
            return None
        return cut_to(np.array(flat, wide), dtype)

    return convert


def _booleans(flat: list[Any]) -> Array | None:
    return np.array(flat, np.bool_) if set(map(type, flat)) <= {bool} else None


def _strings(flat: list[Any]) -> Array | None:
    types = set(map(type, flat))
    array = np.empty(len(flat), object)
    if types <= {str}:
        array[:] = [text.encode() for text in flat]
    elif types <= {str, dict}:
        try:
            array[:] = [text.encode() if type(text) is str else element(text, STRING) for text in flat]
        except InvalidArgument:
            return None
    else:
        return None
    return array


_NUMBERS, _WHOLE = {int, float}, {int}
_SINGLE, _DOUBLE = FLOATS
# DataType -> a flat list of its elements as an array, or None.
_LEAVES: dict[int, Callable[[list[Any]], Array | None]] = {
    _SINGLE: _singles,
    _DOUBLE: _floats,
    STRING: _strings,
    BOOL: _booleans,
    **{dtype: _integers(dtype) for dtype in INTEGERS},
}
