"""The five networks behind one face: spectra [n, 49, 40] in, logits [n, 12] out. Sizes are the card's.

`conv` begins with the two convolutions of Sainath and Parada 2015 (cnn-trad-fpool3), strided and normalised, and has a
third; `low_latency_conv` one convolution over all of the time (cnn-one-fstride4, same paper); `low_latency_svdf` has
filters of constrained rank (Nakkiran, Alvarez, Prabhavalkar, Parada 2015); `tiny_conv` one small convolution, for
microcontrollers; `single_fc` a weighted sum.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from pipelines.speech_commands.features import BANDS, FRAMES
from pipelines.speech_commands.words import LABELS

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras


def build_model(parameters: dict[str, Any]) -> keras.Model:
    """The Keras model of `parameters["variant"]`, not compiled."""
    import tf_keras as keras

    bodies = {
        "conv": _conv,
        "single_fc": lambda seen, parameters: keras.layers.Flatten()(seen),
        "low_latency_conv": _low_latency_conv,
        "low_latency_svdf": _low_latency_svdf,
        "tiny_conv": _tiny_conv,
    }
    seen = keras.Input((FRAMES, BANDS), name="log_mel")
    body = bodies[parameters["variant"]](seen, parameters)
    return keras.Model(seen, keras.layers.Dense(len(LABELS), name="logits")(body), name=parameters["variant"])


def _conv(seen: Any, parameters: dict[str, Any]) -> Any:
    import tf_keras as keras

    layers, channels = keras.layers, parameters["channels"]
    body = layers.Reshape((FRAMES, BANDS, 1))(seen)
    # 200 ms x 8 bands, then as much of both again, then what is left around it. Striding where the paper pools: a
    # quarter of the multiplications.
    for size, planes, stride in (
        ((10, 8), channels, 2),
        ((5, 4), 2 * channels, 2),
        ((3, 3), 2 * channels, 1),
    ):
        body = layers.Conv2D(planes, size, stride, "same", use_bias=False)(body)
        body = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(body))
    body = layers.MaxPooling2D()(body)
    return layers.Dropout(parameters["dropout"])(layers.Flatten()(body))


def _low_latency_conv(seen: Any, parameters: dict[str, Any]) -> Any:
    import tf_keras as keras

    layers = keras.layers
    body = layers.Reshape((FRAMES, BANDS, 1))(seen)
    body = layers.Conv2D(parameters["channels"], (FRAMES, 8), (1, 4), activation="relu")(body)
    body = layers.Dropout(parameters["dropout"])(layers.Flatten()(body))
    for _ in range(2):
        body = layers.Dropout(parameters["dropout"])(layers.Dense(parameters["dense"])(body))
    return body


def _low_latency_svdf(seen: Any, parameters: dict[str, Any]) -> Any:
    import tf_keras as keras

    layers = keras.layers
    body = svdf_layer()(parameters["units"], parameters["rank"], name="svdf")(seen)
    body = layers.Dropout(parameters["dropout"])(layers.ReLU()(body))
    for _ in range(2):
        body = layers.Dropout(parameters["dropout"])(layers.Dense(parameters["dense"])(body))
    return body


def _tiny_conv(seen: Any, parameters: dict[str, Any]) -> Any:
    import tf_keras as keras

    layers = keras.layers
    body = layers.Reshape((FRAMES, BANDS, 1))(seen)
    body = layers.Conv2D(parameters["channels"], (10, 8), 2, "same", activation="relu")(body)
    return layers.Dropout(parameters["dropout"])(layers.Flatten()(body))


@cache
def svdf_layer() -> Any:
    """The class SVDF; a function, since TensorFlow is imported late."""
    import tensorflow as tf
    import tf_keras as keras

    class SVDF(keras.layers.Layer):
        """Spectra [n, time, bands] -> [n, units], each a filter over time and bands of rank `rank`.

        A dense unit has time x bands weights; here unit u's are sum over r of time[:, u, r] outer bands[:, u, r]: the
        matrix is never made, and no training can give it a higher rank. A stream would keep the products with the
        band filters and reckon one frame at a time.
        """

        def __init__(self, units: int, rank: int, **rest: Any) -> None:
            super().__init__(**rest)
            self.units, self.rank = units, rank

        def build(self, shape: Any) -> None:
            _, frames, bands = shape
            # Sums of products have the deviation of a dense unit's when each factor has the root of it.
            first = keras.initializers.RandomNormal(stddev=(frames * bands * self.rank / 2) ** -0.25)
            self.bands = self.add_weight("bands", (bands, self.units, self.rank), initializer=first)
            self.time = self.add_weight("time", (frames, self.units, self.rank), initializer=first)
            self.bias = self.add_weight("bias", (self.units,), initializer="zeros")

        def call(self, seen: tf.Tensor) -> tf.Tensor:
            projected = tf.tensordot(seen, self.bands, 1)
            return tf.reduce_sum(projected * self.time, axis=(1, 3)) + self.bias

        def kernels(self) -> tf.Tensor:
            """The weights that a dense layer would have [units, time, bands]; for people and tests."""
            return tf.einsum("tur,bur->utb", self.time, self.bands)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "units": self.units, "rank": self.rank}

    return SVDF
