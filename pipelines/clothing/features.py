"""Names and transformation of the pictures of clothing, and photographs in the manner of the data set.

Pixels stay the bytes they are, as in digits: scaling to 0..1 is one multiplication in the model. `photographs` makes of
an encoded picture what the set holds: grey, light on black, 28 x 28.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.pictures import not_huge

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

IMAGE_KEY, LABEL_KEY = "image", "label"
PIXELS_KEY = "image_xf"
SIDE, CLASSES = 28, 10
# What is smaller shows no garment.
LEAST_SIDE = 8


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """`image` (784 raw bytes) and `label` of each row [n, 1] -> `image_xf` and `label`; the name is left out."""
    return {PIXELS_KEY: inputs[IMAGE_KEY], LABEL_KEY: inputs[LABEL_KEY]}


def pixels(image_bytes: tf.Tensor) -> tf.Tensor:
    """Raw bytes [n] or [n, 1] -> float32 [n, 28, 28], 0 (nothing) to 255.

    A row of another length than 784 fails the batch with TensorFlow's InvalidArgumentError.
    """
    import tensorflow as tf

    flat = tf.io.decode_raw(tf.reshape(image_bytes, [-1]), tf.uint8)
    return tf.cast(tf.reshape(flat, [-1, SIDE, SIDE]), tf.float32)


def raw_rows(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Raw tf.Examples [n] -> float pixels [n, 28, 28] and labels int64 [n]."""
    import tensorflow as tf

    spec = {
        IMAGE_KEY: tf.io.FixedLenFeature([], tf.string),
        LABEL_KEY: tf.io.FixedLenFeature([], tf.int64),
    }
    rows = tf.io.parse_example(serialized, spec)
    return pixels(rows[IMAGE_KEY]), rows[LABEL_KEY]


def signature_inputs(serialized: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Raw tf.Examples [n] -> what the signature `float_pixels` takes, and labels [n]; for exporters."""
    import tensorflow as tf

    images, labels = raw_rows(tf.constant(list(serialized)))
    return {"image": images.numpy()}, labels.numpy()


def photographs(images: tf.Tensor) -> tf.Tensor:
    """Encoded pictures [n] -> float32 [n, 28, 28] as the set has them.

    JPEG (grey, colour, CMYK), PNG (8 or 16 bits), GIF (its first frame) and BMP. What is no such picture, has a side
    under 8 pixels or says that it has more than 50 million fails its batch with InvalidArgumentError.
    """
    import tensorflow as tf

    return tf.map_fn(
        photograph, tf.reshape(images, [-1]), fn_output_signature=tf.TensorSpec([SIDE, SIDE], tf.float32)
    )


def photograph(image: tf.Tensor) -> tf.Tensor:
    """One encoded picture, a string [] -> [28, 28]: grey, fitted into the square, light on black.

    The set's makers turned photographs before white to their negative; a picture whose rim is lighter than the middle
    of the scale is turned likewise, any other is left.
    """
    import tensorflow as tf

    with tf.control_dependencies([not_huge(image)]):
        colour = tf.io.decode_image(image, channels=3, expand_animations=False)
    colour = tf.ensure_shape(colour, [None, None, 3])
    large = tf.debugging.Assert(
        tf.reduce_min(tf.shape(colour)[:2]) >= LEAST_SIDE,
        ["the picture has", tf.shape(colour)[:2], f"pixels; expected sides of {LEAST_SIDE} or more"],
    )
    with tf.control_dependencies([large]):
        grey = tf.cast(tf.image.rgb_to_grayscale(colour), tf.float32)[..., 0]
    rim = tf.concat([grey[0], grey[-1], grey[:, 0], grey[:, -1]], axis=0)
    dark = tf.cond(tf.reduce_mean(rim) > 127.5, lambda: 255.0 - grey, lambda: grey)
    fitted = tf.image.resize(dark[..., None], [SIDE, SIDE], preserve_aspect_ratio=True, antialias=True)
    return tf.ensure_shape(tf.image.resize_with_crop_or_pad(fitted, SIDE, SIDE)[..., 0], [SIDE, SIDE])
