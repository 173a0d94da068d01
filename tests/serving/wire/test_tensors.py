"""Tensors between wire and numpy against TensorFlow's own conversions, and damaged ones."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serving.errors import InvalidArgument
from serving.wire import messages, protos, tensors

NUMBERS = [
    tf.float32, tf.float64, tf.int32, tf.uint8, tf.int16, tf.int8, tf.complex64, tf.int64, tf.bool, tf.bfloat16,
    tf.uint16, tf.complex128, tf.float16, tf.uint32, tf.uint64,
]  # fmt: skip


def twin(proto):
    return messages.Tensor.FromString(proto.SerializeToString())


def original(tensor):
    return protos.tensor_pb2.TensorProto.FromString(tensor.SerializeToString())


def as_fields(array, kind):
    """The proto with value fields, as `Tensor::AsProtoField` makes it."""
    made = messages.Tensor()
    tensors.encode(array, made)
    return original(made)


@pytest.mark.parametrize("kind", NUMBERS, ids=lambda k: k.name)
@pytest.mark.parametrize("as_content", [False, True])
def test_what_is_written_tensorflow_reads(kind, as_content):
    array = (np.random.default_rng(0).normal(size=(3, 4)) * 100).astype(kind.as_numpy_dtype)
    made = messages.Tensor()
    tensors.encode(array, made, as_content)
    assert tf.make_ndarray(original(made)).tobytes() == array.tobytes()
    assert tensors.decode(made, "x").tobytes() == array.tobytes()


@pytest.mark.parametrize("kind", NUMBERS, ids=lambda k: k.name)
def test_what_tensorflow_writes_is_read(kind):
    array = (np.random.default_rng(1).normal(size=(2, 3)) * 100).astype(kind.as_numpy_dtype)
    assert tensors.decode(twin(tf.make_tensor_proto(array)), "x").tobytes() == array.tobytes()
    assert tensors.decode(twin(as_fields(array, kind)), "x").tobytes() == array.tobytes()


@given(hnp.arrays(np.int64, st.integers(0, 40), elements=st.integers(-(2**63), 2**63 - 1)))
def test_every_64_bit_integer_survives_the_varints(array):
    made = messages.Tensor()
    tensors.encode(array, made)
    assert list(original(made).int64_val) == array.tolist()
    assert tensors.decode(made, "x").tolist() == array.tolist()


@given(hnp.arrays(np.uint64, st.integers(0, 40), elements=st.integers(0, 2**64 - 1)))
def test_every_unsigned_64_bit_integer_survives_the_varints(array):
    made = messages.Tensor()
    tensors.encode(array, made)
    assert list(original(made).uint64_val) == array.tolist()
    assert tensors.decode(made, "x").tolist() == array.tolist()


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_strings_survive_as_values_and_as_content(strings):
    array = np.empty(len(strings), object)
    array[:] = strings
    made = messages.Tensor()
    tensors.encode(array, made)
    assert list(original(made).string_val) == strings
    assert tensors.decode(made, "x").tolist() == strings
    # The layout of tensor_content for strings: all lengths as varints, then all bytes.
    lengths = tensors._packed_varints(np.array([len(s) for s in strings], np.int64))
    content = messages.Tensor(dtype=7, tensor_content=lengths + b"".join(strings))
    content.tensor_shape = tensors.shape_bytes((len(strings),))
    assert tensors.decode(content, "x").tolist() == strings


@given(st.binary(max_size=60), st.sampled_from([1, 2, 3, 7, 8, 9, 10, 14, 19, 22, 23]), st.integers(0, 5))
def test_any_bytes_give_a_tensor_or_a_refusal(data, kind, size):
    for field in (
        "tensor_content",
        "float_val",
        "int_val",
        "int64_val",
        "half_val",
        "bool_val",
        "uint64_val",
    ):
        tensor = messages.Tensor(dtype=kind, tensor_shape=tensors.shape_bytes((size,)))
        if field == "tensor_content":
            tensor.tensor_content = data
        else:
            getattr(tensor, field).append(data)
        try:
            assert tensors.decode(tensor, "x").shape == (size,)
        except InvalidArgument as error:
            assert error.message.startswith("tensor parsing error: x")


@pytest.mark.parametrize(
    ("values", "count", "wanted"), [([], 3, [0, 0, 0]), ([5], 3, [5, 5, 5]), ([1, 2, 3], 2, [1, 2])]
)
def test_too_few_or_too_many_values_follow_tensorflow(values, count, wanted):
    proto = protos.tensor_pb2.TensorProto(dtype=1, float_val=values)
    proto.tensor_shape.dim.add(size=count)
    assert tensors.decode(twin(proto), "x").tolist() == wanted


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": 0}, {"dtype": 20}, {"dtype": 999}, {"tensor_content": b"123"}, {"sizes": [-1]}, {"sizes": [3] * 300},
        {"sizes": [2**62, 2**62]}, {"unknown_rank": True},
        {"shape": b"\x12\x09"}, {"shape": b"\x12\x02\x08\x02" * 300},
    ],
)  # fmt: skip
def test_what_is_no_tensor_is_refused(change):
    tensor = messages.Tensor(dtype=change.get("dtype", 1), tensor_content=change.get("tensor_content", b""))
    shape = protos.tensor_shape_pb2.TensorShapeProto(unknown_rank=change.get("unknown_rank", False))
    for size in change.get("sizes", [1]):
        shape.dim.add(size=size)
    tensor.tensor_shape = change.get("shape", shape.SerializeToString())
    with pytest.raises(InvalidArgument, match="tensor parsing error: x"):
        tensors.decode(tensor, "x")


def test_the_twins_read_and_write_the_original_messages():
    request = protos.predict_pb2.PredictRequest(output_filter=["y"])
    request.model_spec.name = "m"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto([[1.0, 2.0]]))
    read = messages.PredictRequest.FromString(request.SerializeToString())
    assert [entry.key for entry in read.inputs] == ["x"]
    assert protos.predict_pb2.PredictRequest.FromString(read.SerializeToString()) == request


def test_damage_in_a_field_that_is_not_read_is_a_refusal_too():
    # Found by mutated requests: a variant_val (15) that is no message, beside a tensor without values.
    tensor = messages.Tensor.FromString(b"\x08\x0a\x12\x04\x12\x02\x08\x02z\x02\x01\x00")
    with pytest.raises(InvalidArgument, match="tensor parsing error: x"):
        tensors.decode(tensor, "x")


@pytest.mark.parametrize(
    ("kind", "each", "wanted"),
    [
        (1, b"\x2d\x00\x00\x80\x3f", 1.0),  # float_val: field 5, four bytes
        (2, b"\x31\x00\x00\x00\x00\x00\x00\xf0\x3f", 1.0),  # double_val: field 6, eight bytes
        (3, b"\x38\x83\x01", 131),  # int_val: field 7, a varint
        (9, b"\x50\x05", 5),  # int64_val: field 10
        (10, b"\x58\x01", True),  # bool_val: field 11
        (19, b"\x68\x80\x78", 1.0),  # half_val: field 13; 0x3c00 is one
        (23, b"\x88\x01\x07", 7),  # uint64_val: field 17
    ],
)
def test_values_that_come_one_by_one_are_read(kind, each, wanted):
    """As clients without packed fields send them; the last of too few fills up."""
    head = bytes([8, kind]) + b"\x12\x04\x12\x02\x08\x03"  # dtype, and a shape of three
    assert tensors.decode(messages.Tensor.FromString(head + each * 3), "x").tolist() == [wanted] * 3
    assert tensors.decode(messages.Tensor.FromString(head + each * 2), "x").tolist() == [wanted] * 3


def test_a_packed_value_and_values_that_come_one_by_one_are_read_in_their_order():
    data = b"\x08\x09\x12\x04\x12\x02\x08\x03" + b"\x52\x01\x07" + b"\x50\x08" + b"\x50\x09"
    assert tensors.decode(messages.Tensor.FromString(data), "x").tolist() == [7, 8, 9]
