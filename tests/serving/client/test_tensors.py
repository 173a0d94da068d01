"""numpy and TensorProto: there and back without loss, and the readings of the protocol's other forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serving.client.tensors import as_array, decode, encode, example
from serving.errors import Internal, InvalidArgument
from serving.wire import protos

NUMBERS = (
    "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool complex64 complex128"
)
shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
arrays = st.sampled_from(NUMBERS.split()).flatmap(lambda dtype: hnp.arrays(dtype, shapes))
texts = hnp.arrays(object, shapes, elements=st.binary(max_size=20))


@settings(max_examples=300, deadline=None)
@given(st.one_of(arrays, texts))
def test_every_array_survives_the_wire(array):
    back = decode(protos.tensor_pb2.TensorProto.FromString(encode(array).SerializeToString()))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    np.testing.assert_array_equal(back, array)
    assert back.flags.writeable


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["float32", "int64", "bool"]).flatmap(
        lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=2))
    )
)
def test_transposed_and_big_endian_arrays_are_sent_in_the_wires_order(array):
    np.testing.assert_array_equal(decode(encode(array.T)), array.T)
    np.testing.assert_array_equal(decode(encode(array.astype(array.dtype.newbyteorder(">")))), array)


@settings(max_examples=200, deadline=None)
@given(arrays.filter(lambda array: array.dtype.name != "float16"))
def test_value_fields_are_read_as_tensorflow_writes_them(array):
    fields = {
        "int8": "int_val",
        "int16": "int_val",
        "uint8": "int_val",
        "uint16": "int_val",
        "int32": "int_val",
    }
    others = {"float32": "float_val", "float64": "double_val", "bool": "bool_val", "int64": "int64_val"}
    name = {**fields, **others, "uint32": "uint32_val", "uint64": "uint64_val"}.get(array.dtype.name)
    proto = encode(array)
    proto.tensor_content = b""
    if array.dtype.kind == "c":
        name = "scomplex_val" if array.dtype.name == "complex64" else "dcomplex_val"
        flat = array.ravel().view(array.real.dtype)
    else:
        flat = array.ravel()
    getattr(proto, name).extend(flat.tolist())
    np.testing.assert_array_equal(decode(proto), array)


def test_fewer_values_than_elements_mean_that_the_last_is_repeated():
    proto = protos.tensor_pb2.TensorProto(dtype=protos.types_pb2.DT_FLOAT, float_val=[1, 2])
    proto.tensor_shape.dim.add(size=4)
    assert decode(proto).tolist() == [1, 2, 2, 2]
    del proto.float_val[:]
    assert decode(proto).tolist() == [0, 0, 0, 0]


def test_halves_travel_as_their_bits():
    proto = protos.tensor_pb2.TensorProto(dtype=protos.types_pb2.DT_HALF, half_val=[0x3C00, 0xC000])
    proto.tensor_shape.dim.add(size=2)
    assert decode(proto).tolist() == [1.0, -2.0]
    proto.dtype = protos.types_pb2.DT_BFLOAT16
    proto.half_val[:] = [0x3F80, 0xC000]
    assert decode(proto).astype(float).tolist() == [1.0, -2.0]


def test_a_message_that_contradicts_itself_is_an_internal_error():
    proto = encode(np.ones(3, np.float32))
    proto.tensor_shape.dim[0].size = 4
    with pytest.raises(Internal, match=r"broken tensor of float32 and shape \(4,\)"):
        decode(proto)
    proto = protos.tensor_pb2.TensorProto(dtype=protos.types_pb2.DT_RESOURCE)
    with pytest.raises(Internal, match="DT_RESOURCE"):
        decode(proto)


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        ([1, 2], "float32", np.float32([1, 2])),
        (3, "int64", np.int64(3)),
        ([[1.5], [2]], "float64", np.array([[1.5], [2.0]])),
        ([True], "float32", np.float32([1])),
        (["a", b"\xff"], "object", np.array([b"a", b"\xff"], dtype=object)),
        ("ä", "object", np.array("ä".encode(), dtype=object)),
        ([200], "uint8", np.uint8([200])),
        ([], "float32", np.float32([])),
        ([1.5], None, np.array([1.5])),
        (np.float64([1]), "float32", np.float64([1])),
        (np.array(["a"]), None, np.array([b"a"], dtype=object)),
    ],
)
def test_values_become_arrays_of_the_declared_type(value, dtype, expected):
    array = as_array(value, dtype)
    assert array.dtype == expected.dtype
    assert array.shape == expected.shape
    assert array.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("value", "dtype", "says"),
    [
        ([[1, 2], [3]], "float32", "inhomogeneous"),
        ([1.5], "int64", "holds float64 values, the first is"),
        ([300], "uint8", r"values 300 \.\. 300 do not fit"),
        ([2**70], "int64", "holds object values"),
        ([1j], "float32", "complex128"),
    ],
)
def test_values_that_do_not_fit_are_refused_with_the_inputs_name(value, dtype, says):
    with pytest.raises(InvalidArgument, match=rf"Input 'x' cannot be made a tensor of {dtype}: .*{says}"):
        as_array(value, dtype, "x")


@pytest.mark.parametrize(
    "array", [np.array(["2020-01-01"], dtype="datetime64[D]"), np.array([None, 3], dtype=object)]
)
def test_arrays_without_a_tensor_type_are_refused(array):
    with pytest.raises(InvalidArgument, match=r"Input 'x' (has dtype|holds)"):
        encode(array, "x")


def test_an_example_keeps_kinds_apart():
    features = example(
        {"t": "ä", "b": [b"\xff", "x"], "i": 3, "flag": True, "f": 1.0, "mixed": [1, 2.5], "none": None, "empty": [],
         "array": np.ones((2, 2), np.float32), "scalars": [np.float32(1.5)], "words": np.array(["a", "b"])}
    ).features.feature  # fmt: skip
    assert features["t"].bytes_list.value == ["ä".encode()]
    assert features["b"].bytes_list.value == [b"\xff", b"x"]
    assert features["i"].int64_list.value == [3]
    assert features["flag"].int64_list.value == [1]
    assert features["f"].float_list.value == [1.0]
    assert features["mixed"].float_list.value == [1.0, 2.5]
    assert features["array"].float_list.value == [1.0] * 4
    assert features["scalars"].float_list.value == [1.5]
    assert features["words"].bytes_list.value == [b"a", b"b"]
    assert {name for name in features if features[name].WhichOneof("kind") is None} == {"none", "empty"}


@pytest.mark.parametrize("value", [{"a": 1}, [["nested"]], [b"x", 3], object(), [1, "x"]])
def test_an_example_of_something_else_names_the_feature(value):
    with pytest.raises(InvalidArgument, match="Feature 'odd' cannot hold"):
        example({"odd": value})
