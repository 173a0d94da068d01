"""JSON of the REST API: request bodies to arrays or tf.Examples, outputs and results back to JSON.

Reads and writes what TensorFlow Serving's REST API does, NaN and Infinity included, with its error texts.
Whole arrays are converted by numpy where that is exact; whatever numpy would bend (booleans among numbers,
too large integers, ragged lists) goes through `serving.rest_values`, which is slow and says what is wrong.
No sockets, no models.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import orjson

from serving import rest_values, tensors
from serving.errors import InvalidArgument
from serving.rest_values import as_text, is_base64

ROW, COLUMN = "row", "column"
STRING = 7
# Integers beyond these do not fit the type's mantissa, and JSON does not say who meant them as integers.
_MAX_EXACT = {1: 2**24 - 1, 2: 2**53 - 1}
_ORJSON = orjson.OPT_SERIALIZE_NUMPY
_INTEGERS = (3, 4, 5, 6, 9, 17, 22, 23)


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a request body. Raises InvalidArgument."""
    if not body:
        raise InvalidArgument("JSON Parse error: The document is empty")
    try:
        document = orjson.loads(body)
    except (orjson.JSONDecodeError, RecursionError):
        document = _parse_leniently(body)
    if not isinstance(document, dict):
        raise InvalidArgument(f"JSON Value: {as_text(document)} Is not object")
    return document


def _parse_leniently(body: bytes) -> Any:
    """With NaN, Infinity and -Infinity, which orjson refuses and the original reads."""
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        reason = {
            "Expecting value": "Invalid value.",
            "Expecting ',' delimiter": "Missing a comma or a closing bracket after an element.",
            "Expecting ':' delimiter": "Missing a colon after a name of object member.",
            "Expecting property name enclosed in double quotes": "Missing a name for object member.",
            "Extra data": "The document root must not be followed by other values.",
        }.get(error.msg, f"{error.msg}.")
        raise InvalidArgument(f"JSON Parse error: {reason} at offset: {error.pos}") from None
    except UnicodeDecodeError as error:
        raise InvalidArgument(
            f"JSON Parse error: Invalid encoding in string. at offset: {error.start}"
        ) from None
    except RecursionError:
        raise InvalidArgument("JSON Parse error: Nested too deeply.") from None
    except ValueError as error:
        raise InvalidArgument(f"JSON Parse error: {error}") from None


