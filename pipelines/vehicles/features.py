"""From the bytes of a photograph to pixels, inside the graph: decode, turn upright, resize.

JPEG (grey, colour, CMYK), PNG (8 or 16 bits, with or without transparency), GIF (the first picture) and BMP are
TensorFlow's own. What cannot be decoded fails its batch with InvalidArgumentError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.vehicles import exif

if TYPE_CHECKING:
    import tensorflow as tf

IMAGE_KEY, LABEL_KEY = "image", "label"
INFORMATION_KEYS = ("name", "kind")
PHOTOGRAPH_KEY = "image_xf"
KINDS = ("bus", "car")


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """`image` [n, 1] stays the bytes it is, and `label`; the rest is left out.

    Pixels of the size that an extractor wants are the model's to make: it knows the size.
    """
    return {PHOTOGRAPH_KEY: inputs[IMAGE_KEY], LABEL_KEY: inputs[LABEL_KEY]}


def pictures(images: tf.Tensor, side: int) -> tf.Tensor:
    """Encoded photographs [n] -> float32 [n, side, side, 3], 0 to 255, stretched to a square."""
    import tensorflow as tf

    return tf.map_fn(
        lambda image: picture(image, side),
        tf.reshape(images, [-1]),
        fn_output_signature=tf.TensorSpec([side, side, 3], tf.float32),
    )


def picture(image: tf.Tensor, side: int) -> tf.Tensor:
    """One photograph, a string [] -> float32 [side, side, 3], upright."""
    import tensorflow as tf

    pixels = tf.io.decode_image(image, channels=3, expand_animations=False)
    pixels = exif.upright(image, tf.ensure_shape(pixels, [None, None, 3]))
    return tf.ensure_shape(tf.image.resize(pixels, [side, side], antialias=True), [side, side, 3])
