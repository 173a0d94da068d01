"""The networks of clothing: two encoders from pixels to class capsules, the decoder back, and a rival without capsules.

Float pixels [n, 28, 28], 0 to 255, in; capsules [n, 10, 16] or the rival's logits [n, 10] out. Training is model.py's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.clothing import capsules
from pipelines.clothing.features import CLASSES, SIDE

if TYPE_CHECKING:
    import tf_keras as keras

SIZE = 16
ROUNDS = 3
PRIMARY = 8
HIDDEN = (512, 1024)


def encoder(parameters: dict[str, Any]) -> keras.Model:
    """The Keras model of a capsule variant: pixels [n, 28, 28] -> class capsules [n, 10, 16]."""
    body = _capsnet if parameters["variant"] == "capsnet" else _efficient
    return _on_pixels(lambda scaled: body(scaled, parameters), parameters["variant"])


def _on_pixels(body: Any, name: str) -> keras.Model:
    import tf_keras as keras

    given = keras.Input((SIDE, SIDE), name="pixels")
    scaled = keras.layers.Reshape((SIDE, SIDE, 1))(keras.layers.Rescaling(1 / 255)(given))
    return keras.Model(given, body(scaled), name=name)


def _convolved(body: Any, width: int, stride: int = 1, size: int = 3) -> Any:
    import tf_keras as keras

    body = keras.layers.Conv2D(width, size, stride, "same", use_bias=False)(body)
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(body))


def _trunk(scaled: Any, width: int) -> Any:
    """What `efficient` and its rival begin with: [n, 28, 28, 1] -> [n, 7, 7, 4 * width]."""
    return _convolved(_convolved(_convolved(scaled, width), 2 * width, 2), 4 * width, 2)


def _efficient(scaled: Any, parameters: dict[str, Any]) -> Any:
    """Four convolutions, a pointwise one, then depthwise over the picture: `primary` capsules of 8, self-attention.

    After Mazzia, Salvetti and Chiaberge, "Efficient-CapsNet" (2021), with a quarter of its multiplications: sides of
    28, 14 and 7 pixels instead of 24 to 9.
    """
    import tf_keras as keras

    width = parameters["channels"]
    body = _trunk(scaled, width)
    body = _convolved(body, round(width * 10 / 3))
    body = _convolved(body, PRIMARY * parameters["primary"], size=1)
    body = keras.layers.DepthwiseConv2D(body.shape[1], name="over_the_picture")(body)
    primary = keras.layers.Reshape((parameters["primary"], PRIMARY))(body)
    primary = keras.layers.Lambda(capsules.squash_steeply, name="primary")(primary)
    return capsules.layer(CLASSES, SIZE, rounds=0, name="classes")(primary)


def _capsnet(scaled: Any, parameters: dict[str, Any]) -> Any:
    """Sabour, Frosst and Hinton's network (2017): 256 filters, 32 kinds of primary capsules at 36 places, three rounds.

    `width` is the share of filters and kinds: 1.0 for theirs.
    """
    import tf_keras as keras

    kinds = max(1, round(32 * parameters["width"]))
    filters = PRIMARY * kinds
    body = keras.layers.Conv2D(filters, 9, activation="relu")(scaled)
    body = keras.layers.Conv2D(filters, 9, 2, name="primary_convolution")(body)
    primary = keras.layers.Reshape((body.shape[1] * body.shape[2] * kinds, PRIMARY))(body)
    primary = keras.layers.Lambda(capsules.squash, name="primary")(primary)
    return capsules.layer(CLASSES, SIZE, rounds=ROUNDS, name="classes")(primary)


def decoder() -> keras.Model:
    """Class capsules of which all but one are zero [n, 10, 16] -> pixels [n, 28, 28], 0 to 1."""
    import tf_keras as keras

    given = keras.Input((CLASSES, SIZE), name="capsules")
    body = keras.layers.Flatten()(given)
    for units in HIDDEN:
        body = keras.layers.Dense(units, activation="relu")(body)
    body = keras.layers.Dense(SIDE * SIDE, activation="sigmoid")(body)
    return keras.Model(given, keras.layers.Reshape((SIDE, SIDE))(body), name="decoder")


def rival(parameters: dict[str, Any]) -> keras.Model:
    """A plain network of as many parameters as `efficient` and as usual layers: pixels -> logits [n, 10]."""

    def body(scaled: Any) -> Any:
        import tf_keras as keras

        layers, width = keras.layers, parameters["channels"]
        made = _convolved(_convolved(_trunk(scaled, width), 4 * width), 9 * width, size=1)
        made = layers.Dropout(parameters["dropout"])(layers.GlobalAveragePooling2D()(made))
        return layers.Dense(CLASSES, name="logits")(made)

    return _on_pixels(body, parameters["variant"])