def signature_name(document: Mapping[str, Any]) -> str:
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise InvalidArgument(
            f"JSON Value: {as_text(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name


def predict_inputs(
    document: Mapping[str, Any], body: bytes, inputs: Mapping[str, int]
) -> tuple[dict[str, np.ndarray], str]:
    """Arrays by input name, and the format (ROW or COLUMN) to answer in. `inputs`: name -> DataType."""
    has_rows, has_columns = "instances" in document, "inputs" in document
    if has_rows and has_columns:
        raise InvalidArgument(
            f"JSON Value: {as_text(document)} Not formatted correctly expecting only one of 'inputs' or "
            "'instances' keys to exist "
        )
    facts = _Facts.of(body)
    if has_rows:
        rows = document["instances"]
        if not isinstance(rows, list):
            raise InvalidArgument(
                f"JSON Value: {as_text(document)} Excepting 'instances' to be an list/array"
            )
        if not rows:
            raise InvalidArgument(f"JSON Value: {as_text(document)} No values in 'instances' array")
        return _from_rows(rows, inputs, facts), ROW
    if has_columns:
        return _from_columns(document["inputs"], inputs, facts), COLUMN
    raise InvalidArgument("Missing 'inputs' or 'instances' key")


class _Facts(NamedTuple):
    """What a body's text says of its numbers: whether some may be literals, which numpy would take for 0 and 1,
    and whether some may be infinite; parsers read 1e999 as infinity, which the original refuses."""

    literals: bool
    infinity: bool

    @classmethod
    def of(cls, body: bytes) -> _Facts:
        return cls(b"true" in body or b"false" in body or b"null" in body, b"Infinity" in body)

    def check(self, array: np.ndarray) -> np.ndarray:
        if not self.infinity and array.dtype.kind == "f" and np.isinf(array).any():
            raise InvalidArgument("JSON Parse error: Number too big to be stored in double.")
        return array


def _from_rows(rows: list[Any], inputs: Mapping[str, int], facts: _Facts) -> dict[str, np.ndarray]:
    first = rows[0]
    if not isinstance(first, dict) and len(inputs) > 1:
        raise InvalidArgument(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    if isinstance(first, dict) and not is_base64(first):
        named = all(isinstance(r, dict) and r.keys() == inputs.keys() for r in rows)
        if named:
            columns = {name: _quick([r[name] for r in rows], dtype, facts) for name, dtype in inputs.items()}
            if all(c is not None for c in columns.values()):
                return {name: c for name, c in columns.items() if c is not None}
        return {n: facts.check(column) for n, column in rest_values.named_rows(rows, inputs).items()}
    (name, dtype), *_ = inputs.items()
    array = _quick(rows, dtype, facts)
    return {name: array if array is not None else facts.check(rest_values.plain_rows(rows, dtype))}


def _from_columns(given: Any, inputs: Mapping[str, int], facts: _Facts) -> dict[str, np.ndarray]:
    if not isinstance(given, dict) or is_base64(given):
        if len(inputs) > 1:
            raise InvalidArgument(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        (name, dtype), *_ = inputs.items()
        return {name: _column(given, dtype, facts)}
    for name in inputs:
        if name not in given:
            raise InvalidArgument(f"Missing named input: {name} in 'inputs' object.")
    return {name: _column(given[name], dtype, facts) for name, dtype in inputs.items()}


def _column(value: Any, dtype: int, facts: _Facts) -> np.ndarray:
    array = _quick(value, dtype, facts)
    return array if array is not None else facts.check(rest_values.tensor(value, dtype))


def _quick(value: Any, dtype: int, facts: _Facts) -> np.ndarray | None:
    """The value as an array where numpy converts it without bending anything, else None."""
    if facts.literals or dtype == STRING or not isinstance(value, list):
        return None
    try:
        array = np.array(value)
    except (ValueError, OverflowError, RecursionError):
        return None
    wanted = tensors.numpy_type(dtype)
    if array.dtype.kind not in "fiu" or array.size == 0 or wanted is None or wanted.names is not None:
        return None
    if dtype in _INTEGERS:
        if array.dtype.kind == "f":
            return None
        limits = np.iinfo(wanted)
        if array.min() < limits.min or array.max() > limits.max:
            return None
        return array.astype(wanted)
    if dtype not in _MAX_EXACT:
        return None
    largest = np.abs(array).max()
    # NaN compares false, which is right: rapidjson reads it as a number that loses nothing.
    if largest > _MAX_EXACT[dtype]:
        if not math.isinf(largest):
            return None
        facts.check(array)
    return array.astype(wanted)


def predict_response(outputs: Mapping[str, np.ndarray], style: str) -> bytes:
    """JSON bytes of the outputs, in the style of the request. Raises InvalidArgument."""
    if not outputs:
        raise InvalidArgument("Cannot convert empty tensor map to JSON")
    arrays = {name: _plain(name, value) for name, value in outputs.items()}
    if style == COLUMN:
        body = next(iter(arrays.values())) if len(arrays) == 1 else arrays
        return b'{\n    "outputs": ' + dumps(body) + b"\n}"
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
    if len(arrays) == 1:
        return b'{\n    "predictions": ' + dumps(next(iter(arrays.values()))) + b"\n}"
    rows_out = [{name: column[i] for name, column in arrays.items()} for i in range(size)]
    return b'{\n    "predictions": ' + dumps(rows_out) + b"\n}"


def _plain(name: str, array: np.ndarray) -> Any:
    """What orjson can write: contiguous numbers, or nested lists of text."""
    if array.dtype.kind == "O":
        as_bytes = name.endswith("_bytes")
        return rest_values.texts(array, as_bytes)
    if array.dtype.kind not in "fiub":
        if array.dtype.name != "bfloat16":
            number = tensors.type_name(tensors.type_number(array.dtype))
            raise InvalidArgument(f"Failed to write JSON value for tensor type: {number}")
        array = array.astype(np.float32)
    return np.ascontiguousarray(array) if array.ndim else array[()]


def dumps(value: Any) -> bytes:
    """JSON bytes; NaN and infinities as bare words, which orjson would turn into null."""
    text = orjson.dumps(value, option=_ORJSON)
    if b"null" not in text or _finite(value):
        return text
    return rest_values.dumps_not_finite(value).encode()


def _finite(value: Any) -> bool:
    if isinstance(value, (np.ndarray, np.floating)):
        return value.dtype.kind != "f" or bool(np.isfinite(value).all())
    if isinstance(value, dict):
        return all(_finite(v) for v in value.values())
    if isinstance(value, list):
        return all(_finite(v) for v in value)
    return True


def error_body(message: str) -> bytes:
    return b'{\n    "error": ' + orjson.dumps(_valid(message)) + b"\n}"


def _valid(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def classify_response(result: Any) -> bytes:
    """JSON bytes of a ClassificationResult: per example a list of [label, score]."""
    if not result.classifications:
        raise InvalidArgument("Cannot convert empty ClassificationResults to JSON")
    rows = [
        [[entry.label, np.float32(entry.score)] for entry in found.classes]
        for found in result.classifications
    ]
    return b'{\n    "results": ' + dumps(rows) + b"\n}"


def regress_response(result: Any) -> bytes:
    """JSON bytes of a RegressionResult: a list of values."""
    if not result.regressions:
        raise InvalidArgument("Cannot convert empty RegressionResults to JSON")
    values = np.array([entry.value for entry in result.regressions], np.float32)
    return b'{\n    "results": ' + dumps(values) + b"\n}"
