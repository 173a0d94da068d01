"""Faces drawn by parameters: people that exist nowhere, each in several pictures that differ as photographs do.

A person is a set of numbers (head, hair, eyes, brows, nose, mouth, marks); a picture adds what is not the person: how
the head is held, light, expression, spectacles, sharpness. Simpler than photographs, and of one style.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

WIDTH, HEIGHT = 92, 112
# Drawn this many times larger, then reduced: soft edges.
OVER = 3


class Person(NamedTuple):
    """What stays: lengths in units of the head's width, tones 0 to 255."""

    skin: float
    head: float
    jaw: float
    hair: float
    hair_height: float
    hair_sides: float
    parting: float
    eyes_apart: float
    eyes_height: float
    eye_size: float
    iris: float
    brow: float
    brow_tilt: float
    brow_thick: float
    nose_length: float
    nose_width: float
    mouth_height: float
    mouth_width: float
    lips: float
    beard: float
    moustache: float
    ears: float
    glasses: float
    mole: tuple[float, float]


def person(random: np.random.Generator) -> Person:
    """A new person."""
    skin = random.uniform(70, 215)
    return Person(
        skin=skin,
        head=random.uniform(1.18, 1.48),
        jaw=random.uniform(0.62, 0.95),
        hair=random.uniform(10, 200),
        hair_height=random.uniform(0.06, 0.36),
        hair_sides=random.choice([0.0, random.uniform(0.2, 1.1)]),
        parting=random.uniform(-0.3, 0.3),
        eyes_apart=random.uniform(0.34, 0.50),
        eyes_height=random.uniform(0.42, 0.52),
        eye_size=random.uniform(0.065, 0.115),
        iris=random.uniform(15, 130),
        brow=random.uniform(0.09, 0.17),
        brow_tilt=random.uniform(-0.06, 0.06),
        brow_thick=random.uniform(0.012, 0.055),
        nose_length=random.uniform(0.20, 0.36),
        nose_width=random.uniform(0.10, 0.22),
        mouth_height=random.uniform(0.75, 0.84),
        mouth_width=random.uniform(0.26, 0.46),
        lips=random.uniform(0.02, 0.07),
        beard=random.choice([0.0, 0.0, random.uniform(0.3, 0.9)]),
        moustache=random.choice([0.0, 0.0, random.uniform(0.3, 0.9)]),
        ears=random.uniform(0.05, 0.13),
        glasses=random.choice([0.0, 0.0, 0.0, 0.5, 1.0]),
        mole=(random.uniform(-0.35, 0.35), random.uniform(0.5, 0.9)),
    )


class Moment(NamedTuple):
    """What changes between two pictures of a person."""

    size: float
    middle: tuple[float, float]
    tilt: float
    yaw: float
    pitch: float
    smile: float
    open_eyes: float
    open_mouth: float
    glasses: bool
    light: float
    light_from: float
    light_share: float
    background: float
    blur: float
    noise: float


def moment(someone: Person, random: np.random.Generator) -> Moment:
    """Another picture's circumstances."""
    return Moment(
        size=random.uniform(0.66, 0.82),
        middle=(random.uniform(-0.05, 0.05), random.uniform(-0.05, 0.05)),
        tilt=float(np.clip(random.normal(0, 6), -14, 14)),
        yaw=float(np.clip(random.normal(0, 0.07), -0.16, 0.16)),
        pitch=float(np.clip(random.normal(0, 0.025), -0.06, 0.06)),
        smile=random.uniform(-0.03, 0.09),
        open_eyes=float(random.choice([0.15, 0.7, 0.9, 1.0, 1.0])),
        open_mouth=max(0.0, random.normal(0, 0.03)),
        glasses=bool(random.random() < someone.glasses),
        light=random.uniform(0.65, 1.25),
        light_from=random.uniform(0, 2 * np.pi),
        light_share=random.uniform(0, 0.35),
        background=random.uniform(20, 230),
        blur=float(random.choice([0.0, 0.5, 1.0])),
        noise=random.uniform(1, 6),
    )


def draw(someone: Person, now: Moment, random: np.random.Generator) -> np.ndarray:
    """One picture, grey uint8 [112, 92]."""
    from PIL import Image, ImageFilter

    picture = Image.new("L", (WIDTH * OVER, HEIGHT * OVER), round(now.background))
    _Painter(picture, someone, now).paint()
    turned = picture.rotate(now.tilt, Image.Resampling.BILINEAR, fillcolor=round(now.background))
    small = turned.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    if now.blur:
        small = small.filter(ImageFilter.GaussianBlur(now.blur))
    values = np.asarray(small, np.float32) * now.light
    across, down = np.meshgrid(np.linspace(-1, 1, WIDTH), np.linspace(-1, 1, HEIGHT))
    values *= 1 + now.light_share * (across * np.cos(now.light_from) + down * np.sin(now.light_from))
    values += random.normal(0, now.noise, values.shape)
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


