"""Tensors between the wire and numpy: TensorProto (as `messages.Tensor`) <-> ndarray, without TensorFlow.

Reads what `Tensor::FromProto` reads: `tensor_content`, or the value fields, where the last value fills up the
rest. Writes value fields by default, as TensorFlow Serving does, because many clients read `float_val`
directly. It knows no signatures; strings are object arrays of bytes.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import ml_dtypes
import numpy as np
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from serving.errors import InvalidArgument
from serving.wire import protos
from serving.wire.arrays import Array, DType

# A few bytes may claim a huge shape, whose single value would then be spread over gigabytes.
MAX_EXPANDED_BYTES = 64 * 2**20
MAX_DIMENSIONS = 254
# No element is larger than 16 bytes, and numpy counts bytes.
MAX_COUNT = 2**63 // 16 - 1
# Shapes that are remembered, and how long one of them may be on the wire.
SHAPES_KEPT = 1024
MAX_KEPT_BYTES = 1024


def _quantized(name: str, code: str) -> DType:
    return np.dtype([(name, code)])


# DataType number -> numpy type, the value field and the type in which the field holds the values.
# "varint" fields are unpacked by `_varints`.
_TYPES: dict[int, tuple[DType, str, DType | str]] = {
    1: (np.dtype("<f4"), "float_val", np.dtype("<f4")),
    2: (np.dtype("<f8"), "double_val", np.dtype("<f8")),
    3: (np.dtype("<i4"), "int_val", "varint"),
    4: (np.dtype("u1"), "int_val", "varint"),
    5: (np.dtype("<i2"), "int_val", "varint"),
    6: (np.dtype("i1"), "int_val", "varint"),
    7: (np.dtype(object), "string_val", "bytes"),
    8: (np.dtype("<c8"), "scomplex_val", np.dtype("<c8")),
    9: (np.dtype("<i8"), "int64_val", "varint"),
    10: (np.dtype("?"), "bool_val", "varint"),
    11: (_quantized("qint8", "i1"), "int_val", "varint"),
    12: (_quantized("quint8", "u1"), "int_val", "varint"),
    13: (_quantized("qint32", "<i4"), "int_val", "varint"),
    14: (np.dtype(ml_dtypes.bfloat16), "half_val", "varint"),
    15: (_quantized("qint16", "<i2"), "int_val", "varint"),
    16: (_quantized("quint16", "<u2"), "int_val", "varint"),
    17: (np.dtype("<u2"), "int_val", "varint"),
    18: (np.dtype("<c16"), "dcomplex_val", np.dtype("<c16")),
    19: (np.dtype("<f2"), "half_val", "varint"),
    22: (np.dtype("<u4"), "uint32_val", "varint"),
    23: (np.dtype("<u8"), "uint64_val", "varint"),
}
_NUMBERS = {dtype: number for number, (dtype, _, _) in _TYPES.items()}
_HALVES = (14, 19)


def type_name(number: int) -> str:
    """TensorFlow's short name, as its errors print it: "float", "string", "int64"."""
    try:
        name: str = protos.types_pb2.DataType.Name(number)
    except ValueError:
        return f"unknown dtype enum ({number})"
    return name.removeprefix("DT_").lower()


def numpy_type(number: int) -> DType | None:
    entry = _TYPES.get(number)
    return None if entry is None else entry[0]


def type_number(dtype: DType) -> int:
    """DataType number of a numpy type. Text types count as strings. Raises InvalidArgument."""
    number = _NUMBERS.get(dtype)
    if number is None:
        if dtype.kind in "SU":
            return 7
        raise InvalidArgument(f"Tensors of type {dtype} cannot be sent")
    return number


def _varints(data: bytes, unsigned: bool) -> Array:
    """Packed varints as 64 bit numbers. Raises ValueError where the bytes end within a number."""
    raw = np.frombuffer(data, np.uint8)
    if raw.size == 0 or raw.max() < 0x80:
        return raw.astype(np.uint64 if unsigned else np.int64)
    ends = np.flatnonzero(raw < 0x80)
    if ends.size == 0 or ends[-1] != raw.size - 1:
        raise ValueError("truncated varint")
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > 10:
        raise ValueError("varint longer than ten bytes")
    values = np.zeros(ends.size, np.uint64)
    for position in range(int(lengths.max())):
        held = np.flatnonzero(lengths > position)
        part = (raw[starts[held] + position] & 0x7F).astype(np.uint64)
        values[held] |= part << np.uint64(7 * position)
    return values if unsigned else values.view(np.int64)


