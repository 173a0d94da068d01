"""The three classifiers of digits behind one face: pixels 0..255 in, logits out; and their training.

Signatures: `serving_default` takes raw pixels, `serve_examples` serialized tf.Examples, `float_pixels` is for
exporters to other runtimes. All give `probabilities` [n, 10] and `label` [n].
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

from pipelines.base import training
from pipelines.digits import augmentation, core
from pipelines.digits.features import CLASSES, LABEL_KEY, PIXELS_KEY, SIDE, pixels

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

SHUFFLE_ROWS = 60_000


def build_model(parameters: dict[str, Any]) -> keras.Model:
    """The Keras model of a variant: float pixels [n, 28, 28] -> logits [n, 10], not compiled."""
    import tf_keras as keras

    layers = keras.layers
    given = keras.Input((SIDE, SIDE), name="pixels")
    scaled = layers.Rescaling(1 / 255)(given)
    body = layers.Flatten()(scaled) if parameters["variant"] == "logistic" else _cnn_body(scaled, parameters)
    return keras.Model(given, layers.Dense(CLASSES, name="logits")(body), name=parameters["variant"])


def _cnn_body(scaled: Any, parameters: dict[str, Any]) -> Any:
    import tf_keras as keras

    layers, channels = keras.layers, parameters["channels"]
    body = layers.Reshape((SIDE, SIDE, 1))(scaled)
    # Striding instead of pooling: half the multiplications for the same accuracy on this size of image.
    for width, stride in ((1, 1), (2, 2), (2, 1), (4, 2), (4, 1)):
        body = layers.Conv2D(width * channels, 3, stride, "same", use_bias=False)(body)
        body = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(body))
    body = layers.Dropout(parameters["dropout"])(layers.Flatten()(body))
    body = layers.Dense(parameters["dense"], use_bias=False)(body)
    body = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(body))
    return layers.Dropout(parameters["dropout"])(body)


@cache
def _one_cycle() -> Any:
    import tensorflow as tf
    import tf_keras as keras

    class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
        """Up to `peak` over the first fifth of `steps`, then down a cosine to nearly nothing (Smith 2018)."""

        def __init__(self, peak: float, steps: int) -> None:
            self.peak, self.steps = peak, steps

        def __call__(self, step: tf.Tensor) -> tf.Tensor:
            done = tf.cast(step, tf.float32) / self.steps
            rise = 0.1 + 0.9 * done / 0.2
            fall = 0.5 * (1 + tf.cos(math.pi * (tf.minimum(done, 1.0) - 0.2) / 0.8))
            return self.peak * tf.where(done < 0.2, rise, tf.maximum(fall, 0.002))

        def get_config(self) -> dict[str, Any]:
            return {"peak": self.peak, "steps": self.steps}

    return OneCycle


def run_fn(fn_args: Any) -> None:
    """Trains the run's variant on the training split and exports it; the tune split draws curves and chooses trials."""
    import tensorflow as tf

    run = training.Run.of(fn_args, seed=1)
    parameters, spec = run.parameters, run.spec
    batch = parameters["batch_size"]
    rows = training.dataset(fn_args.train_files, spec, LABEL_KEY, 4096)
    count = int(rows.reduce(tf.constant(0), lambda total, batch_of: total + tf.shape(batch_of[1])[0]))
    train = training.dataset(fn_args.train_files, spec, LABEL_KEY, batch, shuffle=SHUFFLE_ROWS)
    evaluation = training.dataset(fn_args.eval_files, spec, LABEL_KEY, 1000).map(decoded)
    steps = math.ceil(count / batch)
    if parameters["variant"] == "logistic_core":
        model = core.build()
        core.fit(
            model,
            train.map(decoded),
            evaluation,
            parameters["epochs"],
            parameters["learning_rate"],
            parameters["momentum"],
            steps,
            fn_args.model_run_dir,
            training.checkpoint_dir(fn_args),
        )
    else:
        model = build_model(parameters)
        compile_model(model, parameters, steps)
        if parameters["variant"] == "cnn":
            train = train.map(decoded).map(_augmented, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)
        else:
            train = train.map(decoded)
        training.fit(model, fn_args, train, evaluation, parameters["epochs"])
    classifier = make_classifier(model)
    training.export(classifier, fn_args, signatures(classifier, run.transformed))


def compile_model(model: keras.Model, parameters: dict[str, Any], steps_per_epoch: int) -> None:
    """Adam under a one-cycle rate; labels are int [n], smoothed by `label_smoothing` if the variant has it."""
    import tensorflow as tf
    import tf_keras as keras

    smoothing = parameters.get("label_smoothing", 0.0)

    def loss(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        wanted = tf.one_hot(tf.reshape(tf.cast(labels, tf.int32), [-1]), CLASSES)
        return keras.losses.categorical_crossentropy(
            wanted, logits, from_logits=True, label_smoothing=smoothing
        )

    schedule = _one_cycle()(parameters["learning_rate"], parameters["epochs"] * steps_per_epoch)
    model.compile(
        keras.optimizers.Adam(schedule), loss, [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    )


def decoded(features: dict[str, tf.Tensor], labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A parsed batch -> (float pixels [n, 28, 28], labels [n])."""
    import tensorflow as tf

    return pixels(features[PIXELS_KEY]), tf.reshape(labels, [-1])


def _augmented(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return augmentation.move(images), labels


def make_classifier(model: Any) -> tf.Module:
    """A module around any variant: `outputs(pixels [n, 28, 28])` -> probabilities [n, 10] and label [n]."""
    import tensorflow as tf

    class Classifier(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="classifier")
            self.model = model

        def outputs(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
            logits = model.logits(images) if hasattr(model, "logits") else model(images, training=False)
            return {"probabilities": tf.nn.softmax(logits), "label": tf.argmax(logits, axis=1)}

    return Classifier()


def signatures(classifier: Any, transformed: Any) -> dict[str, Any]:
    """`serving_default` (uint8 pixels), `serve_examples` (serialized), `float_pixels` (for exporters)."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE], tf.uint8, name="image")])
    def serve_pixels(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return classifier.outputs(tf.cast(image, tf.float32))

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE], tf.float32, name="image")])
    def float_pixels(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": classifier.outputs(image)["probabilities"]}

    serve_examples = training.examples_signature(
        lambda features: classifier.outputs(pixels(features[PIXELS_KEY])),
        transformed,
        classifier,
        label_keys=[LABEL_KEY, "name"],
    )
    return {"serving_default": serve_pixels, "serve_examples": serve_examples, "float_pixels": float_pixels}
