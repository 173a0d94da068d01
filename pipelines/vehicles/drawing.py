"""Draws vehicles from the side: boxes, windows, wheels, a road, a sky; each by a dozen numbers.

A bus is long, high and has many windows; a car is low and its cabin narrower than its body. Simpler than photographs:
always from the side, one vehicle, nothing in front of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SIZE = 128


class Look(NamedTuple):
    """How a vehicle is drawn, as shares of the picture's width: what `own.py` learns to tell from a drawing."""

    length: float
    height: float
    cabin: float
    windows: float
    wheel: float
    ground: float
    red: float
    green: float
    blue: float


def look(kind: str, random: np.random.Generator) -> Look:
    """A new bus or car."""
    red, green, blue = random.uniform(0.05, 1.0, 3)
    if kind == "bus":
        length = random.uniform(0.55, 0.9)
        return Look(
            length,
            length * random.uniform(0.3, 0.48),
            1.0,
            float(random.integers(4, 9)) / 10,
            random.uniform(0.035, 0.05),
            random.uniform(0.68, 0.85),
            red,
            green,
            blue,
        )
    length = random.uniform(0.4, 0.85)
    return Look(
        length,
        length * random.uniform(0.22, 0.34),
        random.uniform(0.45, 0.7),
        float(random.integers(1, 4)) / 10,
        length * random.uniform(0.07, 0.1),
        random.uniform(0.62, 0.85),
        red,
        green,
        blue,
    )


def draw(one: Look, random: np.random.Generator) -> np.ndarray:
    """The picture, uint8 [height, 128, 3], of a random shape, light and noise."""
    from PIL import Image, ImageDraw

    sky, road = random.integers(120, 256, 3), random.integers(30, 150, 3)
    picture = Image.new("RGB", (SIZE, SIZE), tuple(int(v) for v in sky))
    pen = ImageDraw.Draw(picture)
    ground = one.ground * SIZE
    pen.rectangle((0, ground - random.uniform(0, 20), SIZE, SIZE), fill=tuple(int(v) for v in road))
    for _ in range(random.integers(0, 5)):
        left, top = random.uniform(-20, SIZE), random.uniform(0, ground * 0.6)
        colour = tuple(int(v) for v in random.integers(40, 220, 3))
        pen.rectangle((left, top, left + random.uniform(8, 40), ground), fill=colour)
    _vehicle(pen, one, random, ground)
    picture = picture.crop((0, 0, SIZE, int(random.uniform(0.88, 1.0) * SIZE)))
    pixels = np.asarray(picture, np.float32) * random.uniform(0.55, 1.15) + random.normal(
        0, 6, (picture.height, SIZE, 1)
    )
    if random.random() < 0.5:
        pixels = pixels[:, ::-1]
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _vehicle(pen: object, one: Look, random: np.random.Generator, ground: float) -> None:
    paint = tuple(int(255 * value) for value in (one.red, one.green, one.blue))
    glass = tuple(int(v) for v in random.integers(60, 190, 3))
    left = random.uniform(0.02, 0.98 - one.length) * SIZE
    right, radius = left + one.length * SIZE, one.wheel * SIZE
    bottom, top = ground - radius * 0.6, ground - radius * 0.6 - one.height * SIZE
    is_box = one.cabin == 1.0
    belt = top if is_box else top + (bottom - top) * random.uniform(0.4, 0.5)
    pen.rounded_rectangle((left, belt, right, bottom), 3, fill=paint)  # type: ignore[attr-defined]
    width = one.cabin * (right - left)
    begin = left + (right - left - width) * (0.5 if is_box else random.uniform(0.35, 0.65))
    if not is_box:
        lean = random.uniform(0.1, 0.25) * width
        shape = [
            (begin, belt + 1),
            (begin + lean, top),
            (begin + width - lean, top),
            (begin + width, belt + 1),
        ]
        pen.polygon(shape, fill=paint)  # type: ignore[attr-defined]
        begin, width = begin + lean, width - 2 * lean
    count = round(one.windows * 10)
    high = (bottom - top) * (0.42 if is_box else 0.36)
    for number in range(count):
        x = begin + width * (number + 0.12) / count
        y = top + (bottom - top) * 0.1
        pen.rectangle((x, y, x + width * 0.76 / count, y + high), fill=glass)  # type: ignore[attr-defined]
    for share in (0.2, random.uniform(0.76, 0.84)):
        x = left + share * (right - left)
        pen.ellipse((x - radius, ground - 2 * radius + 1, x + radius, ground + 1), fill=(20, 20, 20))  # type: ignore[attr-defined]
