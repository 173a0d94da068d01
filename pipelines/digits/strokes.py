"""Draws handwritten-looking digits from strokes: every image has its own pen, hand and mistakes.

A glyph is a few strokes, a stroke a few points that a smooth curve passes through; most digits have more than
one way of writing. Points are shaken, the whole is slanted, turned and stretched, drawn with a
round pen at four times the size, and centred by its mass in 28 x 28 as the official images are. It knows
nothing of files; data.py writes them.
"""

from __future__ import annotations

import math

import numpy as np

SIDE, BOX, OVERSAMPLING = 28, 20, 4

# Ways to write each digit. A stroke is its points "x,y" in hundredths, x to the right, y down; / lifts the pen.
GLYPHS: dict[int, tuple[str, ...]] = {
    0: (
        "50,0 16,18 8,55 25,93 55,100 86,75 88,35 50,0",
        "62,4 25,12 10,50 30,95 70,92 90,50 75,10 50,8",
    ),
    1: (
        "50,0 50,50 50,100",
        "28,22 52,0 52,50 52,100",
        "28,20 52,0 52,98 / 22,100 52,98 82,100",
    ),
    2: (
        "12,25 30,2 72,4 82,32 50,65 10,98 50,97 92,96",
        "14,20 45,0 80,18 66,52 30,88 12,90 20,74 45,86 68,100 92,90",
    ),
    3: (
        "15,12 45,0 80,14 72,38 42,47 78,56 86,82 50,100 12,88",
        "14,3 50,2 82,3 56,36 48,42 80,55 82,84 50,100 14,90",
    ),
    4: (
        "20,0 12,45 16,58 85,55 / 76,2 73,50 68,100",
        "68,0 38,32 8,66 50,66 92,64 / 68,2 68,50 68,100",
    ),
    5: (
        "26,3 22,25 20,46 50,38 84,55 80,86 48,100 12,90 / 26,3 55,4 86,0",
        "84,3 50,3 28,5 24,25 18,46 50,40 80,60 74,90 40,100 12,92",
    ),
    6: (
        "72,0 40,20 16,55 20,90 50,100 80,84 74,58 46,52 20,72",
        "50,0 26,30 16,70 36,100 72,96 82,72 56,58 28,72 24,84",
    ),
    7: (
        "10,6 50,3 88,4 64,45 40,100",
        "10,8 50,3 88,4 62,50 46,100 / 36,50 60,49 84,48",
        "12,22 14,4 50,6 86,2 72,40 56,100",
    ),
    8: (
        "70,12 42,0 20,20 42,44 74,66 70,94 40,100 18,80 40,54 74,30 72,12",
        "50,46 22,30 30,5 62,0 78,20 52,46 / 50,46 16,70 28,96 62,100 84,76 52,47",
    ),
    9: (
        "78,20 50,2 20,20 26,46 56,48 80,24 80,55 72,100",
        "80,14 44,2 18,26 34,48 64,42 82,12 80,60 60,94 24,98",
    ),
}


def draw(digit: int, random: np.random.Generator) -> np.ndarray:
    """One image of `digit` (0..9): uint8 [28, 28], ink 255 on paper 0."""
    from PIL import Image, ImageDraw, ImageFilter

    variants = GLYPHS[digit]
    glyph = _points(variants[random.integers(len(variants))])
    strokes = _move(_shake(glyph, random), random)
    side = SIDE * OVERSAMPLING
    canvas = Image.new("L", (side, side))
    pen = ImageDraw.Draw(canvas)
    width = random.uniform(1.5, 3.4) * OVERSAMPLING
    for stroke in strokes:
        # Pressure: the pen is thicker in the middle of a stroke than where it starts and lifts.
        ends = random.uniform(0.7, 1.0)
        for i, (x, y) in enumerate(stroke):
            radius = width / 2 * (ends + (1 - ends) * math.sin(math.pi * i / (len(stroke) - 1)))
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    small = canvas.filter(ImageFilter.GaussianBlur(OVERSAMPLING * random.uniform(0.25, 0.55)))
    image = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
    image = image * random.uniform(0.8, 1.1) + random.normal(0, 4, image.shape) * (image > 8)
    return _centre(np.clip(image, 0, 255)).astype(np.uint8)


def _points(glyph: str) -> list[np.ndarray]:
    """The strokes of a glyph, each [n, 2] within 0..1."""
    return [
        np.array([[float(number) / 100 for number in point.split(",")] for point in stroke.split()])
        for stroke in glyph.split("/")
    ]


def _shake(glyph: list[np.ndarray], random: np.random.Generator) -> list[np.ndarray]:
    """Every point moves a little; sometimes the pen lifts early."""
    shaken = []
    for stroke in glyph:
        points = stroke + random.normal(0, 0.035, stroke.shape)
        if len(stroke) > 4 and random.random() < 0.15:
            points[-1] = points[-2] + (points[-1] - points[-2]) * random.uniform(0.3, 0.8)
        shaken.append(_smooth(points))
    return shaken


def _smooth(points: np.ndarray, per_segment: int = 14) -> np.ndarray:
    """A Catmull-Rom curve through `points` [n, 2]."""
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    t = np.linspace(0, 1, per_segment, endpoint=False)[:, None]
    pieces = []
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        linear, square, cube = p2 - p0, 2 * p0 - 5 * p1 + 4 * p2 - p3, 3 * (p1 - p2) + p3 - p0
        pieces.append(p1 + 0.5 * (linear * t + square * t**2 + cube * t**3))
    return np.vstack([*pieces, points[-1:]])


def _move(strokes: list[np.ndarray], random: np.random.Generator) -> list[np.ndarray]:
    """Slant, turn, stretch, then fit the 20-pixel box and go to the middle of the oversampled canvas."""
    turn, slant = random.normal(0, 0.14), random.normal(0.12, 0.22)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    matrix = rotation @ np.array([[random.uniform(0.55, 1.0), -slant], [0.0, 1.0]])
    moved = [(stroke - 0.5) @ matrix.T for stroke in strokes]
    everything = np.vstack(moved)
    low, high = everything.min(axis=0), everything.max(axis=0)
    scale = BOX * random.uniform(0.85, 1.0) / max(high - low)
    return [((stroke - (low + high) / 2) * scale + SIDE / 2) * OVERSAMPLING for stroke in moved]


def _centre(image: np.ndarray) -> np.ndarray:
    """Shifts by whole pixels so that the centre of mass is in the middle."""
    total = image.sum()
    rows, columns = np.indices(image.shape)
    shift = [round((SIDE - 1) / 2 - float((axis * image).sum() / total)) for axis in (rows, columns)]
    return np.roll(image, shift, axis=(0, 1))
