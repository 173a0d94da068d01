"""Arrow columns to serialized tf.Examples, column by column in Arrow's own code, without TensorFlow or TFX.

The bytes are protobuf's: `Example { features { feature { key, value } } }`. A missing value leaves its feature out,
as a client that has no value does. The format: tensorflow/core/example/{example,feature}.proto and protobuf's page
"Encoding".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bridges.errors import BridgeError
from bridges.examples.parsing import BYTES, FLOAT, INT64, Feature

if TYPE_CHECKING:
    import pyarrow as pa

    from serving.wire.arrays import Array

# Tags of Feature's three lists, each a message of its own.
_LIST_TAG = {BYTES: b"\x0a", FLOAT: b"\x12", INT64: b"\x1a"}
_FIRST = (
    b"\x0a"  # field 1, length-delimited: the list's values, the map's entry, the entry's key, the features
)
_SECOND = b"\x12"  # field 2: the entry's value


def encode(columns: Mapping[str, pa.Array], features: Sequence[Feature]) -> Array:
    """An object array of bytes, a tf.Example per row. `columns` holds an array for each feature, of its kind: numbers
    or texts, or lists of them; lists of lists are flattened. A column of type null is a feature without a kind in
    every row. Raises BridgeError for other types, and for no feature.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    pieces: list[pa.Array | pa.Scalar] = []
    for feature in features:
        pieces += _entry(feature, columns[feature.name])
    if not pieces:
        raise BridgeError("A tf.Example needs at least one feature.")
    if not any(isinstance(piece, pa.Array) for piece in pieces):
        pieces[0] = pa.array([pieces[0].as_py()] * len(columns[features[0].name]), pa.binary())
    replaced = {"null_handling": "replace", "null_replacement": ""}
    inside = pc.binary_join_element_wise(*pieces, pa.scalar(b"", pa.binary()), **replaced)
    heads = _heads(pc.binary_length(inside), lambda length: _FIRST + _varint(length))
    rows = pc.binary_join_element_wise(heads, inside, pa.scalar(b"", pa.binary()))
    return rows.to_numpy(zero_copy_only=False)


def _entry(feature: Feature, column: pa.Array) -> list[pa.Array | pa.Scalar]:
    """The map's entry of one feature to be joined: what stands before the values, and the values. What is the same in
    every row is a scalar."""
    import pyarrow as pa
    import pyarrow.compute as pc

    name = feature.name.encode()
    key = _FIRST + _varint(len(name)) + name + _SECOND
    if pa.types.is_null(column.type):
        return [pa.scalar(_FIRST + _varint(len(key) + 1) + key + b"\0", pa.binary())]
    values, offsets = _flat(column, feature)
    if feature.kind == BYTES and offsets is not None:
        elements = _text_elements(values)
        payload = _binary(elements.buffers()[2], np.frombuffer(elements.buffers()[1], np.int32)[offsets])
        packed = False
    else:
        payload, packed = _payload(feature.kind, values, offsets), True

    def head(length: int) -> bytes:
        values_head = _FIRST + _varint(length) if packed else b""
        in_list = len(values_head) + length
        list_head = _LIST_TAG[feature.kind] + _varint(in_list)
        in_feature = len(list_head) + in_list
        value_head = key + _varint(in_feature)
        return _FIRST + _varint(len(value_head) + in_feature) + value_head + list_head + values_head

    lengths = pc.binary_length(payload)
    if not column.null_count and len(payload):
        bounds = pc.min_max(lengths).as_py()
        if bounds["min"] == bounds["max"]:
            return [pa.scalar(head(bounds["min"]), pa.binary()), payload]
    heads = _heads(lengths, head)
    if column.null_count:
        there = column.is_valid()
        nothing = pa.scalar(None, pa.binary())
        return [pc.if_else(there, heads, nothing), pc.if_else(there, payload, nothing)]
    return [heads, payload]


def _flat(column: pa.Array, feature: Feature) -> tuple[pa.Array, Array | None]:
    """The values of all rows, and where each row's begin (n + 1 places), or None where a row has exactly one."""
    import pyarrow as pa

    offsets = None
    while pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        own = np.concatenate(
            ([0], np.cumsum(np.asarray(column.value_lengths().fill_null(0)), dtype=np.int64))
        )
        offsets = own if offsets is None else own[offsets]
        column = column.flatten()
    if offsets is not None and column.null_count:
        raise BridgeError(
            f"Column {feature.name!r} has a list with a missing value in it; a feature cannot hold that."
        )
    return column, offsets


def _payload(kind: str, values: pa.Array, offsets: Array | None) -> pa.Array:
    """The packed numbers, or the one text, of each row."""
    import pyarrow as pa

    if kind == BYTES:
        return values.cast(pa.binary())
    if kind == FLOAT:
        numbers = np.ascontiguousarray(values.cast(pa.float32(), safe=False).fill_null(0).to_numpy(), "<f4")
        places = np.arange(len(numbers) + 1) if offsets is None else offsets
        return _binary(pa.py_buffer(numbers), places * 4)
    data, ends = _varints(values.cast(pa.int64()).fill_null(0).to_numpy())
    return _binary(pa.py_buffer(data), ends if offsets is None else ends[offsets])


def _text_elements(values: pa.Array) -> pa.Array:
    """Each text as an element of a BytesList: tag, length, bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = values.cast(pa.binary())
    heads = _heads(pc.binary_length(texts), lambda length: _FIRST + _varint(length))
    joined = pc.binary_join_element_wise(heads, texts, pa.scalar(b"", pa.binary()))
    # One without an offset of its own, so that its buffers begin with its first value.
    return pa.concat_arrays([joined]) if joined.offset == 0 else pa.array(joined.to_pylist(), pa.binary())


def _binary(data: Any, offsets: Array) -> pa.Array:
    import pyarrow as pa

    if len(offsets) and offsets[-1] > np.iinfo(np.int32).max:
        raise BridgeError("A block's values of one column exceed 2 GB; make the blocks smaller (block_rows).")
    places = pa.py_buffer(np.ascontiguousarray(offsets, np.int32))
    return pa.BinaryArray.from_buffers(pa.binary(), len(offsets) - 1, [None, places, data])


def _heads(lengths: pa.Array, head: Callable[[int], bytes]) -> pa.Array:
    """`head` of each row's length; lengths are few, so each is computed once."""
    import pyarrow as pa

    encoded = lengths.fill_null(0).dictionary_encode()
    return pa.array([head(length) for length in encoded.dictionary.to_pylist()], pa.binary()).take(
        encoded.indices
    )


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _varints(numbers: Array) -> tuple[Array, Array]:
    """int64 as varints one after the other, and where each begins, and the last ends. Negative ones take ten bytes."""
    rest = np.ascontiguousarray(numbers, np.int64).view(np.uint64)
    if not len(rest):
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    # As many as the largest needs.
    most = max(1, -(-int(rest.max()).bit_length() // 7))
    if most == 1:
        return rest.astype(np.uint8), np.arange(len(rest) + 1)
    place = np.arange(most)
    groups = (rest[:, None] >> (place * 7).astype(np.uint64)).astype(np.uint8)
    lengths = np.ones(len(rest), np.int64)
    for more in range(1, most):
        lengths += rest >= np.uint64(1 << 7 * more)
    groups &= 0x7F
    groups |= np.where(place < lengths[:, None] - 1, np.uint8(0x80), np.uint8(0))
    return groups[place < lengths[:, None]], np.concatenate(([0], np.cumsum(lengths)))
