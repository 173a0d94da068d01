"""Moves training images as another hand might have written them: shifted, turned, stretched, slanted.

One operation per batch; evaluation and serving never see it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.digits.features import SIDE

if TYPE_CHECKING:
    import tensorflow as tf

# Uniform ranges: radians, relative stretch, relative slant, pixels. Larger ones make 6 and 9, 1 and 7 alike.
TURN, STRETCH, SLANT, SHIFT = 0.2, 0.12, 0.15, 2.2


def move(pixels: tf.Tensor) -> tf.Tensor:
    """Float images [n, 28, 28] -> as many, each under its own random affine map; paper (0) outside."""
    import tensorflow as tf

    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels[..., tf.newaxis],
        transforms=_maps(tf.shape(pixels)[0]),
        output_shape=[SIDE, SIDE],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return moved[..., 0]


def _maps(count: tf.Tensor) -> tf.Tensor:
    """[count, 8] projective maps from output to input coordinates that keep the middle where it is, but for a shift."""
    import tensorflow as tf

    def draw(size: float) -> tf.Tensor:
        return tf.random.uniform([count], -size, size)

    turn, wide, high, slant = draw(TURN), 1 + draw(STRETCH), 1 + draw(STRETCH), draw(SLANT)
    xx, xy = tf.cos(turn) * wide, (slant - tf.sin(turn)) * wide
    yx, yy = tf.sin(turn) * high, tf.cos(turn) * high
    middle = (SIDE - 1) / 2
    x0 = middle - (xx + xy) * middle + draw(SHIFT)
    y0 = middle - (yx + yy) * middle + draw(SHIFT)
    zero = tf.zeros([count])
    return tf.stack([xx, xy, x0, yx, yy, y0, zero, zero], axis=1)
