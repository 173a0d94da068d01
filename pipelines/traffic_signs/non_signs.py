"""Pictures that are no traffic signs, to ask a model that was only ever shown signs. Nothing is chosen by them.

Four kinds that need no data, and a fifth of the data's own colours: noise (of single pixels, and smooth), patterns
(stripes, checks, rays), scenes (a sky, ground, houses, trees, a wheel), writing, and signs whose sixteen tiles were
shuffled. They are as large as signs' pictures are. What real cameras see beside signs is more than this.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

SEED = 43
EACH = 40
SMALLEST, LARGEST = 30, 100
TILES = 4
Pixels = np.ndarray
Random = np.random.Generator


def make(signs: Iterable[bytes], each: int = EACH, seed: int = SEED) -> Iterator[tuple[str, bytes]]:
    """(kind, PNG) of `each` pictures of every kind; the shuffled ones are of `signs`, which are encoded pictures."""
    random = np.random.default_rng(seed)
    for kind, draw in KINDS.items():
        for _ in range(each):
            yield kind, _png(draw(int(random.integers(SMALLEST, LARGEST)), random))
    for image in itertools.islice(signs, each):
        yield "shuffled sign", _png(shuffled(image, random))


def noise(side: int, random: Random) -> Pixels:
    """Noise of every scale from single pixels to the whole picture."""
    cells = int(2 ** random.uniform(1, math.log2(side)))
    return _resized(random.integers(0, 256, (cells, cells, 3)).astype(np.uint8), side)


def pattern(side: int, random: Random) -> Pixels:
    """Stripes, checks or rays of two colours."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    turn, often = random.uniform(0, math.pi), random.uniform(1.5, 7)
    along = x * math.cos(turn) + y * math.sin(turn)
    across = y * math.cos(turn) - x * math.sin(turn)
    waves = {
        "stripes": np.sin(often * math.pi * along),
        "checks": np.sin(often * math.pi * along) * np.sin(often * math.pi * across),
        "rays": np.sin(round(often) * 2 * np.arctan2(across, along)),
    }
    share = 1 / (1 + np.exp(-8 * waves[str(random.choice(list(waves)))]))[..., None]
    one, other = random.integers(0, 256, (2, 3))
    return (share * one + (1 - share) * other).astype(np.uint8)


def scene(side: int, random: Random) -> Pixels:
    """A sky and a ground with houses, trees and a wheel here and there."""
    from PIL import Image, ImageDraw

    drawn = Image.new("RGB", (side, side), _colour(random, 120, 240))
    pen = ImageDraw.Draw(drawn)
    horizon = int(side * random.uniform(0.4, 0.8))
    pen.rectangle((0, horizon, side, side), fill=_colour(random, 40, 140))
    for _ in range(int(random.integers(2, 6))):
        left, width = random.uniform(-0.2, 0.9) * side, random.uniform(0.15, 0.5) * side
        top = horizon - random.uniform(0.15, 0.7) * side
        shape, box = int(random.integers(3)), (left, top, left + width, horizon)
        if shape == 0:
            pen.rectangle(box, fill=_colour(random, 30, 220))
            pen.polygon(
                (left, top, left + width, top, left + width / 2, top - width / 2),
                fill=_colour(random, 30, 160),
            )
        elif shape == 1:
            pen.rectangle(
                (left + width * 0.45, top, left + width * 0.55, horizon), fill=_colour(random, 30, 90)
            )
            pen.ellipse((left, top - width / 2, left + width, top + width / 2), fill=_colour(random, 20, 130))
        else:
            pen.ellipse(
                (left, horizon - width / 2, left + width, horizon + width / 2), fill=_colour(random, 10, 70)
            )
    return _worn(np.asarray(drawn), random)


def writing(side: int, random: Random) -> Pixels:
    """A few letters on a plain ground, as on a shop or a number plate; no ring, no triangle."""
    from PIL import Image, ImageDraw, ImageFont

    drawn = Image.new("RGB", (side, side), _colour(random, 100, 255))
    text = "".join(
        chr(int(letter)) for letter in random.integers(ord("A"), ord("Z") + 1, int(random.integers(2, 6)))
    )
    font = ImageFont.load_default(size=side * random.uniform(0.25, 0.5))
    place = tuple(random.uniform(0.0, 0.4, 2) * side)
    ImageDraw.Draw(drawn).text(place, text, fill=_colour(random, 0, 120), font=font)
    return _worn(np.asarray(drawn), random)


KINDS: dict[str, Callable[[int, Random], Pixels]] = {
    "noise": noise,
    "pattern": pattern,
    "scene": scene,
    "writing": writing,
}


def shuffled(image: bytes, random: Random) -> Pixels:
    """The tiles of an encoded picture in another order: a sign's colours and light, and no sign."""
    from PIL import Image

    side = TILES * max(8, Image.open(io.BytesIO(image)).width // TILES)
    pixels = np.asarray(Image.open(io.BytesIO(image)).convert("RGB").resize((side, side)))
    size = side // TILES
    tiles = pixels.reshape(TILES, size, TILES, size, 3).swapaxes(1, 2).reshape(-1, size, size, 3)
    tiles = tiles[random.permutation(len(tiles))].reshape(TILES, TILES, size, size, 3)
    return tiles.swapaxes(1, 2).reshape(side, side, 3)


def _colour(random: Random, low: int, high: int) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in random.integers(low, high, 3))
    return red, green, blue


def _worn(pixels: Pixels, random: Random) -> Pixels:
    """Some noise and light, as cameras add."""
    light = random.uniform(0.4, 1.2)
    return np.clip(pixels * light + random.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)


def _resized(pixels: Pixels, side: int) -> Pixels:
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))


def _png(pixels: Pixels) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
