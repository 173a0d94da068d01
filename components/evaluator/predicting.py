"""Asks the models: each signature once per batch of raw records, every model on the same batch.

Rows are read once. What TFMA gives a model that takes serialized examples is what it gets here; models that take
features by name, Keras models with metrics of their own and labels of many values are NotProven.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.utils import model_util

from components import finite
from components.columns.reading import records_of
from components.evaluator.measuring.rows import NotProven, Rows
from components.evaluator.measuring.slicing import Slicer

# Rows asked at once. More gain nothing, and rows can be pictures.
BATCH = 1024
# A Keras model brings the metrics it was compiled with; the file tells one from a plain SavedModel.
KERAS_FILE = "keras_metadata.pb"
TRANSFORMED = ("transformed_features", "transformed_labels")


@dataclass(frozen=True)
class Asked:
    """A loaded model under the name TFMA gives it, with what its ModelSpec says."""

    name: str
    model: Any
    spec: config_pb2.ModelSpec

    @property
    def signature(self) -> Callable[..., Any]:
        return _of_examples(self.model, self.spec.signature_name or None)

    @property
    def preprocessing(self) -> list[Callable[..., Any]]:
        named = list(self.spec.preprocessing_function_names)
        if any("@" in name for name in named):
            raise NotProven("a preprocessing function of TFMA's own")
        found = [name for name in named or TRANSFORMED if named or name in self.model.signatures]
        return [_of_examples(self.model, name) for name in found]


def _of_examples(model: Any, name: str | None) -> Callable[..., Any]:
    """The signature `name`. Raises NotProven unless it takes serialized examples and nothing else."""
    import tensorflow as tf

    specs = model_util.get_input_specs(model, name, required=True) or {}
    kinds = [spec.dtype for spec in specs.values()]
    if kinds != [tf.string]:
        raise NotProven(f"signature {name!r} takes {sorted(specs)}, not serialized examples")
    called = model_util.get_callable(model, name, required=True)
    return lambda examples: called(**{next(iter(specs)): examples})


def load(path: str, spec: config_pb2.ModelSpec) -> Any:
    """The SavedModel. Raises NotProven for Keras models, and for kinds of models that are no SavedModels."""
    import tensorflow as tf

    if spec.model_type not in ("", "tf_generic") or (Path(path) / KERAS_FILE).exists():
        raise NotProven(f"a model of type {spec.model_type or 'tf_keras'}")
    return tf.saved_model.load(path)


def ask(
    files: Sequence[str],
    asked: Sequence[Asked],
    config: config_pb2.EvalConfig,
    schema: schema_pb2.Schema | None,
) -> Rows:
    """Labels, predictions, weights and slices of all rows of gz TFRecord `files`.

    Raises ProjectError with the number of rows if the candidate's predictions are not finite, DamagedRecords for files
    that are cut off.
    """
    import tensorflow as tf

    reader = Features(config, schema)
    slicer = Slicer(config.slicing_specs)
    labels: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    predicted: dict[str, list[np.ndarray]] = {one.name: [] for one in asked}
    calls = [(one, one.signature, one.preprocessing) for one in asked]
    bad = count = 0
    for records in _records(files):
        batch, raw = tf.constant(records), reader.decode(records)
        transformed = []
        for one, signature, preprocessing in calls:
            made: dict[str, np.ndarray] = {}
            for function in preprocessing:
                made |= {name: value.numpy() for name, value in function(batch).items()}
            transformed.append(made)
            answer = prediction(signature(batch), one.spec.prediction_key)
            if not one.spec.is_baseline:
                bad += int(finite.bad_rows(answer).sum())
            predicted[one.name].append(_with_zeros(answer))
        count += len(records)
        slicer.add(len(records), transformed, raw)
        labels.append(reader.label(transformed, raw))
        if reader.weight_key:
            weights.append(reader.column(reader.weight_key, transformed, raw))
    finite.refuse(bad, count)
    if not count:
        raise NotProven("a split without rows")
    given = {name: np.concatenate(parts) for name, parts in predicted.items()}
    if reader.label_is_raw and reader.sparse_label and any(values.ndim > 1 for values in given.values()):
        raise NotProven("a label without a shape in the schema, for a model with several classes")
    return Rows(
        np.concatenate(labels),
        given,
        slicer.finish(),
        np.concatenate(weights) if weights else None,
        tuple(files),
    )


def _records(files: Sequence[str]) -> Iterator[list[bytes]]:
    for file in files:
        yield from records_of(file, BATCH)


def _with_zeros(values: np.ndarray) -> np.ndarray:
    """As on Beam: the run comes to its end, where the rows that are not finite are counted."""
    if values.dtype.kind != "f":
        return values
    return np.where(np.isfinite(values), values, values.dtype.type(0))


def prediction(outputs: Any, key: str) -> np.ndarray:
    """[n] or [n, k] of a signature's outputs, chosen as TFMA chooses. Raises NotProven where it would look on."""
    if isinstance(outputs, Mapping):
        if "all_classes" in outputs or ("scores" in outputs and "classes" in outputs):
            raise NotProven("a vocabulary of classes among the outputs")
        if len(outputs) == 1:
            # TFMA takes a single output as it is, whatever its name.
            outputs = next(iter(outputs.values()))
        elif key in outputs:
            outputs = outputs[key]
        else:
            raise NotProven(f"outputs {sorted(outputs)} without {key!r}")
    values = outputs.numpy() if hasattr(outputs, "numpy") else np.asarray(outputs)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim > 2 or values.dtype.kind not in "fiu":
        raise NotProven(f"predictions of shape {values.shape} and type {values.dtype}")
    return values


