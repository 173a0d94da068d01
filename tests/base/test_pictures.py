"""The size that a picture's header speaks of is read without decoding it, and a huge one is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipelines.base import pictures

GREY = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(GREY).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "told"), [("PNG", 2_000), ("GIF", 2_000), ("JPEG", 2_000), ("PPM", 0), ("BMP", 0)]
)
def test_png_gif_and_jpeg_say_how_many_pixels_they_have(kind: str, told: int) -> None:
    import tensorflow as tf

    assert pictures.declared(tf.constant(encoded(kind))).numpy() == told


def test_a_few_bytes_say_nothing() -> None:
    import tensorflow as tf

    for text in (b"", b"\x89PNG", b"\xff\xd8\xff", b"GIF89a"):
        assert pictures.declared(tf.constant(text)).numpy() == 0


def test_one_that_says_it_is_huge_is_refused() -> None:
    import tensorflow as tf

    bomb = bytearray(encoded("PNG"))
    bomb[16:24] = (20_000).to_bytes(4, "big") * 2
    pictures.not_huge(tf.constant(encoded("PNG")))
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 50,000,000 pixels"):
        pictures.not_huge(tf.constant(bytes(bomb)))
