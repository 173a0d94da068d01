"""What a trained network of clothing answers: its signatures, and the module around encoder and decoder they call.

`label` [n] is the class of the longest capsule, `lengths` [n, 10] are all of them (no probabilities: they do not
sum to 1, and a picture of nothing known is short in all). The rival answers `label` and `probabilities`, and has the
signatures alone that need no capsules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.base import training
from pipelines.clothing import capsules, features, network
from pipelines.clothing.features import LABEL_KEY, PIXELS_KEY, SIDE

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

# Pictures that one request of `perturb` may ask for of each row.
MOST_CHANGES = 100


def make_classifier(encoder: keras.Model, decoder: Any) -> tf.Module:
    """A module around a capsule network and its decoder, or around the rival (`decoder` None).

    It takes float pixels [n, 28, 28], 0 to 255.
    """
    import tensorflow as tf

    class Classifier(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="classifier")
            self.encoder, self.decoder = encoder, decoder

        def outputs(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
            """`label` [n], and `lengths` or the rival's `probabilities` [n, 10]."""
            found = encoder(images, training=False)
            if decoder is None:
                return {"label": tf.argmax(found, axis=1), "probabilities": tf.nn.softmax(found)}
            length = capsules.lengths(found)
            return {"label": tf.argmax(length, axis=1), "lengths": length}

        def reconstruct(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
            """`outputs`, `picture` [n, 28, 28] as the longest capsule has it, and its mean squared `error` [n]."""
            found = encoder(images, training=False)
            length = capsules.lengths(found)
            label = tf.argmax(length, axis=1)
            drawn = decoder(capsules.only(found, label), training=False)
            error = tf.reduce_mean(tf.square(drawn - images / 255), axis=[1, 2])
            return {"label": label, "lengths": length, "picture": as_bytes(drawn), "error": error}

        def perturb(self, images: tf.Tensor, dimension: tf.Tensor, changes: tf.Tensor) -> dict[str, Any]:
            """`label` and `pictures` [n, m, 28, 28]: the longest capsule's number `dimension` [] plus `changes` [m]."""
            found = encoder(images, training=False)
            label = tf.argmax(capsules.lengths(found), axis=1)
            mine = tf.gather(found, label, batch_dims=1)
            moved = mine[:, None] + changes[None, :, None] * tf.one_hot(dimension, network.SIZE)
            rows, count = tf.shape(moved)[0], tf.size(changes)
            wide = tf.repeat(tf.one_hot(label, network.CLASSES), count, axis=0)
            given = wide[..., None] * tf.reshape(moved, [-1, 1, network.SIZE])
            drawn = tf.reshape(decoder(given, training=False), [rows, count, SIDE, SIDE])
            return {"label": label, "pictures": as_bytes(drawn)}

    return Classifier()


def as_bytes(drawn: tf.Tensor) -> tf.Tensor:
    """0 to 1 as uint8."""
    import tensorflow as tf

    return tf.cast(tf.round(255 * drawn), tf.uint8)


def signatures(classifier: Any, transformed: Any) -> dict[str, Any]:
    """All signatures of a capsule network, or those the rival has; README.md lists them."""
    import tensorflow as tf

    pixels = tf.TensorSpec([None, SIDE, SIDE], tf.uint8, name="image")

    @tf.function(input_signature=[pixels])
    def serve_pixels(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return classifier.outputs(tf.cast(image, tf.float32))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image")])
    def photographs(image: tf.Tensor) -> dict[str, tf.Tensor]:
        seen = features.photographs(image)
        return {**classifier.outputs(seen), "seen": as_bytes(seen / 255)}

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE], tf.float32, name="image")])
    def float_pixels(image: tf.Tensor) -> dict[str, tf.Tensor]:
        told = classifier.outputs(image)
        return {name: values for name, values in told.items() if name != "label"}

    serve_examples = training.examples_signature(
        lambda rows: classifier.outputs(features.pixels(rows[PIXELS_KEY])),
        transformed,
        classifier,
        label_keys=[LABEL_KEY, "name"],
    )
    shared = {
        "serving_default": serve_pixels,
        "serve_examples": serve_examples,
        "photographs": photographs,
        "float_pixels": float_pixels,
    }
    return shared if classifier.decoder is None else {**shared, **_drawing(classifier, pixels)}


def _drawing(classifier: Any, pixels: Any) -> dict[str, Any]:
    """`reconstruct` and `perturb`."""
    import tensorflow as tf

    dimension = tf.TensorSpec([], tf.int64, name="dimension")

    @tf.function(input_signature=[pixels])
    def reconstruct(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return classifier.reconstruct(tf.cast(image, tf.float32))

    @tf.function(input_signature=[pixels, dimension, tf.TensorSpec([None], tf.float32, name="changes")])
    def perturb(image: tf.Tensor, dimension: tf.Tensor, changes: tf.Tensor) -> dict[str, tf.Tensor]:
        right = [
            tf.debugging.Assert(
                (dimension >= 0) & (dimension < network.SIZE),
                ["dimension is", dimension, f"; expected 0 to {network.SIZE - 1}"],
            ),
            tf.debugging.Assert(
                (tf.size(changes) >= 1) & (tf.size(changes) <= MOST_CHANGES),
                ["changes has", tf.size(changes), f"values; expected 1 to {MOST_CHANGES}"],
            ),
            tf.debugging.Assert(
                tf.reduce_all(tf.math.is_finite(changes)), ["changes has values that are not finite"]
            ),
        ]
        with tf.control_dependencies(right):
            return classifier.perturb(
                tf.cast(image, tf.float32), tf.identity(dimension), tf.identity(changes)
            )

    return {"reconstruct": reconstruct, "perturb": perturb}
