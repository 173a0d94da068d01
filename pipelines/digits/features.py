"""Names and transformation of the digit images.

Pixels stay the bytes they are: a float per pixel would cost four times the disk and most of the parsing time,
and scaling to 0..1 is one multiplication in the model. So Transform's work here is to say what the model sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

IMAGE_KEY, LABEL_KEY = "image", "label"
PIXELS_KEY = "image_xf"
SIDE, CLASSES = 28, 10


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """`image` (784 raw bytes) and `label` of each row [n, 1] -> `image_xf` and `label`; the name is left out."""
    return {PIXELS_KEY: inputs[IMAGE_KEY], LABEL_KEY: inputs[LABEL_KEY]}


def pixels(image_bytes: tf.Tensor) -> tf.Tensor:
    """Raw bytes [n] or [n, 1] -> float32 [n, 28, 28], 0 (paper) to 255 (ink).

    A row of another length than 784 fails the batch with TensorFlow's InvalidArgumentError.
    """
    import tensorflow as tf

    flat = tf.io.decode_raw(tf.reshape(image_bytes, [-1]), tf.uint8)
    return tf.cast(tf.reshape(flat, [-1, SIDE, SIDE]), tf.float32)


def signature_inputs(serialized: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Raw tf.Examples [n] -> what the signature `float_pixels` takes, and labels [n]; for exporters."""
    import tensorflow as tf

    spec = {
        IMAGE_KEY: tf.io.FixedLenFeature([], tf.string),
        LABEL_KEY: tf.io.FixedLenFeature([], tf.int64),
    }
    rows = tf.io.parse_example(tf.constant(list(serialized)), spec)
    return {"image": pixels(rows[IMAGE_KEY]).numpy()}, rows[LABEL_KEY].numpy()
