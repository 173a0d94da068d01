"""Draws garments by parameters: ten kinds of clothes, shoes and bags as 28 x 28 grey pictures, light on black.

Simpler than photographs, of one style, and hard where theirs is: shirts, coats and pullovers differ by a collar, a
row of buttons, an opening. Places are shares of the picture, x to the right and y down. It knows no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.clothing.features import SIDE

# Drawn this many times larger, then reduced: soft edges.
OVER = 4
SHADE = 0.55
Place = tuple[float, float]


def draw(label: int, random: np.random.Generator) -> np.ndarray:
    """One picture of class `label`, uint8 [28, 28]."""
    from PIL import Image

    side = SIDE * OVER
    paper = _Paper(Image.new("L", (side, side)), float(np.clip(random.normal(165, 45), 60, 250)))
    KINDS[label](paper, random)
    values = np.asarray(paper.picture, np.float32)
    values = values * _cloth(side, random)
    small = values.reshape(SIDE, OVER, SIDE, OVER).mean(axis=(1, 3))
    there = small > 8
    small = small + there * random.normal(0, random.uniform(2, 14), small.shape)
    down, across = random.integers(0, 3, 2)
    moved = np.pad(small, 1)[down : down + SIDE, across : across + SIDE]
    return np.clip(np.round(moved), 0, 255).astype(np.uint8)


def _cloth(side: int, random: np.random.Generator) -> np.ndarray:
    """What is woven or printed, as factors [side, side]: plain, striped either way, or a print; and folds."""
    down, across = np.mgrid[0:side, 0:side] / side
    pattern = random.choice(["plain", "plain", "across", "down", "print"])
    factors = np.ones((side, side))
    if pattern in ("across", "down"):
        along = down if pattern == "across" else across
        wave = np.sin(2 * np.pi * (along * random.uniform(4, 11) + random.random()))
        factors -= random.uniform(0.1, 0.5) * (wave > random.uniform(-0.5, 0.5))
    if pattern == "print":
        middle, size = (
            (0.5 + random.uniform(-0.05, 0.05), random.uniform(0.3, 0.6)),
            random.uniform(0.04, 0.14),
        )
        inside = np.maximum(np.abs(across - middle[0]), np.abs(down - middle[1])) < size
        factors[inside] *= random.uniform(0.3, 1.5)
    turn = random.uniform(0, 2 * np.pi)
    fold = np.sin(2 * np.pi * (across * np.cos(turn) + down * np.sin(turn)) * random.uniform(0.5, 3))
    return factors * (1 + random.uniform(0, 0.18) * fold)


class _Paper:
    """A picture on which places are shares of its sides and tones shares of the garment's own."""

    def __init__(self, picture: Any, tone: float) -> None:
        from PIL import ImageDraw

        self.picture, self.tone = picture, tone
        self.pen = ImageDraw.Draw(picture)

    def at(self, places: Sequence[Place]) -> list[Place]:
        return [(x * self.picture.width, y * self.picture.height) for x, y in places]

    def fill(self, places: Sequence[Place], share: float = 1.0) -> None:
        self.pen.polygon(self.at(places), fill=round(min(255.0, self.tone * share)))

    def both(self, places: Sequence[Place], share: float = 1.0) -> None:
        """The shape and its mirror image."""
        self.fill(places, share)
        self.fill([(1 - x, y) for x, y in places], share)

    def line(self, places: Sequence[Place], width: float, share: float = SHADE) -> None:
        thick = max(1, round(width * self.picture.width))
        self.pen.line(self.at(places), fill=round(min(255.0, self.tone * share)), width=thick, joint="curve")

    def oval(self, box: Sequence[float], share: float = 0.0) -> None:
        (left, top), (right, bottom) = self.at([(box[0], box[1]), (box[2], box[3])])
        self.pen.ellipse((left, top, right, bottom), fill=round(min(255.0, self.tone * share)))


