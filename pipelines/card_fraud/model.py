"""An autoencoder fitted to normal transactions, made a detector with what the `tune` split says; or boosted trees.

Frauds are left out of the autoencoder's fit. detector.py turns reconstruction errors into one score and a threshold,
boosting.py the odds that trees see; this module fits, calls them and exports.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.base import training
from pipelines.base.tabular import signatures as served_as
from pipelines.card_fraud import boosting
from pipelines.card_fraud import detector as detecting
from pipelines.card_fraud.features import INPUTS_KEY, LABEL_KEY, SCORED, WIDTH, slice_features

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

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


def run_fn(fn_args: Any) -> None:
    """Fits the variant's model to the training split, tunes its detector, exports it."""
    run = training.Run.of(fn_args, seed=1)
    if run.parameters["variant"] == boosting.BOOSTED:
        detector, facts = fit_trees(fn_args, run)
    else:
        detector, facts = fit_autoencoder(fn_args, run)
    (run.folder / TUNING_FILE).write_text(json.dumps(facts, indent=1), encoding="utf-8")
    training.export(
        detector,
        fn_args,
        signatures(detector, run.transformed),
        finish=lambda folder: served_as.finish(folder, run.transformed, [LABEL_KEY]),
    )


def fit_trees(fn_args: Any, run: training.Run) -> tuple[Any, dict[str, Any]]:
    """The tuned detector of trees, and facts about its tuning."""
    train, tune = (
        training.dataset(files, run.spec, LABEL_KEY, 4096)
        for files in (fn_args.train_files, fn_args.eval_files)
    )
    return boosting.tuned(boosting.grow(run.parameters, train, tune), tune, run.parameters)


def fit_autoencoder(fn_args: Any, run: training.Run) -> tuple[Any, dict[str, Any]]:
    """The autoencoder, fitted to normal rows, as a tuned detector, and facts about its tuning."""
    parameters, spec = run.parameters, run.spec
    batch = parameters["batch_size"]
    rows = training.dataset(fn_args.train_files, spec, LABEL_KEY, 4096)
    steps = sum(-(-len(labels) // batch) for _, labels in rows)
    model = build_model({**parameters, "steps": steps * parameters["epochs"]})
    train = normals(training.dataset(fn_args.train_files, spec, LABEL_KEY, batch, shuffle=50_000))
    tune = training.dataset(fn_args.eval_files, spec, LABEL_KEY, 4096)
    history = training.fit(model, fn_args, train, normals(tune), parameters["epochs"])

    detector, facts = tuned_detector(model, _residuals(model, rows), _residuals(model, tune), parameters)
    facts["final_loss"] = history.history.get("loss", [None])[-1]
    return detector, facts


def tuned_detector(
    model: keras.Model,
    fitted: tuple[np.ndarray, np.ndarray],
    held_out: tuple[np.ndarray, np.ndarray],
    parameters: dict[str, Any],
) -> tuple[Any, dict[str, Any]]:
    """The detector, and facts about its tuning for people.

    `fitted` and `held_out` are (residuals [n, 29], labels [n]) of the train and the tune split. Units come from
    fitted normals, weights from held-out rows, the threshold from held-out frauds and all these normals. Raises
    ValueError if the held-out rows lack a class.
    """
    (residuals, labels), (held_residuals, held_labels) = fitted, held_out
    frauds = int(held_labels.sum())
    if frauds in (0, len(held_labels)):
        raise ValueError(
            f"The tune split has {frauds} frauds in {len(held_labels)} rows; a threshold needs both classes: use "
            "more data, or data with labelled frauds."
        )
    units = detecting.column_units(residuals[labels == 0])
    evident = detecting.evidence(held_residuals, units)
    weights = detecting.column_weights(evident, held_labels)
    errors = evident @ weights
    normals = np.concatenate(
        [errors[held_labels == 0], detecting.evidence(residuals[labels == 0], units) @ weights]
    )
    threshold = detecting.choose_threshold(
        errors[held_labels == 1], normals, parameters["wanted_recall"], parameters["false_alarms"]
    )
    flagged = errors >= threshold
    facts = {
        "threshold": threshold,
        "tune_rows": len(held_labels),
        "tune_frauds": frauds,
        "tune_recall": float(flagged[held_labels == 1].mean()),
        "tune_false_alarms": float(flagged[held_labels == 0].mean()),
        "weights": [round(float(weight), 4) for weight in weights],
    }
    return detecting.make_detector(model, units, weights, threshold), facts


def signatures(detector: Any, transformed: Any) -> dict[str, Any]:
    """`serving_default` and `serve_examples`: serialized tf.Examples [n] -> outputs; `serve_rows`: columns by their
    names -> outputs; and `slice_features`."""
    import tensorflow as tf

    def outputs(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return detector(features[INPUTS_KEY])

    serve = training.examples_signature(outputs, transformed, detector, label_keys=[LABEL_KEY])
    rows = served_as.rows_signature(outputs, transformed, detector, [LABEL_KEY])
    raw_spec = {k: v for k, v in transformed.raw_feature_spec().items() if k != LABEL_KEY}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")], autograph=False)
    def slices(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return slice_features(tf.io.parse_example(examples, raw_spec))

    return {
        "serving_default": serve,
        "serve_examples": serve,
        served_as.ROWS: rows,
        "slice_features": slices,
    }


def normals(rows: tf.data.Dataset) -> tf.data.Dataset:
    """Batches of (inputs, inputs) of the normal rows, made beside the training."""
    import tensorflow as tf

    return rows.map(
        tf.autograph.experimental.do_not_convert(normal_pairs), num_parallel_calls=tf.data.AUTOTUNE
    )


def normal_pairs(features: dict[str, tf.Tensor], labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    import tensorflow as tf

    normal = tf.boolean_mask(features[INPUTS_KEY], tf.reshape(labels, [-1]) == 0)
    return normal, normal


def _residuals(model: keras.Model, rows: tf.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    residuals, labels = [], []
    for features, label in rows:
        given = features[INPUTS_KEY]
        residuals.append((model(given, training=False) - given).numpy()[:, :SCORED].astype(np.float64))
        labels.append(label.numpy().ravel())
    return np.concatenate(residuals), np.concatenate(labels)
