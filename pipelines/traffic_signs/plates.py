"""The 43 signs as drawings: shape, colours and symbol of each, simplified from the German road traffic regulations.

A symbol is a few strokes on a plate of 100 x 100, x to the right and y down, in a small language: `L6 20,80 50,20` a
line 6 wide, `A6 ...` one that ends in an arrow's head, `P ...` a filled polygon, `C5 50,50` a disc of radius 5,
`O12 50,50` a ring, `T40 STOP` text 40 high in the middle. A letter after the number is a colour of INK. It draws
single clean plates; drawing.py puts them into the world.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

SIDE, OVERSAMPLING = 192, 2
INK = {
    "k": (20, 20, 22),
    "w": (245, 245, 245),
    "r": (190, 20, 30),
    "b": (20, 70, 160),
    "y": (245, 190, 20),
    "g": (20, 130, 60),
    "s": (120, 120, 120),
}
DISC = "C50{0} 50,50|"
RING = "C50r 50,50|C39w 50,50|"
TRIANGLE = "Pr 50,4 100,93 0,93|Pw 50,23 84,83 16,83|"
CANCELLED = "C50w 50,50|"
STRIPES = "|L3k 22,84 76,14|L3k 28,88 82,18|L3k 16,80 70,10|O49k 50,50"
BLUE = DISC.format("b")
LORRY = "P{0} 22,38 54,38 54,62 22,62|P{0} 56,45 68,45 76,53 76,62 56,62|C6{0} 34,65|C6{0} 66,65"
CARS = "P{0} 18,56 22,46 44,46 48,56 48,62 18,62|C4{0} 25,63|C4{0} 42,63|P{1} 52,56 56,46 78,46 82,56 82,62 52,62"
LORRY_AND_CAR = (
    "P{0} 14,38 42,38 42,58 14,58|P{0} 43,44 50,44 55,51 55,58 43,58|C4{0} 22,60|C4{0} 48,60|"
    "P{1} 58,53 62,46 80,46 84,53 84,60 58,60|C4{1} 65,61|C4{1} 77,61"
)
PERSON = "C4k {0},42|L7k {0},47 {0},62|L4k {0},62 {1},78|L4k {0},62 {2},78|L3k {1},56 {0},50 {2},57"


def _person(middle: int, step: int) -> str:
    return PERSON.format(middle, middle - step, middle + step)


def _limit(speed: int) -> str:
    return f"{RING}T{50 if speed < 100 else 38}k {speed}"


PLATES: tuple[str, ...] = (
    *(_limit(speed) for speed in (20, 30, 50, 60, 70, 80)),
    CANCELLED + "T46s 80" + STRIPES,
    *(_limit(speed) for speed in (100, 120)),
    RING + CARS.format("r", "k"),
    RING + LORRY_AND_CAR.format("r", "k"),
    TRIANGLE + "L7k 50,78 50,50|Pk 50,34 60,52 40,52|L6k 34,62 66,62",
    "Pw 50,0 100,50 50,100 0,50|Pk 50,3 97,50 50,97 3,50|Pw 50,5 95,50 50,95 5,50|Py 50,20 80,50 50,80 20,50",
    "Pr 0,7 100,7 50,96|Pw 16,17 84,17 50,77",
    "Pw 29,0 71,0 100,29 100,71 71,100 29,100 0,71 0,29|Pr 31,4 69,4 96,31 96,69 69,96 31,96 4,69 4,31|T34w STOP",
    RING,
    RING + LORRY.format("k"),
    DISC.format("r") + "Pw 16,41 84,41 84,59 16,59",
    TRIANGLE + "Pk 45,36 55,36 53,63 47,63|C5k 50,73",
    TRIANGLE + "A7k 60,80 60,62 44,54 42,38",
    TRIANGLE + "A7k 40,80 40,62 56,54 58,38",
    TRIANGLE + "A6k 44,80 44,70 57,60 43,50 50,36",
    TRIANGLE + "Pk 26,78 26,72 34,72 42,58 50,72 58,58 66,72 74,72 74,78",
    TRIANGLE + "Pk 42,40 58,40 62,54 38,54|L3k 42,56 36,64 46,71 40,80|L3k 58,56 52,64 62,71 56,80",
    TRIANGLE + "L5k 40,80 40,64 46,54 46,40|L5k 60,80 60,64 54,54 54,40",
    TRIANGLE
    + "C4k 44,42|L6k 44,48 40,62|L4k 40,62 34,78|L4k 40,62 48,78|L3k 44,50 58,66|Pk 52,79 62,64 72,79",
    TRIANGLE + "Pk 42,36 58,36 58,80 42,80|C6r 50,44|C6y 50,58|C6g 50,72",
    TRIANGLE + _person(50, 8) + "|L3k 26,80 36,74|L3k 64,80 74,80",
    TRIANGLE + _person(42, 6) + "|" + _person(60, 5),
    TRIANGLE + "O9k 37,70|O9k 63,70|L3k 37,70 46,54 60,54 63,70|L3k 46,54 52,70 60,54|L3k 43,50 49,50",
    TRIANGLE + "L4k 50,38 50,80|L4k 32,49 68,69|L4k 68,49 32,69|L3k 44,42 50,48 56,42|L3k 44,76 50,70 56,76",
    TRIANGLE
    + "Pk 30,60 44,54 60,52 66,42 70,46 64,60 44,66|L3k 36,62 28,78|L3k 60,60 66,76|L3k 66,44 60,34|L3k 68,44 74,36",
    CANCELLED + STRIPES[1:],
    BLUE + "A11w 34,78 34,50 70,50",
    BLUE + "A11w 66,78 66,50 30,50",
    BLUE + "A12w 50,82 50,24",
    BLUE + "A9w 38,82 38,24|A9w 38,62 70,62",
    BLUE + "A9w 62,82 62,24|A9w 62,62 30,62",
    BLUE + "A13w 26,26 68,68",
    BLUE + "A13w 74,26 32,68",
    BLUE + "A8w 34,70 26,50 36,32|A8w 48,26 66,30 74,46|A8w 72,60 60,74 44,76",
    CANCELLED + CARS.format("s", "s") + STRIPES,
    CANCELLED + LORRY_AND_CAR.format("s", "s") + STRIPES,
)


@cache
def plate(label: int) -> Image.Image:
    """The sign of a class, upright and clean: RGBA [192, 192], transparent outside."""
    from PIL import Image, ImageDraw

    large = SIDE * OVERSAMPLING
    image = Image.new("RGBA", (large, large))
    pen = ImageDraw.Draw(image)
    for item in PLATES[label].split("|"):
        if item:
            _draw(pen, item, large / 100)
    return image.resize((SIDE, SIDE), Image.Resampling.BOX)


def _draw(pen: ImageDraw.ImageDraw, item: str, unit: float) -> None:
    """One item of a symbol, on a canvas with `unit` pixels to one of the plate's hundredths."""
    head, _, rest = item.partition(" ")
    size, ink = float(head[1:-1] or 0) * unit, INK[head[-1]]
    if head[0] == "T":
        from PIL import ImageFont

        font = ImageFont.load_default(size)
        pen.text(
            (50 * unit, 50 * unit), rest, ink, font, anchor="mm", stroke_width=size / 30, stroke_fill=ink
        )
        return
    points = [tuple(float(number) * unit for number in point.split(",")) for point in rest.split()]
    (x, y), *_ = points
    around = (x - size, y - size, x + size, y + size)
    if head[0] == "P":
        pen.polygon(points, ink)
    elif head[0] == "C":
        pen.ellipse(around, ink)
    elif head[0] == "O":
        pen.ellipse(around, outline=ink, width=round(3 * unit))
    else:
        pen.line(points, ink, round(size), joint="curve")
        if head[0] == "A":
            pen.polygon(_arrow_head(points[-2], points[-1], size), ink)


def _arrow_head(before: tuple[float, ...], end: tuple[float, ...], width: float) -> list[tuple[float, float]]:
    """A triangle three times as wide as the line that comes from `before`, its base at `end`."""
    along = math.atan2(end[1] - before[1], end[0] - before[0])
    return [
        (end[0] + 1.5 * width * math.cos(along + turn), end[1] + 1.5 * width * math.sin(along + turn))
        for turn in (0.0, math.pi / 2, -math.pi / 2)
    ]
