"""From the bytes of a picture to a square of pixels, inside the graph, and to which of the two domains it is of.

A smaller picture is laid in the middle of the square, a larger one is shrunk to it, its sides in proportion; what is
left of the square is black for grey pictures, as in Fashion-MNIST, and white for colour ones, as in the photographs.
What cannot be decoded, or says that it is huge, fails its batch with TensorFlow's InvalidArgumentError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.pictures import not_huge

if TYPE_CHECKING:
    import tensorflow as tf

IMAGE_KEY, DOMAIN_KEY = "image", "domain"
# What rows carry for people and slices; a client does not send it.
INFORMATION_KEYS = ("kind", "name")
PICTURE_KEY, IS_BAG_KEY = "image_xf", "is_bag_xf"
DOMAINS = SHOE, BAG = ("shoe", "bag")


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """`image` [n, 1] stays the bytes it is; `domain` becomes 1 for a bag and 0 for a shoe.

    The size of pictures is a parameter of the model, so pixels are the model's to make.
    """
    return {PICTURE_KEY: inputs[IMAGE_KEY], IS_BAG_KEY: is_bag(inputs[DOMAIN_KEY])}


def is_bag(domains: tf.Tensor) -> tf.Tensor:
    """ "shoe" or "bag" of any shape -> int64 0 or 1; InvalidArgumentError for another word."""
    import tensorflow as tf

    bag = tf.equal(domains, BAG)
    known = tf.debugging.Assert(
        tf.reduce_all(bag | tf.equal(domains, SHOE)), ["domain is none of 'shoe', 'bag':", domains]
    )
    with tf.control_dependencies([known]):
        return tf.cast(bag, tf.int64)


def pictures(images: tf.Tensor, side: int, channels: int) -> tf.Tensor:
    """Encoded pictures [n] -> uint8 [n, side, side, channels], grey for one channel and colour for three."""
    import tensorflow as tf

    return tf.map_fn(
        lambda image: picture(image, side, channels),
        tf.reshape(images, [-1]),
        fn_output_signature=tf.TensorSpec([side, side, channels], tf.uint8),
    )


def picture(image: tf.Tensor, side: int, channels: int) -> tf.Tensor:
    """One PNG, JPEG, GIF (its first picture) or BMP, a string [] -> uint8 [side, side, channels]."""
    import tensorflow as tf

    with tf.control_dependencies([not_huge(image)]):
        decoded = tf.io.decode_image(image, expand_animations=False)
    pixels = tf.ensure_shape(decoded, [None, None, None])
    # Two and four channels are grey and colour with transparency, which is left out.
    shown = tf.cond(
        tf.shape(pixels)[2] < 3,
        lambda: tf.repeat(pixels[:, :, :1], 3, axis=2),
        lambda: pixels[:, :, :3],
    )
    shown = tf.ensure_shape(shown, [None, None, 3])
    if channels == 1:
        shown = tf.cond(
            tf.shape(pixels)[2] < 3, lambda: shown[:, :, :1], lambda: tf.image.rgb_to_grayscale(shown)
        )
    return fitted(tf.ensure_shape(shown, [None, None, channels]), side, 0 if channels == 1 else 255)


def fitted(pixels: tf.Tensor, side: int, paper: int) -> tf.Tensor:
    """uint8 [height, width, channels] -> [side, side, channels]: shrunk where it is larger, on paper of that value."""
    import tensorflow as tf

    size = tf.shape(pixels)[:2]
    longest = tf.reduce_max(size)

    def shrunk() -> tf.Tensor:
        small = tf.maximum(1, tf.cast(tf.round(size / longest * side), tf.int32))
        resized = tf.image.resize(tf.cast(pixels, tf.float32), small, antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)

    inside = tf.cond(longest > side, shrunk, lambda: pixels)
    rest = side - tf.shape(inside)[:2]
    before = rest // 2
    around = tf.stack([before, rest - before], axis=1)
    padded = tf.pad(inside, tf.concat([around, [[0, 0]]], axis=0), constant_values=paper)
    return tf.ensure_shape(padded, [side, side, pixels.shape[2]])
