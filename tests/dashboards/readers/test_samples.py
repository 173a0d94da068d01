"""Decoded examples."""

from __future__ import annotations

import io

from dashboards.readers import samples


def test_a_drawn_array_is_a_picture_that_decodes() -> None:

    from PIL import Image

    pixels = bytes(range(256))
    image = Image.open(io.BytesIO(samples.png(pixels, 16, 16, 1)))
    assert image.size == (16, 16) and list(image.getdata()) == list(pixels)
