"""Request bodies of the REST API: gzip, and the inputs of a Predict as arrays.

Reads what TensorFlow Serving's REST API reads, with its error texts. Whole lists are converted by
`serving.rest.vectors` where that is exact; the rest goes through `serving.rest.values`, which is slow and says what is
wrong. The document itself is read by `serving.rest.documents`; answers are made in `serving.rest.answers`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from serving.errors import InvalidArgument
from serving.rest import values
from serving.rest.answers import COLUMN, ROW
from serving.rest.texts import as_text
from serving.rest.values import is_base64
from serving.rest.vectors import array_of
from serving.wire.arrays import Array

_GZIP = b"\x1f\x8b"


class BodyTooLarge(Exception):
    """More bytes than a request may have."""


def unzipped(body: bytes, limit: int) -> bytes:
    """What a gzip body holds: its members, one after the other; zeros may fill up the end, as gzip itself has it.

    Raises BodyTooLarge where that is more than `limit` bytes, and InvalidArgument for what is no gzip data, ends
    early or goes on with something else: half a request is never taken for a whole one.
    """
    parts: list[bytes] = []
    room = limit
    at = 0
    while True:
        at, room = _member(body, at, room, parts)
        rest = body[at : at + len(_GZIP)]
        if not rest or (rest[0] == 0 and body.count(0, at) == len(body) - at):
            return b"".join(parts)
        if not _GZIP.startswith(rest):
            raise InvalidArgument(
                f"The request body has {len(body) - at} bytes after its gzip data that are no gzip data"
            )


def _member(body: bytes, at: int, room: int, parts: list[bytes]) -> tuple[int, int]:
    """Adds the contents of the member at `at`; returns where it ends and the room that is left."""
    reader = zlib.decompressobj(wbits=31)
    # What is read beyond a member's end is copied, so small members are read in small pieces.
    step = 512
    while not reader.eof:
        piece = body[at : at + step]
        if not piece:
            raise InvalidArgument("The request body's gzip data is truncated")
        try:
            parts.append(reader.decompress(piece, room + 1))
        except zlib.error as error:
            raise InvalidArgument(f"The request body is no gzip data: {error}") from None
        room -= len(parts[-1])
        if room < 0:
            raise BodyTooLarge
        at += len(piece) - len(reader.unused_data)
        step *= 2
    return at, room


def signature_name(document: Mapping[str, Any]) -> str:
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise InvalidArgument(
            f"JSON Value: {as_text(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name


def predict_inputs(
    document: Mapping[str, Any], inputs: Mapping[str, int], missing: Mapping[str, Any] | None = None
) -> tuple[dict[str, Array], str]:
    """Arrays by input name, and the format (ROW or COLUMN) to answer in. `inputs`: name -> DataType.

    `missing`: the inputs that a row may lack or give as null, and what stands for them then. The original knows no
    such rows; it refuses them, as happens here for all other inputs.
    """
    missing = missing or {}
    has_rows, has_columns = "instances" in document, "inputs" in document
    if has_rows and has_columns:
        raise InvalidArgument(
            f"JSON Value: {as_text(document)} Not formatted correctly expecting only one of 'inputs' or "
            "'instances' keys to exist "
        )
    if has_rows:
        rows = document["instances"]
        if not isinstance(rows, list):
            raise InvalidArgument(
                f"JSON Value: {as_text(document)} Excepting 'instances' to be an list/array"
            )
        if not rows:
            raise InvalidArgument(f"JSON Value: {as_text(document)} No values in 'instances' array")
        if missing:
            rows = [_whole(row, missing) if type(row) is dict else row for row in rows]
        return _from_rows(rows, inputs), ROW
    if has_columns:
        return _from_columns(document["inputs"], inputs, missing), COLUMN
    raise InvalidArgument("Missing 'inputs' or 'instances' key")


def _whole(row: dict[str, Any], missing: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in row.items() if value is not None or name not in missing}
    return {**missing, **given}


def _from_rows(rows: list[Any], inputs: Mapping[str, int]) -> dict[str, Array]:
    first = rows[0]
    if not isinstance(first, dict) and len(inputs) > 1:
        raise InvalidArgument(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    if isinstance(first, dict) and not is_base64(first):
        if all(type(row) is dict and row.keys() == inputs.keys() for row in rows):
            columns = {name: array_of([r[name] for r in rows], dtype) for name, dtype in inputs.items()}
            if all(column is not None for column in columns.values()):
                return {name: column for name, column in columns.items() if column is not None}
        return values.named_rows(rows, inputs)
    (name, dtype), *_ = inputs.items()
    array = array_of(rows, dtype)
    return {name: array if array is not None else values.plain_rows(rows, dtype, array_of)}


def _from_columns(given: Any, inputs: Mapping[str, int], missing: Mapping[str, Any]) -> dict[str, Array]:
    if not isinstance(given, dict) or is_base64(given):
        if len(inputs) > 1:
            raise InvalidArgument(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        (name, dtype), *_ = inputs.items()
        return {name: _column(given, dtype)}
    columns = {}
    for name, dtype in inputs.items():
        value = given.get(name)
        if name in missing and value is None:
            continue
        if name not in given:
            raise InvalidArgument(f"Missing named input: {name} in 'inputs' object.")
        if name in missing and type(value) is list:
            value = [missing[name] if part is None else part for part in value]
        columns[name] = _column(value, dtype)
    return columns


def _column(value: Any, dtype: int) -> Array:
    array = array_of(value, dtype)
    return array if array is not None else values.tensor(value, dtype)
