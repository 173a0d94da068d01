"""What the header of an encoded picture says of its size, inside the graph: a few kilobytes can unpack to gigabytes.

Nothing is decoded here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

MOST_PIXELS = 50_000_000


def declared(image: tf.Tensor) -> tf.Tensor:
    """How many pixels the header of a PNG, GIF or JPEG speaks of, int64 []; 0 for anything else."""
    import tensorflow as tf

    def number(at: int, count: int, order: int) -> tf.Tensor:
        values = tf.cast(tf.io.decode_raw(tf.strings.substr(image, at, count), tf.uint8), tf.int64)[::order]
        return tf.reduce_sum(values * tf.constant([256**power for power in range(count)][::-1], tf.int64))

    def jpeg() -> tf.Tensor:
        return tf.reduce_prod(tf.cast(tf.io.extract_jpeg_shape(image)[:2], tf.int64))

    def starts(text: bytes) -> tf.Tensor:
        return tf.equal(tf.strings.substr(image, 0, len(text)), text) & (tf.strings.length(image) >= 24)

    return tf.case(
        [
            (starts(b"\x89PNG"), lambda: number(16, 4, 1) * number(20, 4, 1)),
            (starts(b"GIF8"), lambda: number(6, 2, -1) * number(8, 2, -1)),
            (starts(b"\xff\xd8"), jpeg),
        ],
        default=lambda: tf.constant(0, tf.int64),
        exclusive=True,
    )


def not_huge(image: tf.Tensor) -> tf.Operation:
    """Fails with InvalidArgumentError if a PNG, GIF or JPEG says that it has more than MOST_PIXELS."""
    import tensorflow as tf

    return tf.debugging.Assert(declared(image) <= MOST_PIXELS, [f"more than {MOST_PIXELS:,} pixels"])