def _top(paper: _Paper, random: np.random.Generator, sleeve: float, hem: float, narrow: float = 0.0) -> float:
    """Shoulders, body to `hem`, sleeves down by `sleeve` of it; `narrow` is cut off the waist. The half width."""
    half, top = random.uniform(0.19, 0.25), random.uniform(0.02, 0.07)
    neck = random.uniform(0.07, 0.12)
    wide = half + random.uniform(-0.01, 0.04)
    middle = top + 0.45 * (hem - top)
    paper.both(
        [(0.5, top + 0.03), (0.5 - neck, top), (0.5 - half, top + 0.07), (0.5 - half + narrow, middle),
         (0.5 - wide, hem), (0.5, hem)]
    )  # fmt: skip
    if sleeve:
        end, reach, thick = top + 0.08 + sleeve * (hem - top), random.uniform(0.04, 0.12), 0.12
        outer = 0.5 - half - (reach if sleeve > 0.4 else 0.13)
        shoulder = (0.5 - half + 0.03, top + 0.02)
        inner = min(outer + thick, 0.5 - half + 0.02)
        paper.both([shoulder, (outer, end - 0.03), (inner, end), (0.5 - half + 0.02, top + 0.26)], 0.93)
        paper.both(
            [(0.5 - half, top + 0.2), (0.5 - half + 0.012, hem - 0.05), (0.5 - half, hem - 0.05)], 0.45
        )
    paper.oval((0.5 - neck, top - 0.06, 0.5 + neck, top + random.uniform(0.04, 0.12)))
    return half


def _t_shirt(paper: _Paper, random: np.random.Generator) -> None:
    _top(paper, random, random.uniform(0.16, 0.3), random.uniform(0.86, 0.98))


def _trouser(paper: _Paper, random: np.random.Generator) -> None:
    half, gap = random.uniform(0.11, 0.18), random.uniform(0.0, 0.05)
    crotch, hem = random.uniform(0.22, 0.36), random.uniform(0.94, 0.99)
    leg = random.uniform(0.07, 0.13)
    left = 0.5 - half - random.uniform(0, 0.06)
    paper.both([(0.5, 0.03), (0.5 - half, 0.03), (left, hem), (left + leg, hem), (0.5 - gap / 2, crotch)])
    paper.line([(0.5 - half, 0.07), (0.5 + half, 0.07)], 0.015)


def _pullover(paper: _Paper, random: np.random.Generator) -> None:
    hem = random.uniform(0.86, 0.98)
    half = _top(paper, random, random.uniform(0.72, 0.95), hem)
    paper.line([(0.5 - half, hem - 0.05), (0.5 + half, hem - 0.05)], 0.02, random.uniform(0.6, 0.9))


def _dress(paper: _Paper, random: np.random.Generator) -> None:
    half, waist = random.uniform(0.1, 0.15), random.uniform(0.06, 0.11)
    flare, middle = random.uniform(0.1, 0.24), random.uniform(0.3, 0.45)
    strap = random.uniform(0.03, 0.08)
    paper.both([(0.5 - half, 0.02), (0.5 - half + strap, 0.02), (0.5, 0.14), (0.5, middle), (0.5 - waist, middle),
                (0.5 - half, 0.16)])  # fmt: skip
    paper.both([(0.5, middle - 0.01), (0.5 - waist, middle - 0.01), (0.5 - flare, 0.98), (0.5, 0.98)])
    if random.random() < 0.4:
        end = random.uniform(0.2, 0.55)
        paper.both(
            [(0.5 - half, 0.03), (0.5 - half - 0.1, end), (0.5 - half - 0.03, end), (0.5 - half, 0.18)], 0.9
        )


def _coat(paper: _Paper, random: np.random.Generator) -> None:
    hem = random.uniform(0.92, 0.99)
    _top(paper, random, random.uniform(0.7, 0.92), hem, random.uniform(0.0, 0.04))
    off = 0.5 + random.uniform(-0.03, 0.03)
    paper.line([(off, 0.1), (off, hem)], random.uniform(0.015, 0.035), random.uniform(0.2, 0.55))
    paper.both([(0.47, 0.04), (0.4, 0.06), (0.48, random.uniform(0.22, 0.36))], random.uniform(0.6, 0.8))


