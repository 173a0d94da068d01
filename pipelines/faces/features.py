"""From the bytes of a picture to one kind of picture, inside the graph: decoded, RGB, not larger than needed.

JPEG, PNG, GIF (its first frame) and BMP are TensorFlow's own; binary PGM and PPM are read here with string operations.
CMYK becomes RGB, 16 bits become 8. What cannot be decoded fails its batch with TensorFlow's InvalidArgumentError.
A camera's note on how it was held (EXIF) is not looked at, and faces are not looked for: that is the model's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.pictures import not_huge

if TYPE_CHECKING:
    import tensorflow as tf

IMAGE_KEY, PERSON_KEY, NAME_KEY = "image", "person", "name"
# What rows carry for slices; a client sends none of it.
SLICE_KEYS = ("brightness", "contrast", "lighting")
PICTURE_XF = "picture_xf"
# Pixels of the longer side beyond which a picture is made smaller: a face to be known takes 20 of them.
LONGEST = 640
# P5 or P6, width, height and the largest value; white space or comment lines between, one white space at the end.
_GAP = r"(?:\s|#[^\n]*\n)+"
PNM_HEADER = rf"^P[56]{_GAP}(\d{{1,5}}){_GAP}(\d{{1,5}}){_GAP}255\s"
PNM_HEADER_BYTES = 1024


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """`image` [n, 1] -> `picture_xf` [n], each a PNG of RGB; `person` stays, the rest is left out."""
    return {PICTURE_XF: canonical(inputs[IMAGE_KEY][:, 0]), PERSON_KEY: inputs[PERSON_KEY][:, 0]}


def canonical(images: tf.Tensor) -> tf.Tensor:
    """Encoded pictures [n] -> PNGs [n] of RGB whose longer side has LONGEST pixels at most."""
    import tensorflow as tf

    return tf.map_fn(
        lambda image: tf.io.encode_png(bounded(decode(image)), compression=1),
        images,
        fn_output_signature=tf.TensorSpec([], tf.string),
    )


def pixels(png: tf.Tensor) -> tf.Tensor:
    """One PNG of `canonical` as float32 [height, width, 3], 0 to 255."""
    import tensorflow as tf

    return tf.cast(tf.io.decode_png(png, channels=3), tf.float32)


def decode(image: tf.Tensor) -> tf.Tensor:
    """One encoded picture as uint8 [height, width, 3]; of several frames the first.

    A PNG, GIF or JPEG that says it has more than MOST_PIXELS is refused before it is unpacked: a few kilobytes can
    unpack to gigabytes.
    """
    import tensorflow as tf

    kind = tf.strings.substr(image, 0, 2)
    with tf.control_dependencies([not_huge(image)]):
        picture = tf.cond(
            tf.equal(kind, "P5") | tf.equal(kind, "P6"),
            lambda: decode_pnm(image),
            lambda: tf.io.decode_image(image, channels=3, expand_animations=False),
        )
    return tf.ensure_shape(picture, [None, None, 3])


def decode_pnm(image: tf.Tensor) -> tf.Tensor:
    """One binary PGM or PPM with one byte per value as uint8 [height, width, 3]; comments must be ASCII."""
    import tensorflow as tf

    # As Latin-1 every byte is a character, which regular expressions want; an ASCII header keeps its length.
    text = tf.strings.unicode_transcode(tf.strings.substr(image, 0, PNM_HEADER_BYTES), "ISO-8859-1", "UTF-8")
    header = tf.strings.regex_replace(text, rf"({PNM_HEADER})(?s:.*)$", r"\1")
    right = tf.strings.regex_full_match(header, PNM_HEADER)
    with tf.control_dependencies(
        [tf.debugging.Assert(right, ["not a binary PGM or PPM of 8 bits per value"])]
    ):
        width = tf.strings.to_number(tf.strings.regex_replace(header, PNM_HEADER, r"\1"), tf.int32)
        height = tf.strings.to_number(tf.strings.regex_replace(header, PNM_HEADER, r"\2"), tf.int32)
    planes = tf.where(tf.equal(tf.strings.substr(image, 1, 1), "6"), 3, 1)
    values = tf.strings.substr(image, tf.strings.length(header), planes * width * height)
    picture = tf.reshape(tf.io.decode_raw(values, tf.uint8), [height, width, planes])
    return tf.tile(picture, [1, 1, 3 // planes])


def bounded(picture: tf.Tensor) -> tf.Tensor:
    """uint8 [height, width, 3], made smaller where its longer side has more than LONGEST pixels; no side vanishes."""
    import tensorflow as tf

    size = tf.shape(picture)[:2]
    scale = LONGEST / tf.reduce_max(size)
    smaller = tf.maximum(1, tf.cast(tf.round(tf.cast(size, tf.float64) * scale), tf.int32))

    def shrink() -> tf.Tensor:
        resized = tf.image.resize(picture, smaller, antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)

    return tf.cond(scale < 1, shrink, lambda: picture)
