"""Signatures beside `serve_examples`: rows by feature name, Classify and Regress.

`serve_rows` takes each raw feature as [n] under its own name and type. A feature that the schema lets be absent has a
default (SignatureDef's own field), which stands for "missing": NaN, the empty text, or the least integer. A client may
leave such an input out, or send the default in the rows that lack the value. TensorFlow renames arguments that are
no identifiers and writes every method as Predict, so `finish` puts both right in the SavedModel.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base import whole

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_transform as tft

ROWS, CLASSIFY, REGRESS, LABELS = "serve_rows", "classify", "regress", "labels"
METHODS = {CLASSIFY: "tensorflow/serving/classify", REGRESS: "tensorflow/serving/regress"}
LEAST = -(2**63)

Outputs = Callable[[dict[str, Any]], Mapping[str, Any]]


def rows_signature(
    outputs: Outputs, transformed: tft.TFTransformOutput, model: Any, label_keys: Sequence[str] = ()
) -> Any:
    """A signature from raw features by name, [n] each, to `outputs(transformed features)`, with Transform inside.

    `label_keys` are raw features that a client does not send. `finish` must be called on the exported folder.
    `outputs` is traced as in `training.examples_signature`.
    """
    import tensorflow as tf

    if not hasattr(model, "tft_layer"):
        model.tft_layer = transformed.transform_features_layer()
    spec = _sent(transformed, label_keys)

    @tf.function(autograph=False)
    def serve_rows(**columns: tf.Tensor) -> Mapping[str, tf.Tensor]:
        given = list(columns.values())
        rows = tf.reduce_max(tf.stack([tf.size(column) for column in given]))
        raw = {
            name: _as_parsed(tf.broadcast_to(columns[argument], [rows]), spec[name])
            for name, argument in _arguments(spec).items()
        }
        return outputs(model.tft_layer(raw))

    return serve_rows.get_concrete_function(
        **{
            argument: tf.TensorSpec([None], spec[name].dtype, name=argument)
            for name, argument in _arguments(spec).items()
        }
    )


def classify_signature(
    serve_examples: Callable[[Any], Mapping[str, Any]], probabilities: str, classes: Sequence[str]
) -> Any:
    """For Classify: serialized tf.Examples -> `classes` [n, k] and `scores` [n, k].

    `probabilities` names an output of `serve_examples`: [n, k], or [n] for the second of two classes.
    """
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")], autograph=False)
    def classify(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = serve_examples(inputs)[probabilities]
        if scores.shape.rank == 1:
            scores = tf.stack([1.0 - scores, scores], axis=1)
        names = tf.repeat(tf.constant([list(classes)]), tf.shape(scores)[0], axis=0)
        return {"classes": names, "scores": scores}

    return classify


def regress_signature(serve_examples: Callable[[Any], Mapping[str, Any]], prediction: str) -> Any:
    """For Regress: serialized tf.Examples -> `outputs` [n], the output `prediction` of `serve_examples`."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")], autograph=False)
    def regress(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"outputs": serve_examples(inputs)[prediction]}

    return regress


def labels_signature(transformed: tft.TFTransformOutput, model: Any, label_key: str, output: str) -> Any:
    """For the Evaluator and reports: serialized tf.Examples -> the transformed label [n] as `output`."""
    import tensorflow as tf

    spec = transformed.raw_feature_spec()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")], autograph=False)
    def labels(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {output: model.tft_layer(tf.io.parse_example(examples, spec))[label_key][:, 0]}

    return labels


def finish(folder: Path, transformed: tft.TFTransformOutput, label_keys: Sequence[str] = ()) -> None:
    """Gives the SavedModel's `serve_rows` its names and defaults, `classify` and `regress` their methods."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    spec = _sent(transformed, label_keys)
    file = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for graph in model.meta_graphs:
        for name, method in METHODS.items():
            if name in graph.signature_def:
                graph.signature_def[name].method_name = method
        if ROWS not in graph.signature_def:
            continue
        signature = graph.signature_def[ROWS]
        infos = {name: signature.inputs[argument] for name, argument in _arguments(spec).items()}
        kept = {name: type(info).FromString(info.SerializeToString()) for name, info in infos.items()}
        signature.inputs.clear()
        for name, info in kept.items():
            signature.inputs[name].CopyFrom(info)
            if isinstance(spec[name], tf.io.VarLenFeature):
                missing = tf.make_tensor_proto([missing_value(spec[name].dtype)], spec[name].dtype)
                signature.defaults[name].CopyFrom(missing)
    whole.write(file, model.SerializeToString(deterministic=True))


def missing_value(dtype: tf.DType) -> float | int | bytes:
    """What stands for a missing value of a raw feature's type."""
    if dtype.is_floating:
        return math.nan
    return LEAST if dtype.is_integer else b""


def _sent(transformed: tft.TFTransformOutput, label_keys: Sequence[str]) -> dict[str, Any]:
    return {name: spec for name, spec in transformed.raw_feature_spec().items() if name not in label_keys}


def _arguments(spec: Mapping[str, Any]) -> dict[str, str]:
    """Raw feature -> an argument's name, by place where the feature's own is no identifier that TensorFlow takes."""
    return {
        name: name if re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", name) else f"feature_{place}_"
        for place, name in enumerate(sorted(spec))
    }


def _as_parsed(column: tf.Tensor, spec: Any) -> Any:
    """[n] values as tf.io.parse_example gives them: dense [n, 1], or sparse without the missing ones."""
    import tensorflow as tf

    if not isinstance(spec, tf.io.VarLenFeature):
        return tf.reshape(column, [-1, *spec.shape])
    if column.dtype.is_floating:
        present = tf.logical_not(tf.math.is_nan(column))
    else:
        present = column != missing_value(column.dtype)
    rows = tf.where(present)
    indices = tf.concat([rows, tf.zeros_like(rows)], axis=1)
    shape = tf.stack([tf.size(column, tf.int64), tf.constant(1, tf.int64)])
    return tf.SparseTensor(indices, tf.boolean_mask(column, present), shape)
