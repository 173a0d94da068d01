"""SqueezeNet 1.1 without its classifier (Iandola et al. 2016), as its Keras weight files hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tf_keras as keras

SIDE = 227
# Means of ImageNet's blue, green and red, which the weights were trained without.
MEANS = (103.939, 116.779, 123.68)
# Squeezing and expanding planes of each fire module; None is a pooling.
FIRES = ((16, 64), (16, 64), None, (32, 128), (32, 128), None, (48, 192), (48, 192), (64, 256), (64, 256))


def build() -> keras.Model:
    """Pictures [n, 227, 227, 3], 0 to 255, red first -> the mean of the last 512 planes [n, 512]."""
    import tensorflow as tf
    import tf_keras as keras

    layers = keras.layers
    given = keras.Input((SIDE, SIDE, 3))
    body = layers.Lambda(lambda pixels: pixels[..., ::-1] - tf.constant(MEANS))(given)
    body = layers.Conv2D(64, 3, 2, "valid", activation="relu", name="conv1")(body)
    body, number = layers.MaxPooling2D(3, 2)(body), 2
    for planes in FIRES:
        if planes is None:
            body = layers.MaxPooling2D(3, 2)(body)
            continue
        body, number = _fire(body, f"fire{number}", *planes), number + 1
    return keras.Model(given, layers.GlobalAveragePooling2D()(body), name="squeezenet")


def _fire(body: Any, name: str, squeezed: int, expanded: int) -> Any:
    import tf_keras as keras

    layers = keras.layers
    body = layers.Conv2D(squeezed, 1, activation="relu", name=f"{name}/squeeze1x1")(body)
    wide = [
        layers.Conv2D(expanded, size, padding="same", activation="relu", name=f"{name}/expand{size}x{size}")(
            body
        )
        for size in (1, 3)
    ]
    return layers.Concatenate()(wide)
