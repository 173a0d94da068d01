"""numpy <-> TensorProto and dict -> tf.Example, without importing TensorFlow.

`encode` always writes numbers as `tensor_content` (the compact form); `decode` reads every form the protocol
allows. Strings are object arrays of bytes. This module knows no model: casting a list to what a signature
declares happens in `as_array` with the dtype handed in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serving.errors import Internal, InvalidArgument
from serving.wire.arrays import Array, DType
from serving.wire.protos import example_pb2, tensor_pb2, types_pb2

# numpy dtype name -> (name of the DataType, the repeated field that may hold its values)
_KINDS: dict[str, tuple[str, str]] = {
    "float32": ("DT_FLOAT", "float_val"),
    "float64": ("DT_DOUBLE", "double_val"),
    "float16": ("DT_HALF", "half_val"),
    "bfloat16": ("DT_BFLOAT16", "half_val"),
    "int8": ("DT_INT8", "int_val"),
    "int16": ("DT_INT16", "int_val"),
    "int32": ("DT_INT32", "int_val"),
    "int64": ("DT_INT64", "int64_val"),
    "uint8": ("DT_UINT8", "int_val"),
    "uint16": ("DT_UINT16", "int_val"),
    "uint32": ("DT_UINT32", "uint32_val"),
    "uint64": ("DT_UINT64", "uint64_val"),
    "bool": ("DT_BOOL", "bool_val"),
    "complex64": ("DT_COMPLEX64", "scomplex_val"),
    "complex128": ("DT_COMPLEX128", "dcomplex_val"),
    "object": ("DT_STRING", "string_val"),
}
_NUMBER_OF = {name: types_pb2.DataType.Value(kind) for name, (kind, _) in _KINDS.items()}
_NAME_OF = {number: name for name, number in _NUMBER_OF.items()}
_NAME_OF_KIND = {kind: name for name, (kind, _) in _KINDS.items()}
_FIELD_OF = {_NUMBER_OF[name]: field for name, (_, field) in _KINDS.items()}


def dtype_name(data_type: int | str) -> str:
    """numpy's name for a DataType given as number or as "DT_FLOAT"; the given name where numpy has none."""
    if isinstance(data_type, str):
        return _NAME_OF_KIND.get(data_type, data_type)
    return _NAME_OF.get(data_type) or types_pb2.DataType.Name(data_type)


