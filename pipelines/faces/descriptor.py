"""A pretrained network that describes a face by 128 numbers: dlib's residual network, as face-api.js gives its weights.

29 convolutions in 14 residual blocks on 150 x 150 RGB (King 2017; face-api.js is under the MIT licence). Two pictures
of one person are said to be nearer than 0.6; here that threshold is chosen on the tune people instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    import tf_keras as keras

SIDE, DIMENSIONS = 150, 128
MODEL = "face_recognition_model"
# What the network's makers take off red, green and blue, and then divide by.
MEAN, UNIT = (122.782, 117.001, 104.298), 256.0
# Of each block: whether it halves the picture.
BLOCKS = {
    "conv32_1": False,
    "conv32_2": False,
    "conv32_3": False,
    "conv64_down": True,
    "conv64_1": False,
    "conv64_2": False,
    "conv64_3": False,
    "conv128_down": True,
    "conv128_1": False,
    "conv128_2": False,
    "conv256_down": True,
    "conv256_1": False,
    "conv256_2": False,
    "conv256_down_out": True,
}


def build_model(arrays: Mapping[str, np.ndarray]) -> keras.Model:
    """Crops [n, 150, 150, 3], 0 to 255 -> descriptors [n, 128], with the weights `arrays` of weights.tensorflow_js."""
    import tensorflow as tf
    import tf_keras as keras

    layers = keras.layers
    given = keras.Input((SIDE, SIDE, 3), name="crop")
    body = layers.Lambda(lambda crop: (crop - tf.constant(MEAN)) / UNIT, name="scaled")(given)
    body = layers.ReLU()(_convolution(body, arrays, "conv32_down", 2, "valid"))
    body = layers.MaxPooling2D(3, 2, "valid")(body)
    for name, halves in BLOCKS.items():
        body = _block(body, arrays, name, halves)
    body = layers.GlobalAveragePooling2D()(body)
    last = layers.Dense(DIMENSIONS, use_bias=False, name="fc")
    descriptor = last(body)
    last.set_weights([arrays["fc"]])
    model = keras.Model(given, descriptor, name="descriptor")
    model.trainable = False
    return model


def _convolution(body: Any, arrays: Mapping[str, np.ndarray], name: str, stride: int, padding: str) -> Any:
    """A convolution and a scale and shift for each channel: what became of batch normalisation. The two are one."""
    import tf_keras as keras

    scale = arrays[f"{name}/scale/weights"]
    layer = keras.layers.Conv2D(len(scale), arrays[f"{name}/conv/filters"].shape[0], stride, padding)
    out = layer(body)
    bias = arrays[f"{name}/conv/bias"] * scale + arrays[f"{name}/scale/biases"]
    layer.set_weights([arrays[f"{name}/conv/filters"] * scale, bias])
    return out


def _block(body: Any, arrays: Mapping[str, np.ndarray], name: str, halves: bool) -> Any:
    """Two convolutions beside a way around them. One that halves has its way around averaged by twos, and zeros where
    it has fewer channels or the convolutions fewer pixels than the other."""
    import tf_keras as keras

    layers = keras.layers
    stride, padding = (2, "valid") if halves else (1, "same")
    inner = layers.ReLU()(_convolution(body, arrays, f"{name}/conv1", stride, padding))
    inner = _convolution(inner, arrays, f"{name}/conv2", 1, "same")
    around = layers.AveragePooling2D(2, 2, "valid")(body) if halves else body
    missing = inner.shape[-1] - around.shape[-1]
    if missing:
        around = layers.Lambda(lambda values: _zeros_behind(values, (0, 0, missing)))(around)
    low, narrow = (int(around.shape[axis] - inner.shape[axis]) for axis in (1, 2))
    if low or narrow:
        inner = layers.Lambda(lambda values: _zeros_behind(values, (low, narrow, 0)))(inner)
    return layers.ReLU()(layers.Add()([inner, around]))


def _zeros_behind(values: tf.Tensor, counts: tuple[int, int, int]) -> tf.Tensor:
    import tensorflow as tf

    return tf.pad(values, [[0, 0], *([0, count] for count in counts)])
