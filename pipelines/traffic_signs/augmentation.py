"""Moves training pictures as another camera might have met the sign: nearer, further, turned, off the middle, lit.

And spoils some, so that training meets pictures that are no signs. One operation per batch; evaluation and serving
never see it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.traffic_signs.features import CROP_SIDE, LEVELS, SIDE

if TYPE_CHECKING:
    import tensorflow as tf

# Uniform ranges: radians, relative stretch of each axis, relative slant, pixels. Signs are never mirrored: arrows and
# numbers would change their meaning.
TURN, STRETCH, SLANT, SHIFT = 0.25, 0.15, 0.15, 3.0
# A gamma between 1/1.5 and 1.5 and light that falls off to one side; equalisation takes away what is alike all over.
LOG_GAMMA, SIDE_LIGHT, NOISE = 0.4, 0.3, 6.0
TILES = 4  # to a side of a spoiled picture


def move(rimmed: tf.Tensor) -> tf.Tensor:
    """Grey values [n, 40, 40], 0..255 -> [n, 32, 32], each under its own random affine map and light."""
    import tensorflow as tf

    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=rimmed[..., tf.newaxis],
        transforms=_maps(tf.shape(rimmed)[0]),
        output_shape=[SIDE, SIDE],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )[..., 0]
    return _lit(moved)


def _draw(count: tf.Tensor, size: float) -> tf.Tensor:
    import tensorflow as tf

    return tf.random.uniform([count], -size, size)


def _lit(grey: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    count, top = tf.shape(grey)[0], float(LEVELS - 1)
    gamma = tf.exp(_draw(count, LOG_GAMMA))[:, None, None]
    across = tf.linspace(-1.0, 1.0, SIDE)
    sideways, down = _draw(count, SIDE_LIGHT)[:, None, None], _draw(count, SIDE_LIGHT)[:, None, None]
    light = 1 + sideways * across[None, None, :] + down * across[None, :, None]
    bright = top * (tf.clip_by_value(grey, 0, top) / top) ** gamma * light
    return tf.clip_by_value(bright + tf.random.normal(tf.shape(grey), stddev=NOISE), 0, top)


def _maps(count: tf.Tensor) -> tf.Tensor:
    """[count, 8] projective maps from output to input coordinates that keep the middle where it is, but for a shift."""
    import tensorflow as tf

    turn, slant = _draw(count, TURN), _draw(count, SLANT)
    wide, high = tf.exp(_draw(count, STRETCH)), tf.exp(_draw(count, STRETCH))
    xx, xy = tf.cos(turn) * wide, (slant - tf.sin(turn)) * wide
    yx, yy = tf.sin(turn) * high, tf.cos(turn) * high
    middle_in, middle_out = (CROP_SIDE - 1) / 2, (SIDE - 1) / 2
    x0 = middle_in - (xx + xy) * middle_out + _draw(count, SHIFT)
    y0 = middle_in - (yx + yy) * middle_out + _draw(count, SHIFT)
    zero = tf.zeros([count])
    return tf.stack([xx, xy, x0, yx, yy, y0, zero, zero], axis=1)


def spoil(grey: tf.Tensor) -> tf.Tensor:
    """Signs [n, 32, 32] -> pictures [n, 32, 32] that are none: each in shuffled tiles, as a texture, or noise."""
    import tensorflow as tf

    ways = tf.stack([_shuffled(grey), _texture(grey), _noise(tf.shape(grey)[0])], axis=1)
    chosen = tf.random.uniform([tf.shape(grey)[0]], 0, 3, tf.int32)
    return tf.clip_by_value(tf.gather(ways, chosen, batch_dims=1), 0, float(LEVELS - 1))


def _shuffled(grey: tf.Tensor) -> tf.Tensor:
    """The picture's tiles in another order."""
    import tensorflow as tf

    size = SIDE // TILES
    tiles = tf.transpose(tf.reshape(grey, [-1, TILES, size, TILES, size]), [0, 1, 3, 2, 4])
    order = tf.argsort(tf.random.uniform([tf.shape(grey)[0], TILES * TILES]))
    mixed = tf.gather(tf.reshape(tiles, [-1, TILES * TILES, size, size]), order, batch_dims=1)
    rows = tf.transpose(tf.reshape(mixed, [-1, TILES, TILES, size, size]), [0, 1, 3, 2, 4])
    return tf.reshape(rows, [-1, SIDE, SIDE])


def _texture(grey: tf.Tensor) -> tf.Tensor:
    """A picture with the same frequencies, their phases drawn anew: what lay together lies anywhere."""
    import tensorflow as tf

    middle = tf.reduce_mean(grey, axis=[1, 2], keepdims=True)
    strength = tf.abs(tf.signal.fft2d(tf.cast(grey - middle, tf.complex64)))
    # Phases of a real picture, so that what comes back is real.
    drawn = tf.signal.fft2d(tf.cast(tf.random.normal(tf.shape(grey)), tf.complex64))
    turned = drawn * tf.cast(strength / tf.maximum(tf.abs(drawn), 1e-6), tf.complex64)
    return tf.math.real(tf.signal.ifft2d(turned)) + middle


def _noise(count: tf.Tensor) -> tf.Tensor:
    """Noise of several scales, of each a random share."""
    import tensorflow as tf

    scales = [2, 4, 8, 16, 32]
    shares = tf.nn.softmax(4 * tf.random.normal([count, len(scales)]))
    parts = [
        tf.image.resize(tf.random.uniform([count, cells, cells, 1], 0, LEVELS - 1.0), [SIDE, SIDE], "bicubic")
        for cells in scales
    ]
    return tf.reduce_sum(tf.concat(parts, axis=3) * shares[:, None, None, :], axis=3)
