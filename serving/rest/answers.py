"""Answers of the REST API as JSON: outputs of a Predict, results of Classify and Regress, errors.

Values are TensorFlow Serving's, NaN and Infinity included. Large arrays are written in pieces, so that other threads
get their turn in between. No sockets, no models.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
import orjson

from serving.errors import InvalidArgument
from serving.wire import tensors
from serving.wire.arrays import Array

ROW, COLUMN = "row", "column"
# Elements that are written in one go, in about a millisecond.
PIECE = 16 * 1024
_ORJSON = orjson.OPT_SERIALIZE_NUMPY


def predict_response(outputs: Mapping[str, Array], style: str) -> bytes:
    """JSON bytes of the outputs, in the style of the request. Raises InvalidArgument."""
    if not outputs:
        raise InvalidArgument("Cannot convert empty tensor map to JSON")
    arrays = {name: _plain(value) for name, value in outputs.items()}
    if len(arrays) == 1:
        [array] = arrays.values()
        if array.size <= PIECE and array.ndim and array.dtype.kind != "O":
            key = b"outputs" if style == COLUMN else b"predictions"
            return b'{\n    "%b": %b\n}' % (key, dumps(array))
    if style == COLUMN:
        parts = [b'{\n    "outputs": ']
        if len(arrays) == 1:
            parts += chain.from_iterable(_written(*entry) for entry in arrays.items())
        else:
            parts += _columns(arrays)
        return b"".join([*parts, b"\n}"])
    size = _batch_size(outputs)
    parts = [b'{\n    "predictions": ']
    if len(arrays) == 1:
        parts += chain.from_iterable(_written(*entry) for entry in arrays.items())
    else:
        parts += _rows(arrays, size)
    return b"".join([*parts, b"\n}"])


def _batch_size(outputs: Mapping[str, Array]) -> int:
    size = -1
    for name, value in outputs.items():
        if not value.ndim:
            raise InvalidArgument(f"Tensor name: {name} has no shape information ")
        rows = value.shape[0]
        if size not in (-1, rows):
            raise InvalidArgument(
                f"Tensor name: {name} has inconsistent batch size: {rows} expecting: {size}"
            )
        size = rows
    return size


def _plain(array: Array) -> Array:
    """What orjson can write: contiguous numbers, or objects."""
    if array.dtype.kind == "O":
        return array
    if array.dtype.kind not in "fiub":
        if array.dtype.name != "bfloat16":
            number = tensors.type_name(tensors.type_number(array.dtype))
            raise InvalidArgument(f"Failed to write JSON value for tensor type: {number}")
        array = array.astype(np.float32)
    return np.ascontiguousarray(array) if array.ndim else array


def _written(name: str, array: Array) -> Iterator[bytes]:
    """An array as JSON, in pieces."""
    if not array.ndim or array.size <= PIECE:
        yield dumps(_values(name, array))
        return
    inner = math.prod(array.shape[1:])
    if inner >= PIECE:
        for place, part in enumerate(array):
            yield b"[" if place == 0 else b","
            yield from _written(name, part)
    else:
        step = max(1, PIECE // inner)
        for start in range(0, len(array), step):
            yield b"[" if start == 0 else b","
            yield dumps(_values(name, array[start : start + step]))[1:-1]
    yield b"]"


def _columns(arrays: Mapping[str, Array]) -> Iterator[bytes]:
    before = b"{"
    for name, array in arrays.items():
        yield before + orjson.dumps(name) + b":"
        yield from _written(name, array)
        before = b","
    yield b"}"


def _rows(arrays: Mapping[str, Array], size: int) -> Iterator[bytes]:
    """An object per row, in pieces."""
    if not size:
        yield b"[]"
        return
    inner = sum(math.prod(array.shape[1:]) for array in arrays.values())
    step = max(1, PIECE // 8 // max(inner, 1))
    for start in range(0, size, step):
        part = {name: _values(name, array[start : start + step]) for name, array in arrays.items()}
        rows = [
            {name: column[place] for name, column in part.items()} for place in range(min(step, size - start))
        ]
        yield b"[" if start == 0 else b","
        yield dumps(rows)[1:-1]
    yield b"]"


def _values(name: str, array: Array) -> Any:
    """A piece of an array for `dumps`."""
    if array.dtype.kind == "O":
        return _texts(array.tolist(), name.endswith("_bytes"))
    return array if array.ndim else array[()]


def _texts(value: Any, as_bytes: bool) -> Any:
    """Strings as nested lists of text; as {"b64": ...} where the name asks for it or they are no UTF-8."""
    if isinstance(value, list):
        return [_texts(v, as_bytes) for v in value]
    raw = value if isinstance(value, bytes) else str(value).encode()
    if not as_bytes:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            pass
    return {"b64": base64.b64encode(raw).decode()}


def dumps(value: Any) -> bytes:
    """JSON bytes; NaN and infinities as bare words, where orjson writes null."""
    text = orjson.dumps(value, option=_ORJSON)
    if b"null" not in text:
        return text
    words = list(_not_finite(value))
    parts = text.split(b"null")
    if len(parts) != len(words) + 1:
        return _with_words(value)
    return b"".join(chain.from_iterable(zip(parts, [*words, b""], strict=True)))


def _not_finite(value: Any) -> Iterator[bytes]:
    """A word for each number that is not finite, in the order in which they are written."""
    if isinstance(value, (np.ndarray, np.floating, float)):
        numbers = np.asarray(value)
        if numbers.dtype.kind == "f":
            for number in numbers[~np.isfinite(numbers)].tolist():
                yield _word(number)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _not_finite(part)
    elif isinstance(value, list):
        for part in value:
            yield from _not_finite(part)


def _word(number: float) -> bytes:
    return b"NaN" if math.isnan(number) else b"Infinity" if number > 0 else b"-Infinity"


def _with_words(value: Any) -> bytes:
    """The same where a text has `null` in it, which must not be taken for a number."""
    if isinstance(value, dict):
        return b"{%b}" % b",".join(orjson.dumps(k) + b":" + _with_words(v) for k, v in value.items())
    if isinstance(value, list):
        return b"[%b]" % b",".join(map(_with_words, value))
    return orjson.dumps(value) if isinstance(value, str) else dumps(value)


def error_body(message: str) -> bytes:
    return b'{\n    "error": ' + orjson.dumps(message.encode("utf-8", "backslashreplace").decode()) + b"\n}"


def classify_response(result: Any) -> bytes:
    """JSON bytes of a ClassificationResult: per example a list of [label, score]."""
    if not result.classifications:
        raise InvalidArgument("Cannot convert empty ClassificationResults to JSON")
    parts = []
    step = PIECE // 8
    for start in range(0, len(result.classifications), step):
        rows = [
            [[entry.label, np.float32(entry.score)] for entry in classification.classes]
            for classification in result.classifications[start : start + step]
        ]
        parts.append(dumps(rows)[1:-1])
    return b'{\n    "results": [' + b",".join(parts) + b"]\n}"


def regress_response(result: Any) -> bytes:
    """JSON bytes of a RegressionResult: a list of values."""
    if not result.regressions:
        raise InvalidArgument("Cannot convert empty RegressionResults to JSON")
    values = np.array([entry.value for entry in result.regressions], np.float32)
    return b"".join([b'{\n    "results": ', *_written("", values), b"\n}"])