def _packed_varints(values: Array) -> bytes:
    """Integers as packed varints; negative ones take ten bytes, as protobuf has it."""
    flat = values.ravel()
    if flat.size == 0 or (flat.min() >= 0 and flat.max() < 0x80):
        return flat.astype(np.uint8).tobytes()
    wide = flat.astype(np.uint64) if flat.dtype.kind == "u" else flat.astype(np.int64).view(np.uint64)
    shifts = np.arange(10, dtype=np.uint64) * np.uint64(7)
    groups = (wide[:, None] >> shifts) & np.uint64(0x7F)
    lengths = 10 - np.argmax(groups[:, ::-1] != 0, axis=1)
    lengths[wide == 0] = 1
    position = np.arange(10)
    groups = groups.astype(np.uint8) | np.where(position < lengths[:, None] - 1, 0x80, 0).astype(np.uint8)
    packed: Array = groups[position < lengths[:, None]]
    return packed.tobytes()


@functools.lru_cache(maxsize=SHAPES_KEPT)
def _known_shape(data: bytes) -> tuple[tuple[int, ...], int]:
    """A serialized TensorShapeProto's sizes and their product. Raises ValueError for what is no known shape."""
    try:
        proto = protos.tensor_shape_pb2.TensorShapeProto.FromString(data)
    except DecodeError as error:
        raise ValueError(f"its shape is no TensorShapeProto: {error}") from None
    shape = tuple([d.size for d in proto.dim])
    if proto.unknown_rank or len(shape) > MAX_DIMENSIONS or (shape and min(shape) < 0):
        raise ValueError(
            f"its shape must be known: unknown_rank={proto.unknown_rank}, sizes {list(shape)[:8]}"
        )
    _check_count(shape)
    return shape, math.prod(shape)


def _check_count(shape: tuple[int, ...]) -> None:
    """Raises ValueError for sizes whose product is more than a tensor can count. Zeros do not help: numpy multiplies
    the others."""
    if math.prod(size for size in shape if size) > MAX_COUNT:
        raise ValueError(f"its shape has too many elements: sizes {list(shape)[:8]}")


def _shape_of(tensor: Any, name: str) -> tuple[tuple[int, ...], int]:
    data = tensor.tensor_shape
    read = _known_shape if len(data) <= MAX_KEPT_BYTES else _known_shape.__wrapped__
    try:
        return read(data)
    except ValueError as error:
        raise InvalidArgument(f"tensor parsing error: {name} ({error})") from None


def decode(tensor: Any, name: str) -> Array:
    """A `messages.Tensor` as ndarray; may share the message's memory, so it is read-only.

    Raises InvalidArgument ("tensor parsing error: ...") for what TensorFlow refuses too.
    """
    entry = _TYPES.get(tensor.dtype)
    if entry is None:
        raise InvalidArgument(
            f"tensor parsing error: {name} (dtype {type_name(tensor.dtype)} is not supported)"
        )
    dtype, field, held = entry
    shape, count = _shape_of(tensor, name)
    content = tensor.tensor_content
    if content:
        if held == "bytes":
            return _string_content(content, count, shape, name)
        if len(content) != count * dtype.itemsize:
            raise InvalidArgument(
                f"tensor parsing error: {name} (tensor_content has {len(content)} bytes; shape {list(shape)} "
                f"of {type_name(tensor.dtype)} needs {count * dtype.itemsize})"
            )
        return np.frombuffer(content, dtype).reshape(shape)
    values = _values(tensor, field, held, dtype, count, name)
    if values.size != count:
        values = _filled(values, count, dtype, name)
    return values.reshape(shape)


