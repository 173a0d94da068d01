"""The agent's networks: from what a game shows to the value of each action.

`mlp` sees the console's memory: every bit of it, and where ghosts and fruit are as seen from Ms Pac-Man (which bytes
hold that: Anand and others, 2019, table of MsPacman). `conv` sees four grey screens (Mnih and others, 2015). Both
tell the value of a state from the advantages of actions (Wang and others, 2016).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines.pacman.game import ACTIONS, RAM_BYTES, SHAPES

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

# What a variant sees, and how many looks at it.
SEES = {"mlp": ("ram", 1), "conv": ("frames", 4)}
# Bytes with positions: four ghosts and the fruit, then Ms Pac-Man.
OTHERS_X, OTHERS_Y, OWN_X, OWN_Y = (6, 7, 8, 9, 11), (12, 13, 14, 15, 17), 10, 16
# About the width of a corridor, and half of the maze, in the units of these bytes.
NEAR, FAR = 12.0, 80.0


def build(variant: str, parameters: Mapping[str, Any]) -> keras.Model:
    """uint8 [n, depth, ...] -> values float32 [n, 9]."""
    import tensorflow as tf
    import tf_keras as keras

    what, depth = SEES[variant]
    seen = keras.Input((depth, *SHAPES[what]), dtype=tf.uint8)
    if what == "ram":
        hidden = keras.layers.Lambda(described)(seen)
        for width in (parameters["hidden"], parameters["hidden"]):
            hidden = keras.layers.Dense(width, "relu")(hidden)
    else:
        hidden = keras.layers.Lambda(lambda s: tf.cast(tf.transpose(s, (0, 2, 3, 1)), tf.float32) / 255)(seen)
        for filters, size, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
            hidden = keras.layers.Conv2D(filters, size, stride, activation="relu")(hidden)
        hidden = keras.layers.Dense(parameters["hidden"], "relu")(keras.layers.Flatten()(hidden))
    state = keras.layers.Dense(1)(hidden)
    advantages = keras.layers.Dense(len(ACTIONS))(hidden)
    values = keras.layers.Lambda(lambda t: t[0] + t[1] - tf.reduce_mean(t[1], axis=1, keepdims=True))
    return keras.Model(seen, values([state, advantages]))


def described(seen: tf.Tensor) -> tf.Tensor:
    """Memories uint8 [n, depth, 128] -> float32 [n, d]: bytes, bits, and the others' places from where one stands."""
    import tensorflow as tf

    memory = tf.reshape(seen, [-1, seen.shape[1] * RAM_BYTES])
    bits = tf.bitwise.bitwise_and(
        tf.bitwise.right_shift(memory[:, :, None], tf.constant([0, 1, 2, 3, 4, 5, 6, 7], tf.uint8)),
        tf.constant(1, tf.uint8),
    )
    numbers = tf.cast(memory, tf.float32)
    newest = numbers[:, -RAM_BYTES:]
    right = tf.gather(newest, OTHERS_X, axis=1) - newest[:, OWN_X, None]
    down = tf.gather(newest, OTHERS_Y, axis=1) - newest[:, OWN_Y, None]
    near = tf.exp(-(tf.abs(right) + tf.abs(down)) / NEAR)
    places = [right / FAR, down / FAR, near, near * tf.sign(right), near * tf.sign(down)]
    flat = tf.reshape(tf.cast(bits, tf.float32), [-1, memory.shape[1] * 8])
    return tf.concat([flat, numbers / 255, *places], axis=1)
