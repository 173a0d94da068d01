"""A small extractor of our own: a network that learned from drawings how they were drawn, not what they show.

Its targets are the numbers of a drawing.Look (proportions, windows, wheels, colour), so it has seen no label that the
head is asked for. It is for runs without anybody's weights; photographs are beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.base import training
from pipelines.base.hub import Extractor
from pipelines.vehicles import drawing

if TYPE_CHECKING:
    import tf_keras as keras

SIDE, FEATURES, PLANES = 64, 64, (16, 32, 48, 64)


def build() -> keras.Model:
    """Pictures [n, 64, 64, 3], 0 to 255 -> features [n, 64]."""
    import tf_keras as keras

    layers = keras.layers
    given = keras.Input((SIDE, SIDE, 3))
    body = layers.Rescaling(1 / 128, -1.0)(given)
    for planes in PLANES:
        body = layers.Conv2D(planes, 3, 2, "same", use_bias=False)(body)
        body = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(body))
    return keras.Model(given, layers.Dense(FEATURES, "relu")(layers.Flatten()(body)), name="own")


def drawings(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Drawn vehicles [n, 64, 64, 3] and their looks, each number with mean 0 and deviation 1, [n, 9]."""
    from PIL import Image

    random = np.random.default_rng(seed)
    pictures, looks = [], []
    for number in range(count):
        one = drawing.look(("bus", "car")[number % 2], random)
        pixels = Image.fromarray(drawing.draw(one, random)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        pictures.append(np.asarray(pixels))
        looks.append(one)
    told = np.array(looks, np.float32)
    return np.stack(pictures), (told - told.mean(axis=0)) / told.std(axis=0)


def train(fn_args: Any, parameters: Mapping[str, Any]) -> Extractor:
    """The extractor, trained as long as `parameters` say; drawings of a seed of their own, a tenth of them watched."""
    import tensorflow as tf
    import tf_keras as keras

    pictures, looks = drawings(int(parameters["drawings"]), seed=20_171)
    extractor = build()
    model = keras.Sequential([extractor, keras.layers.Dense(looks.shape[1])])
    model.compile(keras.optimizers.Adam(parameters["learning_rate"]), "mse")
    watched = len(looks) // 10
    batch = int(parameters["batch_size"])
    rows = tf.data.Dataset.from_tensor_slices((pictures, looks))
    fitted = rows.skip(watched).shuffle(len(looks), seed=training.SHUFFLE_SEED).batch(batch).prefetch(2)
    training.fit(model, fn_args, fitted, rows.take(watched).batch(256), int(parameters["epochs"]))
    extractor.trainable = False
    return Extractor(lambda images: extractor(images, training=False), SIDE, extractor)