class _Painter:
    """Draws one person's parts in the order in which they cover each other."""

    def __init__(self, picture: Any, someone: Person, now: Moment) -> None:
        from PIL import ImageDraw

        self.paper = ImageDraw.Draw(picture)
        self.who, self.now = someone, now
        self.unit = now.size * picture.width
        self.left = picture.width * (0.5 + now.middle[0])
        self.top = picture.height * (0.53 + now.middle[1]) - self.unit * someone.head / 2

    def at(self, across: float, down: float, depth: float = 0.0) -> tuple[float, float]:
        """A place on the head: `across` from its middle, `down` from its top in heights; what stands out, by `depth`,
        moves more when the head turns."""
        across = across + self.now.yaw * (0.6 + depth)
        return self.left + across * self.unit, self.top + (down + self.now.pitch) * self.unit * self.who.head

    def oval(self, middle: tuple[float, float], width: float, height: float, tone: float) -> None:
        across, down = width * self.unit / 2, height * self.unit / 2
        box = (middle[0] - across, middle[1] - down, middle[0] + across, middle[1] + down)
        self.paper.ellipse(box, fill=self.tone(tone))

    def tone(self, value: float) -> int:
        return int(np.clip(round(value), 0, 255))

    def paint(self) -> None:
        self._head()
        self._lower_face()
        for side in (-1, 1):
            self._eye(side)
        self._nose()
        self._mouth()
        self.oval(self.at(*self.who.mole, 0.2), 0.035, 0.035, self.who.skin * 0.45)
        if self.now.glasses:
            self._glasses()

    def _head(self) -> None:
        who, height = self.who, self.who.head
        neck = [self.at(-0.28, 0.8), self.at(0.28, 0.8), self.at(0.36, 1.4), self.at(-0.36, 1.4)]
        if who.hair_sides:
            wide = 1.0 + 0.12 + who.hair_sides * 0.1
            self.oval(self.at(0, 0.2 + who.hair_sides * 0.35, -0.6), wide, 0.6 + who.hair_sides, who.hair)
        self.paper.polygon(neck, fill=self.tone(who.skin * 0.85))
        for side in (-1, 1):
            self.oval(self.at(side * 0.5, 0.5, -0.7), 2 * who.ears, 0.24, who.skin * 0.9)
        self.oval(self.at(0, 0.42, -0.3), 1.08, height * 0.9 + who.hair_height * 0.5, who.hair)
        self.oval(self.at(0, 0.45, -0.2), 1.0, height * 0.86, who.skin)
        self.oval(self.at(0, 0.68, -0.1), who.jaw, height * 0.62, who.skin)
        fringe = [
            self.at(-0.46, 0.22),
            self.at(who.parting, 0.06 + who.hair_height * 0.4),
            self.at(0.46, 0.22),
        ]
        self.paper.polygon(
            [*fringe, self.at(0.4, 0.02), self.at(0, -0.05), self.at(-0.4, 0.02)], self.tone(who.hair)
        )

    def _lower_face(self) -> None:
        who = self.who
        if who.beard:
            tone = who.skin + (who.hair - who.skin) * who.beard
            self.oval(self.at(0, 0.86, -0.1), who.jaw * 0.9, 0.42, tone)
        if who.moustache:
            tone = who.skin + (who.hair - who.skin) * who.moustache
            self.oval(self.at(0, who.mouth_height - 0.06, 0.2), who.mouth_width * 1.1, 0.09, tone)

    def _eye(self, side: int) -> None:
        who, now = self.who, self.now
        middle = self.at(side * who.eyes_apart / 2, who.eyes_height, 0.1)
        self.oval(
            middle, who.eye_size * 2.1, who.eye_size * (0.15 + now.open_eyes), min(250.0, who.skin + 60)
        )
        opened = min(now.open_eyes, 0.9)
        self.oval(middle, who.eye_size * 0.9, who.eye_size * opened, who.iris)
        inner, outer = who.eyes_apart / 2 - who.brow * 0.7, who.eyes_apart / 2 + who.brow * 0.8
        height = who.eyes_height - 0.085
        ends = [
            self.at(side * inner, height + who.brow_tilt, 0.15),
            self.at(side * outer, height - who.brow_tilt, 0.05),
        ]
        self.paper.line(ends, fill=self.tone(who.hair * 0.7), width=max(1, round(who.brow_thick * self.unit)))

    def _nose(self) -> None:
        who = self.who
        root, tip = who.eyes_height + 0.02, who.eyes_height + who.nose_length / self.who.head + 0.05
        shade = self.tone(who.skin * 0.72)
        bridge = [
            self.at(0.03, root, 0.2),
            self.at(who.nose_width / 2, tip, 0.6),
            self.at(-who.nose_width / 2, tip, 0.6),
        ]
        self.paper.line(bridge, fill=shade, width=max(1, round(0.022 * self.unit)), joint="curve")
        for side in (-1, 1):
            self.oval(self.at(side * who.nose_width / 3, tip, 0.6), 0.05, 0.035, who.skin * 0.4)

    def _mouth(self) -> None:
        who, now = self.who, self.now
        height, half = who.mouth_height, who.mouth_width / 2
        if now.open_mouth > 0.01:
            self.oval(self.at(0, height + 0.01, 0.25), who.mouth_width * 0.8, now.open_mouth * 2, 40)
        line = [
            self.at(share * half, height + now.smile * (0.3 - share * share), 0.25)
            for share in np.linspace(-1, 1, 9)
        ]
        self.paper.line(
            line, fill=self.tone(who.skin * 0.55), width=max(2, round(who.lips * self.unit)), joint="curve"
        )

    def _glasses(self) -> None:
        who, width = self.who, max(2, round(0.025 * self.unit))
        for side in (-1, 1):
            x, y = self.at(side * who.eyes_apart / 2, who.eyes_height, 0.3)
            half = 0.16 * self.unit
            self.paper.ellipse((x - half, y - half * 0.8, x + half, y + half * 0.8), outline=30, width=width)
        self.paper.line(
            [self.at(-0.06, who.eyes_height, 0.3), self.at(0.06, who.eyes_height, 0.3)], 30, width
        )
