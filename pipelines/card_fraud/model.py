"""An autoencoder fitted to normal transactions, and the threshold on its reconstruction error.

The error of a row is the mean over columns of |rebuilt - given|^3 in units of what is already rare for that
column among normal rows, so that columns with heavy tails do not drown the others; the cube lets a few columns
that are far off outweigh many that are a little off. The threshold comes from
the `tune` split, which neither the fit nor the Evaluator sees. Labels enter the fit
only by leaving frauds out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.base import training
from pipelines.card_fraud.features import INPUTS_KEY, LABEL_KEY, SCORED, WIDTH, slice_features

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

# A column's unit: the size of error that one normal row in a thousand exceeds.
RARE = 0.999
TUNING_FILE = "tuning.json"


def build_model(parameters: dict[str, Any]) -> keras.Model:
    """The autoencoder [n, 31] -> [n, 31] with `parameters["code"]` numbers in the middle, compiled."""
    import tf_keras as keras

    given = keras.Input((WIDTH,), name=INPUTS_KEY)
    hidden = keras.layers.Dense(parameters["hidden"], "tanh")(given)
    code = keras.layers.Dense(parameters["code"], "tanh", name="code")(hidden)
    hidden = keras.layers.Dense(parameters["hidden"], "tanh")(code)
    model = keras.Model(given, keras.layers.Dense(WIDTH, name="rebuilt")(hidden), name="autoencoder")
    schedule = keras.optimizers.schedules.CosineDecay(
        parameters["learning_rate"], max(1, parameters.get("steps", 4000))
    )
    # Huber: the few normal rows that are far out must not bend the fit.
    model.compile(keras.optimizers.Adam(schedule), keras.losses.Huber(1.0))
    return model


def make_detector(autoencoder: keras.Model, unit: np.ndarray, threshold: float) -> tf.Module:
    """A module `inputs [n, 31] -> {score, is_fraud, error, threshold}`, each [n].

    `unit` [29] divides the error of each scored column; `score` is error / (error + threshold), so 0.5 is the
    threshold, 0 a perfect reconstruction and 1 the limit of a hopeless one.
    """
    import tensorflow as tf

    class Detector(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="detector")
            self.autoencoder = autoencoder
            self.unit = tf.Variable(unit, dtype=tf.float32, trainable=False, name="unit")
            self.threshold = tf.Variable(threshold, dtype=tf.float32, trainable=False, name="threshold")

        def error(self, inputs: tf.Tensor) -> tf.Tensor:
            residual = (self.autoencoder(inputs, training=False) - inputs)[:, :SCORED] / self.unit
            return tf.reduce_mean(tf.abs(residual) ** 3, axis=1)

        def __call__(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            error = self.error(inputs)
            score = error / (error + self.threshold)
            return {
                "score": score,
                "is_fraud": tf.cast(error >= self.threshold, tf.int64),
                "error": error,
                "threshold": tf.fill(tf.shape(error), self.threshold),
            }

    return Detector()


def column_units(residuals: np.ndarray) -> np.ndarray:
    """[columns]: the RARE quantile of |residual| over rows [n, columns]; never zero."""
    return np.maximum(np.quantile(np.abs(residuals), RARE, axis=0), 1e-6).astype(np.float32)


def choose_threshold(
    errors: np.ndarray, labels: np.ndarray, wanted_recall: float, false_alarms: float
) -> float:
    """The highest threshold that reaches `wanted_recall`, raised until `false_alarms` of normals are flagged.

    The budget comes second because a few dozen frauds place a recall to a few points only, while thousands of
    normal rows place the rate of false alarms well. Raises ValueError without a row of each class.
    """
    frauds, normals = errors[labels == 1], errors[labels == 0]
    if not len(frauds) or not len(normals):
        raise ValueError(
            f"The tune split has {len(frauds)} frauds and {len(normals)} normal rows; a threshold needs "
            "both: use more data, or data with labelled frauds."
        )
    for_recall = np.quantile(frauds, 1.0 - wanted_recall, method="lower")
    for_budget = np.quantile(normals, 1.0 - false_alarms, method="higher")
    return float(max(for_recall, for_budget))


def run_fn(fn_args: Any) -> None:
    """Fits the autoencoder to the training split's normal rows, sets units and threshold, exports."""
    import tensorflow as tf
    import tensorflow_transform as tft
    import tf_keras as keras

    keras.utils.set_random_seed(1)
    transformed = tft.TFTransformOutput(fn_args.transform_output)
    spec = transformed.transformed_feature_spec()
    parameters = training.parameters(fn_args)
    batch = parameters["batch_size"]
    rows = training.dataset(fn_args.train_files, spec, LABEL_KEY, 4096)
    steps = sum(int(tf.math.ceil(len(labels) / batch)) for _, labels in rows)
    model = build_model({**parameters, "steps": steps * parameters["epochs"]})
    train = training.dataset(fn_args.train_files, spec, LABEL_KEY, batch, shuffle=50_000).map(_normal_pairs)
    tune = training.dataset(fn_args.eval_files, spec, LABEL_KEY, 4096)
    history = training.fit(model, fn_args, train, tune.map(_normal_pairs), parameters["epochs"])

    unit = column_units(_residuals(model, rows.map(_normal_pairs)))
    detector = make_detector(model, unit, 1.0)
    scored = [(detector.error(x[INPUTS_KEY]).numpy(), y.numpy().ravel()) for x, y in tune]
    errors, labels = (np.concatenate(part) for part in zip(*scored, strict=True))
    threshold = choose_threshold(errors, labels, parameters["wanted_recall"], parameters["false_alarms"])
    detector.threshold.assign(threshold)
    _write_tuning(Path(fn_args.model_run_dir), errors, labels, threshold, history.history)
    training.export(detector, fn_args, signatures(detector, transformed))


def signatures(detector: tf.Module, transformed: Any) -> dict[str, Any]:
    """`serving_default` and `serve_examples`: serialized tf.Examples [n] -> outputs; and `slice_features`."""
    import tensorflow as tf

    serve = training.examples_signature(
        lambda features: detector(features[INPUTS_KEY]), transformed, detector, label_keys=[LABEL_KEY]
    )
    raw_spec = {k: v for k, v in transformed.raw_feature_spec().items() if k != LABEL_KEY}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def slices(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return slice_features(tf.io.parse_example(examples, raw_spec))

    return {"serving_default": serve, "serve_examples": serve, "slice_features": slices}


def _normal_pairs(features: dict[str, tf.Tensor], labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    import tensorflow as tf

    normal = tf.boolean_mask(features[INPUTS_KEY], tf.reshape(labels, [-1]) == 0)
    return normal, normal


def _residuals(model: keras.Model, pairs: tf.data.Dataset) -> np.ndarray:
    return np.concatenate([(model(x, training=False) - y).numpy()[:, :SCORED] for x, y in pairs])


def _write_tuning(
    folder: Path, errors: np.ndarray, labels: np.ndarray, threshold: float, history: dict[str, Any]
) -> None:
    """What the report and a curious person want to know about the threshold, next to the TensorBoard logs."""
    folder.mkdir(parents=True, exist_ok=True)
    flagged = errors >= threshold
    facts = {
        "threshold": threshold,
        "tune_rows": len(labels),
        "tune_frauds": int(labels.sum()),
        "tune_recall": float(flagged[labels == 1].mean()),
        "tune_false_alarms": float(flagged[labels == 0].mean()),
        "history": {key: [float(v) for v in values] for key, values in history.items()},
    }
    (folder / TUNING_FILE).write_text(json.dumps(facts, indent=1), encoding="utf-8")
