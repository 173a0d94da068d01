"""Moves training pictures as a garment might have been laid or photographed: mirrored, shifted, a little stretched.

One operation per batch; evaluation and serving never see it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.clothing.features import SIDE

if TYPE_CHECKING:
    import tensorflow as tf

# Uniform ranges: pixels, and relative stretch. A turn would show what no picture of the set has: they stand upright.
SHIFT, STRETCH = 2.0, 0.08


def move(pixels: tf.Tensor) -> tf.Tensor:
    """Float pictures [n, 28, 28] -> as many, half of them mirrored, each moved in its own way; black (0) outside."""
    import tensorflow as tf

    count = tf.shape(pixels)[0]

    def draw(most: float) -> tf.Tensor:
        return tf.random.uniform([count], -most, most)

    mirror = tf.where(tf.random.uniform([count]) < 0.5, -1.0, 1.0)
    across, down = mirror * (1 + draw(STRETCH)), 1 + draw(STRETCH)
    middle, zero = (SIDE - 1) / 2, tf.zeros([count])
    left, top = middle * (1 - across) + draw(SHIFT), middle * (1 - down) + draw(SHIFT)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels[..., tf.newaxis],
        transforms=tf.stack([across, zero, left, zero, down, top, zero, zero], axis=1),
        output_shape=[SIDE, SIDE],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return moved[..., 0]