def _sandal(paper: _Paper, random: np.random.Generator) -> None:
    heel, toe = random.uniform(0.0, 0.3), random.uniform(0.66, 0.78)
    back = toe - heel
    thick = random.uniform(0.03, 0.07)
    paper.fill([(0.04, toe), (0.5, toe - heel / 3), (0.95, back), (0.95, back + thick), (0.5, toe + thick),
                (0.04, toe + thick)])  # fmt: skip
    if heel > 0.08:
        paper.fill([(0.84, back), (0.95, back), (0.93, toe + thick), (0.87, toe + thick)], 0.9)
    for start in random.uniform(0.08, 0.6, random.integers(2, 5)):
        end = min(0.95, start + random.uniform(0.1, 0.4))
        paper.line(
            [(start, toe), ((start + end) / 2, toe - random.uniform(0.12, 0.28)), (end, toe - heel / 2)],
            random.uniform(0.02, 0.05), random.uniform(0.7, 1.2),
        )  # fmt: skip
    if random.random() < 0.6:
        paper.line([(0.93, back), (0.9, back - 0.22), (0.66, back - 0.15)], 0.03, 0.9)


def _shirt(paper: _Paper, random: np.random.Generator) -> None:
    hem = random.uniform(0.88, 0.98)
    sleeve = random.choice([random.uniform(0.18, 0.32), random.uniform(0.7, 0.93)])
    _top(paper, random, float(sleeve), hem, random.uniform(0.0, 0.03))
    for down in np.arange(random.uniform(0.14, 0.2), hem, random.uniform(0.09, 0.14)):
        paper.oval((0.48, down, 0.52, down + 0.04), random.choice([0.35, 1.4]))
    paper.both([(0.5, 0.1), (0.42, 0.02), (0.38, 0.07), (0.44, 0.15)], random.uniform(1.05, 1.3))


def _shoe(paper: _Paper, random: np.random.Generator, top: float, ground: float) -> None:
    """What sneaker and boot share: toe to the left, instep, sole."""
    toe = ground - random.uniform(0.14, 0.22)
    ankle = random.uniform(0.5, 0.6)
    paper.fill([(0.03, ground), (0.05, toe + 0.04), (0.15, toe), (0.35, toe - 0.05), (ankle, top), (0.93, top),
                (0.96, ground)])  # fmt: skip
    paper.line([(0.03, ground), (0.96, ground)], random.uniform(0.03, 0.07), random.uniform(0.5, 1.5))


def _sneaker(paper: _Paper, random: np.random.Generator) -> None:
    ground = random.uniform(0.68, 0.76)
    top = ground - random.uniform(0.28, 0.38)
    _shoe(paper, random, top, ground)
    for number in range(random.integers(0, 4)):
        x = 0.36 + 0.06 * number
        paper.line(
            [(x, ground - 0.22 - 0.03 * number), (x + 0.06, ground - 0.13)], 0.02, random.choice([0.5, 1.4])
        )
    paper.oval((0.6, top - 0.05, 0.9, top + 0.06))


def _bag(paper: _Paper, random: np.random.Generator) -> None:
    half, top = random.uniform(0.28, 0.47), random.uniform(0.3, 0.5)
    bottom, taper = random.uniform(0.82, 0.96), random.uniform(-0.06, 0.08)
    grip = random.uniform(0.1, 0.3)
    high = random.uniform(0.04, top - 0.1)
    paper.line([(0.5 - grip, top), (0.5 - 0.7 * grip, high), (0.5 + 0.7 * grip, high), (0.5 + grip, top)],
               random.uniform(0.03, 0.06), 0.9)  # fmt: skip
    paper.both([(0.5, top), (0.5 - half + taper, top), (0.5 - half, bottom), (0.5, bottom)])
    if random.random() < 0.5:
        paper.line([(0.5 - half, top + 0.12), (0.5 + half, top + 0.12)], 0.02)


def _boot(paper: _Paper, random: np.random.Generator) -> None:
    ground = random.uniform(0.88, 0.95)
    top = random.uniform(0.04, 0.4)
    heel = random.uniform(0.0, 0.14)
    _shoe(paper, random, top, ground - heel)
    paper.fill([(0.74, ground - heel), (0.96, ground - heel), (0.95, ground), (0.8, ground)], 0.8)
    if random.random() < 0.5:
        paper.line([(0.72, top + 0.05), (0.72, ground - heel - 0.15)], 0.03)


# In the order of the set's labels.
KINDS = (
    _t_shirt, _trouser, _pullover, _dress, _coat, _sandal, _shirt, _sneaker, _bag, _boot,
)  # fmt: skip
