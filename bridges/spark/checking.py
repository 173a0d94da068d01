"""What is looked at on the driver before a job starts: columns, types, names; and Spark's types of what comes out.

Missing values and the lengths of lists are not in a schema: workers check those, block by block. No row is read here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bridges.errors import BridgeError
from bridges.examples.parsing import BYTES, FLOAT, Feature
from bridges.spark.models import ModelAt, Tensor
from pipelines.base.errors import close_match
from serving.wire import tensors

if TYPE_CHECKING:
    from pyspark.sql.types import DataType, StructField, StructType

Feed = Mapping[str, tuple[str, ...]]

# numpy's kind and size -> Spark's type. Unsigned numbers get the next larger type, half floats a float.
_SPARK = {
    "b1": "boolean", "i1": "byte", "i2": "short", "i4": "integer", "i8": "long", "u1": "short", "u2": "integer",
    "u4": "long", "f2": "float", "f4": "float", "f8": "double",
}  # fmt: skip
# Spark's types by simple name -> numpy's, which says what they can be cast to.
_NUMPY = {
    "boolean": "?", "tinyint": "i1", "smallint": "i2", "int": "i4", "bigint": "i8", "float": "f4", "double": "f8",
}  # fmt: skip
_TEXTS = ("string", "binary")


def feed_of(model: ModelAt, feed: Mapping[str, str | Sequence[str]], schema: StructType) -> Feed:
    """Which columns each input is made of: `feed`'s, else the column of the input's own name. Raises BridgeError."""
    for name in feed:
        if name not in {one.name for one in model.inputs}:
            raise BridgeError(f"feed: {close_match('Input', name, [one.name for one in model.inputs])}")
    chosen = {}
    for one in model.inputs:
        columns = feed.get(one.name, one.name)
        columns = (columns,) if isinstance(columns, str) else tuple(columns)
        for column in columns:
            _check_type(field(schema, column, f"input {one.name!r} of {model.name}"), one)
        chosen[one.name] = columns
    return chosen


def field(schema: StructType, name: str, needed_by: str) -> StructField:
    """The field of that name. Raises BridgeError with close matches."""
    if name not in schema.names:
        raise BridgeError(f"{close_match('Column', name, schema.names)} It is needed for {needed_by}.")
    return schema[name]


def _check_type(given: StructField, tensor: Tensor) -> None:
    wanted = tensors.numpy_type(tensor.type)
    held = _element(given.dataType)
    if wanted is not None and held in _NUMPY and wanted.kind in "biuf":
        if np.can_cast(np.dtype(_NUMPY[held]), wanted, "safe"):
            return
    elif wanted == np.dtype(object) and held in _TEXTS:
        return
    raise BridgeError(
        f"Column {given.name!r} is {given.dataType.simpleString()}, and input {tensor.name!r} wants "
        f"{tensors.type_name(tensor.type)}, which does not hold all its values. Cast it where that is meant: "
        f"frame.withColumn({given.name!r}, col({given.name!r}).cast(...))."
    )


def _element(kind: DataType) -> str:
    from pyspark.sql.types import ArrayType

    while isinstance(kind, ArrayType):
        kind = kind.elementType
    return kind.simpleString()


def check_features(features: Iterable[Feature], schema: StructType, model: str) -> None:
    """Whether the columns can be a model's features: every required one is there, and each of its kind.

    Numbers become the feature's kind as our ExampleGens make them: fractions are 32 bits, whole numbers may be
    fractions, but not the other way round. Raises BridgeError.
    """
    for feature in features:
        if feature.name not in schema.names and not feature.required:
            continue
        given = field(schema, feature.name, f"a feature of {model}")
        held = _element(given.dataType)
        whole = held in ("boolean", "tinyint", "smallint", "int", "bigint")
        fits = (
            held in _TEXTS
            if feature.kind == BYTES
            else whole or (feature.kind == FLOAT and held in ("float", "double"))
        )
        if not fits:
            raise BridgeError(
                f"Column {feature.name!r} is {given.dataType.simpleString()}, and {model} wants {feature.kind}s for "
                "that feature. Read or cast it as such."
            )


def fields_of(model: ModelAt) -> list[StructField]:
    """A column for each output: as many arrays around its type as it has dimensions after the rows."""
    from pyspark.sql.types import ArrayType, StructField

    fields = []
    for one in model.outputs:
        if one.shape is None or len(one.shape) == 0:
            raise BridgeError(
                f"Output {one.name!r} of {model.path} does not have a row for each row (its shape is "
                f"{'unknown' if one.shape is None else '[]'}). Name what each row gets: outputs='{one.name} float'."
            )
        kind = _spark_type(tensors.numpy_type(one.type), one.name)
        for _ in one.shape[1:]:
            kind = ArrayType(kind, containsNull=False)
        fields.append(StructField(one.name, kind, nullable=False))
    return fields


def _spark_type(kind: Any, name: str) -> DataType:
    from pyspark.sql import types

    if kind is not None and kind == np.dtype(object):
        return types.BinaryType()
    key = "" if kind is None else f"{kind.kind}{kind.itemsize}" if kind.kind != "V" else "f2"
    if key not in _SPARK:
        raise BridgeError(
            f"Output {name!r} is {kind}, which no Spark column holds. Cast it inside the model."
        )
    return getattr(types, f"{_SPARK[key].capitalize()}Type")()


def guessed_fields(results: Mapping[str, Any], rows: int) -> list[StructField]:
    """The columns of what a function gave for some rows of its own, `rows` of them. Raises BridgeError."""
    from pyspark.sql.types import ArrayType, StringType, StructField

    fields = []
    for name, values in results.items():
        array = np.asarray(values)
        if array.ndim == 0:
            raise BridgeError(
                f"Result {name!r} of the function has no rows; expected one for each of {rows}."
            )
        if array.dtype.kind == "U" or (array.dtype == object and rows and isinstance(array.flat[0], str)):
            kind: DataType = StringType()
        else:
            kind = _spark_type(np.dtype(object) if array.dtype.kind in "SO" else array.dtype, name)
        for _ in array.shape[1:]:
            kind = ArrayType(kind, containsNull=False)
        fields.append(StructField(name, kind))
    return fields


def check_no_overwriting(fields: Iterable[StructField], schema: StructType) -> None:
    """Raises BridgeError for a result that is called like a column that stays."""
    twice = [one.name for one in fields if one.name.lower() in {name.lower() for name in schema.names}]
    if twice:
        raise BridgeError(
            f"The result {twice[0]!r} would overwrite the column of that name. Rename one "
            f"(frame.withColumnRenamed({twice[0]!r}, ...)), or keep results only (trim=True)."
        )


def text_fields(*names: str) -> list[StructField]:
    """Columns that are added under these names, for `check_no_overwriting`."""
    from pyspark.sql.types import StringType, StructField

    return [StructField(name, StringType()) for name in names]
