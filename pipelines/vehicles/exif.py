"""How a camera was held: the EXIF orientation of a JPEG, read and undone by TensorFlow operations.

A photograph from a telephone is often stored lying down, with a note that says so; TensorFlow's decoder does not read
it. What is no JPEG, has no such note or a broken one, is taken as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

# The note is near the beginning; what is further down is not looked at.
SEARCHED = 1 << 17
MOST_SEGMENTS, MOST_ENTRIES = 64, 256
START_OF_SCAN, APPLICATION_1, ORIENTATION = 0xDA, 0xE1, 0x0112
HEADER = tuple(b"Exif\0\0")


def upright(image: tf.Tensor, pixels: tf.Tensor) -> tf.Tensor:
    """The decoded `pixels` [height, width, 3] of `image` [] as the camera saw them."""
    import tensorflow as tf

    told = orientation(image)
    # 5 to 8 are 1 to 4 with rows and columns exchanged; of four, 2 and 3 run from right to left, 3 and 4 upwards.
    pixels = tf.cond(told > 4, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)
    four = (told - 1) % 4
    down, across = tf.range(tf.shape(pixels)[0]), tf.range(tf.shape(pixels)[1])
    rows = tf.where(four >= 2, down[::-1], down)
    columns = tf.where((four == 1) | (four == 2), across[::-1], across)
    return tf.gather(tf.gather(pixels, rows), columns, axis=1)


def orientation(image: tf.Tensor) -> tf.Tensor:
    """1 to 8 as EXIF counts, int32 []; 1 is upright, 6 a camera held a quarter to the right."""
    import tensorflow as tf

    head = tf.cast(tf.io.decode_raw(tf.strings.substr(image, 0, SEARCHED), tf.uint8), tf.int32)
    count = tf.size(head)
    # Whatever place a broken file names, there is something to read.
    padded = tf.concat([head, tf.zeros([16], tf.int32)], axis=0)

    def byte(place: tf.Tensor) -> tf.Tensor:
        return padded[tf.clip_by_value(place, 0, count + 15)]

    def more(place: tf.Tensor, seen: tf.Tensor, note: tf.Tensor) -> tf.Tensor:
        return (
            (note == 0)
            & (seen < MOST_SEGMENTS)
            & (place + 4 < count)
            & (byte(place) == 0xFF)
            & (byte(place + 1) != START_OF_SCAN)
        )

    def step(place: tf.Tensor, seen: tf.Tensor, note: tf.Tensor) -> list[tf.Tensor]:
        is_note = byte(place + 1) == APPLICATION_1
        for offset, value in enumerate(HEADER):
            is_note &= byte(place + 4 + offset) == value
        length = byte(place + 2) * 256 + byte(place + 3)
        return [place + 2 + tf.maximum(length, 2), seen + 1, tf.where(is_note, place + 4 + len(HEADER), 0)]

    is_jpeg = (byte(0) == 0xFF) & (byte(1) == 0xD8)
    zero = tf.constant(0)
    _, _, note = tf.while_loop(more, step, [tf.where(is_jpeg, 2, count), zero, zero])
    return tf.cond(note > 0, lambda: _of_note(byte, note), lambda: tf.constant(1))


def _of_note(byte: object, note: tf.Tensor) -> tf.Tensor:
    """The orientation in the TIFF structure that begins at `note`, in either byte order."""
    import tensorflow as tf

    little = byte(note) == ord("I")  # type: ignore[operator]

    def number(place: tf.Tensor, size: int) -> tf.Tensor:
        parts = [byte(place + i) for i in range(size)]  # type: ignore[operator]
        low_first = sum(part * 256**i for i, part in enumerate(parts[:3]))
        high_first = sum(part * 256**i for i, part in enumerate(parts[::-1][:3]))
        return tf.where(little, low_first, high_first)

    table = note + number(note + 4, 4)
    entries = tf.minimum(number(table, 2), MOST_ENTRIES)

    def value_of(entry: tf.Tensor) -> tf.Tensor:
        place = table + 2 + 12 * entry
        return tf.where(number(place, 2) == ORIENTATION, number(place + 8, 2), 0)

    told = tf.reduce_max(
        tf.concat([[0], tf.map_fn(value_of, tf.range(entries), fn_output_signature=tf.int32)], axis=0)
    )
    return tf.where((told >= 1) & (told <= 8), told, 1)
