"""From the bytes of a picture to 32 x 32 grey values, inside the graph: decode, crop, grey, resize, equalise.

PNG is TensorFlow's own; binary PPM (P6, the format of the official set) is read here with string operations. What
cannot be decoded fails its batch with TensorFlow's InvalidArgumentError. Transform keeps the sign with a rim around
it, so that training can move the picture (augmentation.py); `centre` and `equalise` make of it what the network sees.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

IMAGE_KEY, BOX_KEY, LABEL_KEY = "image", "box", "label"
# What rows carry for people and slices; a client does not send it.
SLICE_KEYS = ("category", "size", "brightness")
INFORMATION_KEYS = ("name", *SLICE_KEYS)
CROP_KEY = "crop_xf"
CLASSES, SIDE, RIM = 43, 32, 4
CROP_SIDE = SIDE + 2 * RIM
LEVELS = 256
# P6, width, height and the largest value, 255; white space or comment lines between, one white space at the end.
_GAP = r"(?:\s|#[^\n]*\n)+"
PPM_HEADER = rf"^P6{_GAP}(\d{{1,5}}){_GAP}(\d{{1,5}}){_GAP}255\s"
PPM_HEADER_BYTES = 1024


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """`image` [n, 1] bytes and `box` [n, 4] -> `crop_xf` float32 [n, 40, 40]; `label` stays, the rest is left out."""
    return {CROP_KEY: crops(inputs[IMAGE_KEY][:, 0], inputs[BOX_KEY]), LABEL_KEY: inputs[LABEL_KEY]}


def crops(images: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Encoded pictures [n] and sign boxes int64 [n, 4] -> grey values 0..255, float32 [n, 40, 40].

    The box (left, top, right, bottom, in pixels, the last two inside the sign) fills the middle 32 x 32. A box
    without area means that it is not known; see `known_box`.
    """
    import tensorflow as tf

    return tf.map_fn(
        lambda pair: crop(decode(pair[0]), pair[1]),
        (images, boxes),
        fn_output_signature=tf.TensorSpec([CROP_SIDE, CROP_SIDE], tf.float32),
    )


def decode(image: tf.Tensor) -> tf.Tensor:
    """One PNG (or JPEG) or binary PPM as uint8 [height, width, 3]."""
    import tensorflow as tf

    picture = tf.cond(
        tf.equal(tf.strings.substr(image, 0, 2), "P6"),
        lambda: decode_ppm(image),
        lambda: tf.io.decode_png(image, channels=3),
    )
    return tf.ensure_shape(picture, [None, None, 3])


def decode_ppm(image: tf.Tensor) -> tf.Tensor:
    """One binary PPM with one byte per value as uint8 [height, width, 3]. Comments in its header must be ASCII."""
    import tensorflow as tf

    # As Latin-1 every byte is a character, which regular expressions want; an ASCII header keeps its length.
    text = tf.strings.unicode_transcode(tf.strings.substr(image, 0, PPM_HEADER_BYTES), "ISO-8859-1", "UTF-8")
    rest = r"(?s:.*)$"
    header = tf.strings.regex_replace(text, f"({PPM_HEADER}){rest}", r"\1")
    is_ppm = tf.strings.regex_full_match(header, f"{PPM_HEADER}")
    with tf.control_dependencies([tf.debugging.Assert(is_ppm, ["not a binary PPM of 8 bits per value"])]):
        width = tf.strings.to_number(tf.strings.regex_replace(header, PPM_HEADER, r"\1"), tf.int32)
        height = tf.strings.to_number(tf.strings.regex_replace(header, PPM_HEADER, r"\2"), tf.int32)
    pixels = tf.strings.substr(image, tf.strings.length(header), 3 * width * height)
    return tf.reshape(tf.io.decode_raw(pixels, tf.uint8), [height, width, 3])


def crop(picture: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """The box of a picture [height, width, 3] and its rim, grey, as float32 [40, 40].

    Where the rim leaves the picture, the picture's edge goes on.
    """
    import tensorflow as tf

    height, width = tf.shape(picture)[0], tf.shape(picture)[1]
    left, top, right, bottom = tf.unstack(known_box(tf.cast(box, tf.int32), width, height))
    grey = tf.image.rgb_to_grayscale(tf.cast(picture, tf.float32))

    def places(first: tf.Tensor, last: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        rim = tf.cast(tf.round(tf.cast(last - first + 1, tf.float32) * (RIM / SIDE)), tf.int32)
        return tf.clip_by_value(tf.range(first - rim, last + rim + 1), 0, size - 1)

    region = tf.gather(tf.gather(grey, places(top, bottom, height)), places(left, right, width), axis=1)
    return tf.image.resize(region, [CROP_SIDE, CROP_SIDE], antialias=True)[..., 0]


def known_box(box: tf.Tensor, width: tf.Tensor, height: tf.Tensor) -> tf.Tensor:
    """`box` int32 [4] inside the picture; for one without area, the picture without the official set's margin.

    That set's pictures have a margin of a tenth of the sign, at least 5 pixels, on every side.
    """
    import tensorflow as tf

    def margin(size: tf.Tensor) -> tf.Tensor:
        return tf.minimum(tf.maximum(5, size // 12), (size - 1) // 2)

    across, down = margin(width), margin(height)
    usual = tf.stack([across, down, width - 1 - across, height - 1 - down])
    has_area = (box[2] > box[0]) & (box[3] > box[1])
    inside = tf.clip_by_value(box, 0, tf.stack([width, height, width, height]) - 1)
    return tf.where(has_area, inside, usual)


def centre(rimmed: tf.Tensor) -> tf.Tensor:
    """The sign itself: [n, 40, 40] -> [n, 32, 32]."""
    return rimmed[:, RIM:-RIM, RIM:-RIM]


def equalise(grey: tf.Tensor) -> tf.Tensor:
    """Histogram equalisation of each picture [n, 32, 32] of values 0..255, scaled to mean 0 and deviation 1.

    A value becomes the share of its picture's pixels that are darker (its own level counted half), which is uniform
    over 0..1 whatever the lighting; of a uniform variable the deviation is 1 / sqrt(12).
    """
    import tensorflow as tf

    count = SIDE * SIDE
    levels = tf.cast(tf.clip_by_value(tf.round(grey), 0, LEVELS - 1), tf.int32)
    flat = tf.reshape(levels, [-1, count])
    histogram = tf.math.bincount(flat, minlength=LEVELS, maxlength=LEVELS, axis=-1, dtype=tf.float32)
    darker = tf.cumsum(histogram, axis=1) - histogram / 2
    share = tf.gather(darker, flat, batch_dims=1) / count
    return tf.reshape((share - 0.5) * math.sqrt(12), [-1, SIDE, SIDE])
