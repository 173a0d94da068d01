"""tf.Examples made of Arrow columns: what protobuf reads out of them is what went in."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridges.errors import BridgeError
from bridges.examples import encoding
from bridges.examples.parsing import BYTES, FLOAT, INT64, Feature
from serving.wire import protos

ROWS = st.integers(0, 5)
FLOATS = st.floats(width=32, allow_nan=False)
INTS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(max_size=300)


def read(data: bytes) -> dict[str, list]:
    example = protos.example_pb2.Example.FromString(data)
    read = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        read[name] = list(getattr(feature, kind).value)
    return read


def check(columns: dict[str, tuple[str, pa.Array]]) -> None:
    features = [Feature(name, kind, None, False) for name, (kind, _) in columns.items()]
    encoded = encoding.encode({name: column for name, (_, column) in columns.items()}, features)
    rows = len(next(iter(columns.values()))[1])
    assert len(encoded) == rows
    for row in range(rows):
        expected = {}
        for name, (_, column) in columns.items():
            value = column[row].as_py()
            if value is not None:
                values = value if isinstance(value, list) else [value]
                expected[name] = [v.encode() if isinstance(v, str) else v for v in values]
        assert read(encoded[row]) == expected


@given(st.data())
def test_every_value_is_read_back_and_a_missing_one_is_left_out(data):
    rows = data.draw(ROWS)

    def column(values, kind, lists):
        one = st.lists(values, max_size=4) if lists else values
        drawn = data.draw(st.lists(st.none() | one, min_size=rows, max_size=rows))
        return pa.array(drawn, pa.list_(kind) if lists else kind)

    check(
        {
            "f": (FLOAT, column(FLOATS, pa.float32(), False)),
            "fs": (FLOAT, column(FLOATS, pa.float32(), True)),
            "i": (INT64, column(INTS, pa.int64(), False)),
            "is": (INT64, column(INTS, pa.int64(), True)),
            "t": (BYTES, column(TEXTS, pa.string(), False)),
            "ts": (BYTES, column(TEXTS, pa.string(), True)),
        }
    )


def test_a_slice_of_a_block_is_encoded_from_its_own_first_row():
    texts = pa.array([["a"], ["b", "cc"], [], ["d" * 200]])
    numbers = pa.array([1.0, 2.0, 3.0, 4.0], pa.float64())
    check({"t": (BYTES, texts.slice(1)), "x": (FLOAT, numbers.slice(1))})
    check(
        {
            "w": (INT64, pa.array([5, -1, 300]).slice(1)),
            "z": (BYTES, pa.array([b"\x00", b"", b"\xff"]).slice(1)),
        }
    )


def test_narrow_numbers_and_booleans_become_the_features_kind():
    features = [Feature("b", INT64, None, False), Feature("x", FLOAT, None, False)]
    [row] = encoding.encode({"b": pa.array([True]), "x": pa.array([3], pa.int8())}, features)
    assert read(row) == {"b": [1], "x": [3.0]}


def test_a_missing_value_within_a_list_is_refused():
    with pytest.raises(BridgeError, match="'x' has a list with a missing value"):
        encoding.encode({"x": pa.array([[1.0, None]])}, [Feature("x", FLOAT, None, False)])
