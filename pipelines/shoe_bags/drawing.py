"""Draws shoes from the side and bags from the front by parameters: every one has its own shape, shade and pattern.

28 x 28, bright on black, the toe to the left, as Fashion-MNIST's are. Nobody's product is copied, and shoes and bags
share nothing but what any two things do: how large, how bright, and how they are patterned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

SIDE, OVERSAMPLING = 28, 4
SIZE = SIDE * OVERSAMPLING
Point = tuple[float, float]


def bag(random: np.random.Generator) -> np.ndarray:
    """uint8 [28, 28]: a body wider or narrower below than above, a handle or none, a flap and a clasp."""
    canvas, draw = _canvas()
    width, height = random.uniform(0.5, 0.92), random.uniform(0.35, 0.68)
    slant, bottom = random.uniform(-0.08, 0.08), random.uniform(0.84, 0.96)
    top, left = bottom - height, (1 - width) / 2
    shade = int(random.uniform(90, 245))
    if random.random() < 0.85:
        reach = random.uniform(0.3, 0.9) * width
        high = max(0.04, top - random.uniform(0.1, 0.35))
        box = [0.5 - reach / 2, high, 0.5 + reach / 2, top + (top - high)]
        pen = int(random.uniform(3, 7))
        draw.arc([SIZE * at for at in box], 180, 360, fill=_other(random, shade), width=pen)
    corners = [
        (left - slant, bottom),
        (left + slant, top),
        (1 - left - slant, top),
        (1 - left + slant, bottom),
    ]
    _filled(random, canvas, lambda pen: pen.polygon(_scaled(corners), fill=255), shade)
    if random.random() < 0.5:
        low = top + random.uniform(0.25, 0.5) * height
        flap = [
            (left + slant, top),
            (1 - left - slant, top),
            (1 - left - slant - 0.05, low),
            (left + slant + 0.05, low),
        ]
        draw.line(_scaled(flap[1:] + flap[:1]), fill=_other(random, shade), width=3)
        draw.ellipse([SIZE * at for at in (0.47, low - 0.04, 0.53, low + 0.02)], fill=_other(random, shade))
    return _small(canvas)


def shoe(kind: str, random: np.random.Generator) -> np.ndarray:
    """uint8 [28, 28] of a "sandal", "sneaker" or "ankle boot"."""
    canvas, draw = _canvas()
    shade, floor = int(random.uniform(90, 245)), random.uniform(0.72, 0.9)
    toe, heel = random.uniform(0.02, 0.12), random.uniform(0.88, 0.98)
    rise = random.uniform(0.0, 0.22) if kind != "sneaker" else random.uniform(0.0, 0.05)
    thick = random.uniform(0.03, 0.09)
    sole = [(toe, floor - thick), (0.5, floor - thick - rise / 2), (heel, floor - thick - rise)]
    sole += [(heel, floor - rise), (0.5, floor - rise / 2), (toe, floor)]
    {"sandal": _straps, "sneaker": _low, "ankle boot": _shaft}[kind](random, canvas, sole[:3], shade)
    draw.polygon(_scaled(sole), fill=_other(random, shade))
    block = random.uniform(0.05, 0.2)
    draw.polygon(
        _scaled(
            [(heel - block, floor - rise), (heel, floor - rise), (heel, floor), (heel - block * 0.7, floor)]
        ),
        fill=_other(random, shade),
    )
    return _small(canvas)


def _low(random: np.random.Generator, canvas: Any, sole: Sequence[Point], shade: int) -> None:
    """The upper of a sneaker, with laces or without."""
    (toe, front), _, (heel, back) = sole
    height = random.uniform(0.2, 0.36)
    throat = random.uniform(0.45, 0.6)
    upper = [(toe, front), (toe + 0.04, front - 0.1), (toe + 0.2, front - 0.16), (throat, front - height)]
    upper += [(throat + 0.1, front - height + 0.04), (heel, back - height), (heel, back)]
    _filled(random, canvas, lambda pen: pen.polygon(_scaled(upper), fill=255), shade)
    from PIL import ImageDraw

    for lace in range(int(random.integers(0, 4))):
        at = toe + 0.25 + 0.08 * lace
        ends = [(at, front - 0.14 - 0.05 * lace), (at + 0.09, front - 0.08 - 0.05 * lace)]
        ImageDraw.Draw(canvas).line(_scaled(ends), fill=_other(random, shade), width=3)


def _shaft(random: np.random.Generator, canvas: Any, sole: Sequence[Point], shade: int) -> None:
    """The upper of a boot: a shaft above the heel."""
    (toe, front), _, (heel, back) = sole
    top, ankle = random.uniform(0.04, 0.24), random.uniform(0.48, 0.62)
    upper = [(toe, front), (toe + 0.05, front - 0.12), (ankle - 0.05, front - random.uniform(0.18, 0.26))]
    upper += [(ankle, top), (heel - random.uniform(0, 0.06), top), (heel, back)]
    _filled(random, canvas, lambda pen: pen.polygon(_scaled(upper), fill=255), shade)


def _straps(random: np.random.Generator, canvas: Any, sole: Sequence[Point], shade: int) -> None:
    """Straps over the toes, over the instep and around the ankle of a sandal."""
    from PIL import ImageDraw

    (toe, front), (_, middle), (heel, back) = sole
    pen = ImageDraw.Draw(canvas)
    high = back - random.uniform(0.18, 0.36)
    width = int(random.uniform(5, 12))
    pen.line(
        _scaled([(toe + 0.06, front), (toe + 0.2, front - 0.16), (toe + 0.34, middle)]),
        fill=shade,
        width=width,
    )
    if random.random() < 0.7:
        pen.line(_scaled([(0.5, middle), (0.66, high + 0.06)]), fill=shade, width=width)
    pen.line(_scaled([(heel, back), (heel - 0.02, high), (0.62, high + 0.05)]), fill=shade, width=width)


def _canvas() -> tuple[Any, Any]:
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (SIZE, SIZE))
    return canvas, ImageDraw.Draw(canvas)


def _filled(random: np.random.Generator, canvas: Any, shape: Callable[[Any], None], shade: int) -> None:
    """Fills what `shape` draws with a shade, plain or in stripes or checks."""
    from PIL import Image, ImageDraw

    mask = Image.new("L", (SIZE, SIZE))
    shape(ImageDraw.Draw(mask))
    down, across = np.mgrid[:SIZE, :SIZE]
    period, kind = int(random.integers(10, 26)), random.random()
    pattern = np.zeros((SIZE, SIZE), bool)
    if kind < 0.15:
        pattern = across // period % 2 == 0
    elif kind < 0.3:
        pattern = down // period % 2 == 0
    elif kind < 0.4:
        pattern = (across // period + down // period) % 2 == 0
    fill = np.where(pattern, int(shade * random.uniform(0.5, 0.85)), shade).astype(np.uint8)
    canvas.paste(Image.fromarray(fill), (0, 0), mask)


def _other(random: np.random.Generator, shade: int) -> int:
    """A shade that can be told from `shade`."""
    step = int(random.uniform(35, 90))
    return shade - step if shade > 150 else shade + step


def _scaled(points: Sequence[Point]) -> list[Point]:
    return [(SIZE * across, SIZE * down) for across, down in points]


def _small(canvas: Any) -> np.ndarray:
    from PIL import Image

    return np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BOX))
