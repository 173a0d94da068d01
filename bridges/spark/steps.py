"""What one block goes through: a model's signature or a function, with the columns it reads and the fields it gives.

Steps are made on the driver, where all that can be checked is checked, and pickled to the workers: a model as a path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bridges.errors import BridgeError
from bridges.examples import encoding
from bridges.examples.parsing import Feature
from bridges.spark import checking, models, tensors
from bridges.spark.models import ModelAt
from pipelines.base.errors import ViaductError
from serving.errors import ServingError
from serving.wire import tensors as wire

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import StructField, StructType

    from serving.wire.arrays import Array

Runner = Callable[["pa.RecordBatch"], Mapping[str, Any]]
_TRIED_ROWS = 1


@dataclass(frozen=True)
class Step:
    """`run` turns a block into arrays by name; `columns` are what it reads, `fields` what it gives."""

    columns: tuple[str, ...]
    fields: tuple[StructField, ...]
    run: Runner

    def arrow_types(self) -> list[pa.DataType]:
        from pyspark.sql.pandas.types import to_arrow_type

        return [to_arrow_type(field.dataType) for field in self.fields]


def step_of(
    work: Any,
    schema: StructType,
    feed: dict[str, str | Sequence[str]],
    outputs: str | None,
    by_rows: bool = False,
) -> Step:
    """The step for `map_blocks` or `map_rows` (`by_rows`). Raises BridgeError."""
    declared = declared_fields(outputs)
    if callable(work):
        return _function_step(work, schema, feed, declared, by_rows)
    model = work if isinstance(work, ModelAt) else models.find(work)
    fields = tuple(declared or checking.fields_of(model))
    known = [one.name for one in model.outputs]
    for field in fields:
        checking.field(_named(known), field.name, f"outputs={outputs!r} of {model.name}")
    wanted = tuple(field.name for field in fields)
    if model.features is not None and not feed and model.inputs[0].name not in schema.names:
        checking.check_features(model.features, schema, model.name)
        features = tuple(one for one in model.features if one.name in schema.names)
        run: Runner = ExamplesRun(model, features, wanted)
        return Step(tuple(one.name for one in features), fields, ByRows(run) if by_rows else run)
    fed = checking.feed_of(model, feed, schema)
    run = ModelRun(model, tuple(fed.items()), wanted)
    columns = tuple(dict.fromkeys(name for names in fed.values() for name in names))
    return Step(columns, fields, ByRows(run) if by_rows else run)


def _named(names: Iterable[str]) -> StructType:
    from pyspark.sql.types import LongType, StructField, StructType

    return StructType([StructField(name, LongType()) for name in names])


def declared_fields(outputs: str | None) -> list[StructField]:
    from pyspark.errors import PySparkException
    from pyspark.sql.types import StructType, _parse_datatype_string

    if outputs is None:
        return []
    try:
        kind = _parse_datatype_string(outputs)
    except PySparkException as error:
        raise BridgeError(f"outputs={outputs!r} is not understood: {f'{error}'.splitlines()[0]}") from None
    if not isinstance(kind, StructType) or not kind.fields:
        raise BridgeError(
            f"outputs={outputs!r}; expected names and types, such as 'score float, words array<string>'."
        )
    return list(kind.fields)


@dataclass(frozen=True)
class ModelRun:
    """A signature over tensors, fed from columns."""

    model: ModelAt
    feed: tuple[tuple[str, tuple[str, ...]], ...]
    wanted: tuple[str, ...]

    def __call__(self, block: pa.RecordBatch) -> Mapping[str, Any]:
        known = {one.name: one for one in self.model.inputs}
        inputs = {}
        for name, columns in self.feed:
            kind = wire.numpy_type(known[name].type)
            assert kind is not None
            pairs = [(column, block.column(block.schema.get_field_index(column))) for column in columns]
            inputs[name] = tensors.fed(pairs, kind, known[name].shape, name)
        return _called(self.model, inputs, self.wanted)


@dataclass(frozen=True)
class ExamplesRun:
    """A signature over serialized tf.Examples, made of the columns that it parses."""

    model: ModelAt
    features: tuple[Feature, ...]
    wanted: tuple[str, ...]

    def __call__(self, block: pa.RecordBatch) -> Mapping[str, Any]:
        columns = {one.name: block.column(block.schema.get_field_index(one.name)) for one in self.features}
        for one in self.features:
            if one.required and columns[one.name].null_count:
                place = columns[one.name].is_null().index(True).as_py()
                raise BridgeError(
                    f"Column {one.name!r} has {columns[one.name].null_count} missing values in a block (the first at "
                    f"its row {place}), and {self.model.name} cannot do without that feature. Fill or drop them first."
                )
        return _called(
            self.model, {self.model.inputs[0].name: encoding.encode(columns, self.features)}, self.wanted
        )


def _called(model: ModelAt, inputs: dict[str, Array], wanted: tuple[str, ...]) -> Mapping[str, Any]:
    signature = models.loaded(model)
    try:
        return signature.run(inputs, wanted)
    except ServingError as error:
        raise BridgeError(f"{model.name} version {model.version} refused a block: {error}") from None


@dataclass(frozen=True)
class FunctionRun:
    """A user's function over arrays by the names that `feed` gives them."""

    function: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    feed: tuple[tuple[str, str], ...]

    def __call__(self, block: pa.RecordBatch) -> Mapping[str, Any]:
        given = {
            name: tensors.array_of(block.column(block.schema.get_field_index(column)), column)
            for name, column in self.feed
        }
        return _mapping(self.function(given))