class Features:
    """The raw features that labels, weights and slices need, decoded from records, and nothing else."""

    def __init__(self, config: config_pb2.EvalConfig, schema: schema_pb2.Schema | None) -> None:
        from tfx_bsl.coders import example_coder

        def one(values: set[str]) -> str:
            if len(values) > 1:
                raise NotProven("models with different labels or weights")
            return next(iter(values), "")

        if any(s.label_keys or s.example_weight_keys or s.prediction_keys for s in config.model_specs):
            raise NotProven("a model with several outputs")
        self.label_key = one({spec.label_key for spec in config.model_specs})
        self.weight_key = one({spec.example_weight_key for spec in config.model_specs})
        if not self.label_key:
            raise NotProven("no label")
        wanted = {self.label_key, self.weight_key, *Slicer(config.slicing_specs).columns} - {""}
        self.sparse_label = schema is None or not _dense(schema, self.label_key)
        self.label_is_raw = True
        self._wanted = wanted
        self._decoder: Any = None
        if schema is None:
            self._decoder = example_coder.ExamplesToRecordBatchDecoder()
        else:
            # TFXIO knows the schema's features only.
            part = schema_pb2.Schema(feature=[f for f in schema.feature if f.name in wanted])
            if part.feature:
                self._decoder = example_coder.ExamplesToRecordBatchDecoder(part.SerializeToString())

    def decode(self, examples: list[bytes]) -> dict[str, Any]:
        """The columns that are in the records; none where the model's preprocessing makes all that is wanted."""
        if self._decoder is None:
            return {}
        batch = self._decoder.DecodeBatch(examples)
        return {name: batch.column(i) for i, name in enumerate(batch.schema.names) if name in self._wanted}

    def label(self, transformed: Sequence[Mapping[str, Any]], raw: Mapping[str, Any]) -> np.ndarray:
        self.label_is_raw = not any(self.label_key in made for made in transformed)
        return self.column(self.label_key, transformed, raw)

    def column(
        self, name: str, transformed: Sequence[Mapping[str, Any]], raw: Mapping[str, Any]
    ) -> np.ndarray:
        """[n] or [n, k] numbers of a feature; NotProven where a row has none, or rows have different counts."""
        import pyarrow as pa

        if any(name in made for made in transformed):
            if len({name in made for made in transformed}) > 1:
                raise NotProven(f"{name!r} made by one of two models")
            values = np.asarray(transformed[0][name])
            if any(not np.array_equal(values, made[name]) for made in transformed[1:]):
                raise NotProven(f"{name!r} made by two models, and not the same")
        else:
            column = raw.get(name)
            if column is None or pa.types.is_null(column.type) or column.null_count:
                raise NotProven(f"rows without {name!r}")
            lengths = np.diff(np.asarray(column.offsets))
            if not len(lengths) or (lengths != lengths[0]).any() or lengths[0] == 0:
                raise NotProven(f"rows with different numbers of values of {name!r}")
            values = np.asarray(column.flatten()).reshape(len(column), -1)
        if values.dtype.kind not in "fiu" or values.ndim > 2:
            raise NotProven(f"{name!r} is of type {values.dtype}")
        return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _dense(schema: schema_pb2.Schema, name: str) -> bool:
    """Whether TFXIO makes a dense tensor of a feature: it has a shape, or a representation that says so."""
    for group in schema.tensor_representation_group.values():
        if name in group.tensor_representation:
            return group.tensor_representation[name].WhichOneof("kind") == "dense_tensor"
    return any(feature.name == name and feature.HasField("shape") for feature in schema.feature)