def _values(tensor: Any, field: str, held: Any, dtype: DType, count: int, name: str) -> Array:
    chunks = getattr(tensor, field)
    if held == "bytes":
        strings = np.empty(len(chunks), object)
        strings[:] = chunks
        return strings
    data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    try:
        if held != "varint":
            values = np.frombuffer(data, held)
        else:
            wide = _varints(data, dtype.kind == "u")
            values = wide if dtype.names is None else wide.astype(dtype[0]).view(dtype)
            if tensor.dtype in _HALVES:
                values = wide.astype(np.uint16).view(dtype)
            elif dtype.names is None:
                values = wide.astype(dtype)
    except ValueError as error:
        raise InvalidArgument(f"tensor parsing error: {name} ({field}: {error})") from None
    if values.size >= count and values.size > 0:
        return values
    return _unpacked(tensor, field, values, dtype, name)


def _unpacked(tensor: Any, field: str, values: Array, dtype: DType, name: str) -> Array:
    """Values that came one by one (wire types other than "packed") lie in the twin's unknown fields."""
    if values.size and not len(UnknownFieldSet(tensor)):
        return values
    try:
        whole = protos.tensor_pb2.TensorProto.FromString(tensor.SerializeToString())
    except DecodeError:
        raise InvalidArgument(f"tensor parsing error: {name} (its fields are damaged)") from None
    numbers = list(getattr(whole, field))
    if field.endswith("complex_val"):
        part = np.float32 if field[0] == "s" else np.float64
        return np.array(numbers[: len(numbers) // 2 * 2], part).view(dtype)
    if field == "half_val":
        return np.array(numbers, np.int64).astype(np.uint16).view(dtype)
    plain = np.array(numbers, np.uint64 if field.startswith("uint") else None)
    return plain.astype(dtype) if dtype.names is None else plain.astype(dtype[0]).view(dtype)


def _filled(values: Array, count: int, dtype: DType, name: str) -> Array:
    """TensorFlow's rule for too few values: the last one fills up; none at all means zeros."""
    if values.size > count:
        return values[:count]
    if count * max(dtype.itemsize, 8) > MAX_EXPANDED_BYTES:
        raise InvalidArgument(
            f"tensor parsing error: {name} (its shape has {count} elements, but only {values.size} values)"
        )
    blank: Any = b"" if dtype.kind == "O" else np.zeros((), dtype)
    result = np.empty(count, dtype)
    result[: values.size] = values
    result[values.size :] = values[-1] if values.size else blank
    return result


def _string_content(content: bytes, count: int, shape: tuple[int, ...], name: str) -> Array:
    """Strings in `tensor_content`: their lengths as varints, then their bytes."""
    result = np.empty(count if count <= len(content) else 0, object)
    try:
        head = np.frombuffer(content, np.uint8)
        ends = np.flatnonzero(head < 0x80)
        lengths = _varints(content[: int(ends[count - 1]) + 1], True)
        at = int(ends[count - 1]) + 1
        for i, length in enumerate(lengths.tolist()):
            result[i] = content[at : at + length]
            at += length
        if at != len(content):
            raise ValueError
    except (ValueError, IndexError):
        raise InvalidArgument(
            f"tensor parsing error: {name} (tensor_content does not hold {count} strings)"
        ) from None
    return result.reshape(shape)


@functools.lru_cache(maxsize=SHAPES_KEPT)
def shape_bytes(shape: tuple[int, ...]) -> bytes:
    """The serialized TensorShapeProto."""
    proto = protos.tensor_shape_pb2.TensorShapeProto(dim=[{"size": size} for size in shape])
    data: bytes = proto.SerializeToString()
    return data


def encode(array: Array, tensor: Any, as_content: bool = False) -> None:
    """Writes an ndarray into an empty `messages.Tensor`, as value fields or as `tensor_content`."""
    number = type_number(array.dtype)
    tensor.dtype = number
    tensor.tensor_shape = shape_bytes(array.shape)
    if array.size == 0:
        return
    dtype, field, held = _TYPES[number]
    if held == "bytes":
        tensor.string_val.extend(
            [v if isinstance(v, bytes) else str(v).encode() for v in array.ravel().tolist()]
        )
    elif as_content:
        tensor.tensor_content = array.astype(dtype, copy=False).tobytes()
    elif held != "varint":
        getattr(tensor, field).append(array.astype(dtype, copy=False).tobytes())
    else:
        plain = array
        if number in _HALVES:
            plain = np.ascontiguousarray(array).view(np.uint16)
        elif array.dtype.names is not None:
            plain = np.ascontiguousarray(array).view(array.dtype[0])
        getattr(tensor, field).append(_packed_varints(plain))