def _mapping(results: Any) -> Mapping[str, Any]:
    if not isinstance(results, Mapping):
        raise BridgeError(
            f"The function gave {type(results).__name__}; expected results by name, as {{'score': array}}."
        )
    return results


@dataclass(frozen=True)
class ByRows:
    """A model's step, a row at a time."""

    run: Runner

    def __call__(self, block: pa.RecordBatch) -> Mapping[str, Any]:
        answers = [self.run(block.slice(row, 1)) for row in range(block.num_rows)]
        return {name: _stacked([answer[name][0] for answer in answers]) for name in answers[0]}


@dataclass(frozen=True)
class RowFunction:
    """A function of one row as a function of a block."""

    function: Callable[[Mapping[str, Any]], Mapping[str, Any]]

    def __call__(self, block: Mapping[str, Any]) -> Mapping[str, Any]:
        rows = len(next(iter(block.values())))
        answers = [
            _mapping(self.function({name: values[row] for name, values in block.items()}))
            for row in range(rows)
        ]
        return {name: _stacked([answer[name] for answer in answers]) for name in answers[0]}


def _stacked(values: list[Any]) -> Array:
    """Equal shapes as one array; else, and for texts, an array of objects."""
    first = values[0]
    alike = not isinstance(first, (str, bytes)) and len({np.shape(value) for value in values}) == 1
    if alike:
        return np.stack([np.asarray(value) for value in values])
    stacked = np.empty(len(values), object)
    stacked[:] = values
    return stacked


def _function_step(
    function: Any,
    schema: StructType,
    feed: dict[str, str | Sequence[str]],
    declared: list[StructField],
    by_rows: bool,
) -> Step:
    pairs = []
    for name, column in (feed or {name: name for name in schema.names}).items():
        if not isinstance(column, str):
            raise BridgeError(f"feed: {name!r} is {column!r}; a function is fed one column a name.")
        checking.field(schema, column, f"the function's {name!r}")
        pairs.append((name, column))
    run = FunctionRun(RowFunction(function) if by_rows else function, tuple(pairs))
    fields = declared or _tried(run, schema)
    return Step(tuple(column for _, column in pairs), tuple(fields), run)


def _tried(run: FunctionRun, schema: StructType) -> list[StructField]:
    """The fields that the function gives for a few rows of ones and short texts."""
    block = made_up(schema, [column for _, column in run.feed])
    try:
        return checking.guessed_fields(run(block), block.num_rows)
    except ViaductError:
        raise
    except Exception as error:
        raise BridgeError(
            f"The function failed on {block.num_rows} made-up row ({type(error).__name__}: {error}), so the types of "
            "its results are not known. Name them: outputs='score float, ...'."
        ) from error


def made_up(schema: StructType, columns: Iterable[str]) -> pa.RecordBatch:
    """A few rows of these columns. Raises BridgeError for types that are no arrays (dates, decimals, maps, ...)."""
    import pyarrow as pa
    from pyspark.sql.types import ArrayType, BinaryType, BooleanType, NumericType, StringType

    def value(kind: Any, name: str) -> Any:
        if isinstance(kind, ArrayType):
            return [value(kind.elementType, name)] * 2
        if isinstance(kind, (StringType, BinaryType)):
            return "a" if isinstance(kind, StringType) else b"a"
        if isinstance(kind, (BooleanType, NumericType)) and "decimal" not in kind.simpleString():
            return kind.fromInternal(1)
        raise BridgeError(
            f"Column {name!r} is {kind.simpleString()}, which is no array of numbers or texts. Leave it out of `feed`, "
            "or cast it."
        )

    from pyspark.sql.pandas.types import to_arrow_type

    chosen = list(dict.fromkeys(columns))
    arrays = [
        pa.array([value(schema[name].dataType, name)] * _TRIED_ROWS, to_arrow_type(schema[name].dataType))
        for name in chosen
    ]
    return pa.RecordBatch.from_arrays(arrays, chosen)
