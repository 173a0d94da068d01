"""Turns, moves and scales a picture so that a face's five landmarks come to lie where those of any other do.

The transformation is the similarity (no shear, no mirror) that brings the template nearest to the landmarks by least
squares; in the plane its closed form is a regression of complex numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

# Left eye, right eye, tip of the nose, left and right corner of the mouth, as seen in the picture: (across, down) in
# shares of the crop. Where they lie in the pictures on which the descriptor's network was trained, made symmetric.
TEMPLATE = ((0.320, 0.311), (0.680, 0.311), (0.500, 0.510), (0.342, 0.687), (0.658, 0.687))


def aligned(picture: tf.Tensor, landmarks: tf.Tensor, side: int, reach: float = 1.0) -> tf.Tensor:
    """The face of a picture [height, width, 3] with landmarks [5, 2] in pixels, as float32 [side, side, 3].

    The crop reaches `reach` times as far from its middle as the template's: with 1 it is the face, with more some hair.
    Beyond the picture's edge the edge goes on. A picture with finer grain than the crop is made smaller before, so
    that nothing is taken from single pixels.
    """
    import tensorflow as tf

    turn, shift = similarity(landmarks, side, reach)
    shrink = tf.maximum(1.0, tf.abs(turn))
    size = tf.cast(tf.shape(picture)[:2], tf.float32)
    smaller = tf.maximum(1, tf.cast(tf.round(size / shrink), tf.int32))
    resized = tf.cond(
        shrink > 1, lambda: tf.image.resize(picture, smaller, antialias=True), lambda: tf.identity(picture)
    )
    # The rounded size is off by less than a pixel: both ways of a similarity share one factor.
    factor = tf.cast(tf.sqrt(tf.reduce_prod(tf.cast(smaller, tf.float32) / size)), tf.complex64)
    turn, shift = turn * factor, shift * factor
    real, imaginary = tf.math.real(turn), tf.math.imag(turn)
    matrix = [real, -imaginary, tf.math.real(shift), imaginary, real, tf.math.imag(shift), 0.0, 0.0]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=resized[None],
        transforms=tf.stack(matrix)[None],
        output_shape=[side, side],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )[0]


def similarity(landmarks: tf.Tensor, side: int, reach: float = 1.0) -> tuple[tf.Tensor, tf.Tensor]:
    """(turn, shift), complex: crop pixel z = across + i down is taken from the picture's turn * z + shift."""
    import tensorflow as tf

    places = [[0.5 + (share - 0.5) / reach for share in place] for place in TEMPLATE]
    wanted = tf.constant([complex(across * side, down * side) for across, down in places], tf.complex64)
    there = tf.complex(landmarks[:, 0], landmarks[:, 1])
    wanted_middle, middle = tf.reduce_mean(wanted), tf.reduce_mean(there)
    from_middle = wanted - wanted_middle
    power = tf.reduce_sum(tf.abs(from_middle) ** 2)
    turn = tf.reduce_sum(tf.math.conj(from_middle) * (there - middle)) / tf.cast(power, tf.complex64)
    return turn, middle - turn * wanted_middle


def whole(picture: tf.Tensor, side: int) -> tf.Tensor:
    """A picture that is a face already, [height, width, 3] -> float32 [side, side, 3]; its proportions are not kept."""
    import tensorflow as tf

    return tf.image.resize(picture, [side, side], antialias=True)