def numpy_dtype(name: str) -> DType:
    """The numpy dtype of a name from `dtype_name`. bfloat16 needs ml_dtypes, which comes with TensorFlow."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def as_array(value: Any, dtype: str | None = None, name: str = "") -> Array:
    """Arrays stay as they are, with the one exception that text arrays become arrays of bytes; anything else
    (lists, numbers, text) becomes an array of `dtype` where one is known.

    Raises InvalidArgument for ragged lists and for values that do not fit `dtype`.
    """
    if isinstance(value, np.ndarray):
        return _as_bytes(value) if value.dtype.kind in "US" else value
    try:
        if dtype == "object":
            return _as_bytes(np.array(value, dtype=object))
        array = np.array(value)
        if array.dtype.kind in "US":
            return _as_bytes(array)
        return array if dtype is None else _cast(array, numpy_dtype(dtype))
    except (ValueError, TypeError, OverflowError) as error:
        what = f"Input '{name}'" if name else "The input"
        raise InvalidArgument(f"{what} cannot be made a tensor of {dtype or 'any type'}: {error}") from error


# What a list may become: whole numbers any number, fractions only fractions, so nothing is lost unseen.
_MAY_BECOME = {"b": "biufcV", "i": "iufcV", "u": "iufcV", "f": "fcV", "c": "c"}


def _cast(array: Array, dtype: DType) -> Array:
    if array.size and dtype.kind not in _MAY_BECOME.get(array.dtype.kind, ""):
        raise TypeError(f"it holds {array.dtype.name} values, the first is {array.ravel()[0]!r}")
    result = array.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(result, array):
        raise OverflowError(f"values {array.min()} .. {array.max()} do not fit")
    return result


def _as_bytes(array: Array) -> Array:
    """The same array with str encoded as UTF-8, as an object array of bytes."""
    flat = [item.encode() if isinstance(item, str) else item for item in array.ravel().tolist()]
    result = np.empty(len(flat), dtype=object)
    result[:] = flat
    return result.reshape(array.shape)


def encode(array: Array, name: str = "") -> tensor_pb2.TensorProto:
    """The TensorProto of an array. Raises InvalidArgument for dtypes that have none (dates, records...)."""
    proto = tensor_pb2.TensorProto()
    if array.dtype.kind in "USO":
        proto.dtype = types_pb2.DT_STRING
        values = _as_bytes(array).ravel().tolist()
        try:
            proto.string_val.extend(values)
        except TypeError as error:
            odd = next(value for value in values if not isinstance(value, bytes))
            raise InvalidArgument(
                f"Input '{name}' holds {odd!r} ({type(odd).__name__}) among its strings; "
                "expected str or bytes, or an array of numbers with equally long rows."
            ) from error
    else:
        number = _NUMBER_OF.get(array.dtype.name)
        if number is None:
            known = ", ".join(name for name in _KINDS if name != "object")
            raise InvalidArgument(
                f"Input '{name}' has dtype {array.dtype!r}, which has no tensor type; "
                f"expected one of {known} or strings. Convert it with .astype(...)."
            )
        proto.dtype = number
        little = array if array.dtype.byteorder != ">" else array.astype(array.dtype.newbyteorder("<"))
        proto.tensor_content = little.tobytes()
    for size in array.shape:
        proto.tensor_shape.dim.add().size = size
    return proto


def decode(proto: tensor_pb2.TensorProto) -> Array:
    """The array of a TensorProto, own memory. Raises Internal where the message contradicts itself."""
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    count = int(np.prod(shape, dtype=np.int64))
    name = _NAME_OF.get(proto.dtype)
    if name is None:
        raise Internal(
            f"The server sent a tensor of {types_pb2.DataType.Name(proto.dtype)}, which numpy lacks"
        )
    try:
        if proto.tensor_content:
            return np.frombuffer(proto.tensor_content, dtype=numpy_dtype(name)).reshape(shape).copy()
        return _repeat(_values(proto, name), count).reshape(shape)
    except ValueError as error:
        raise Internal(f"The server sent a broken tensor of {name} and shape {shape}: {error}") from error


def _values(proto: tensor_pb2.TensorProto, name: str) -> Array:
    field = getattr(proto, _FIELD_OF[proto.dtype])
    if name == "object":
        values = np.empty(len(field), dtype=object)
        values[:] = list(field)
        return values
    if name in ("float16", "bfloat16"):
        return np.array(field, dtype=np.uint16).view(numpy_dtype(name))
    if name in ("complex64", "complex128"):
        part = np.float32 if name == "complex64" else np.float64
        return np.array(field, dtype=part).view(numpy_dtype(name))
    return np.array(field, dtype=numpy_dtype(name))


def _repeat(values: Array, count: int) -> Array:
    """The protocol's shorthand: fewer values than elements means that the last one is repeated."""
    if 0 < len(values) < count:
        return np.concatenate([values, np.repeat(values[-1:], count - len(values))])
    if not len(values) and count:
        return np.full(count, b"" if values.dtype == object else 0, dtype=values.dtype)
    return values


def example(row: Mapping[str, Any]) -> example_pb2.Example:
    """A tf.Example of one row: text and bytes, whole numbers and booleans, or floats; one value or many.

    None or an empty list makes a feature without values (missing). A whole number becomes int64: write 3.0,
    not 3, for a float feature, or hand in a numpy array or scalar of the type you mean.
    Raises InvalidArgument for other kinds of values.
    """
    message = example_pb2.Example()
    feature = message.features.feature
    for name, value in row.items():
        target = feature[name]
        values = _flat(value)
        if not values:
            continue
        first = values[0]
        try:
            if isinstance(first, bytes | str):
                target.bytes_list.value.extend([v.encode() if isinstance(v, str) else v for v in values])
            elif all(isinstance(v, bool | int) for v in values):
                target.int64_list.value.extend([int(v) for v in values])
            else:
                target.float_list.value.extend(values)
        except (TypeError, ValueError) as error:
            raise InvalidArgument(
                f"Feature {name!r} cannot hold {value!r}; expected text, whole numbers or floats, "
                f"one or a list of one kind ({error})."
            ) from error
    return message


def _flat(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, np.ndarray | np.generic):
        values: list[Any] = np.asarray(value).ravel().tolist()
        return values
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(value) if not any(isinstance(v, np.generic) for v in value) else np.array(value).tolist()
    return [value]
