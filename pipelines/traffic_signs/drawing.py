"""Puts drawn signs into a made-up world: tracks of frames in which a camera comes nearer to one sign.

What frames of a track share: the plate's fading and dirt, its tilt, the scene behind, the weather's light. What
changes from frame to frame: distance, place in the picture, a little light, blur and noise. It knows no files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipelines.traffic_signs.plates import SIDE, plate

if TYPE_CHECKING:
    from PIL import Image

Box = tuple[int, int, int, int]


class Scene(NamedTuple):
    """What is the same in all frames: the tilted plate (RGBA), what is behind it, exposure, haze, blur in pixels."""

    plate: Image.Image
    behind: Image.Image
    exposure: float
    haze: float
    blur: float


def track(label: int, frames: int, random: np.random.Generator) -> list[tuple[np.ndarray, Box]]:
    """`frames` pictures uint8 [h, w, 3] of one sign of class `label`, nearer and nearer, each with the sign's box."""
    scene = _scene(label, random)
    first = np.exp(random.uniform(np.log(17), np.log(45)))
    last = min(first * np.exp(random.uniform(0.2, 1.5)), 190.0)
    sides = np.exp(np.linspace(np.log(first), np.log(last), frames))
    return [_frame(scene, round(side), random) for side in sides]


def _scene(label: int, random: np.random.Generator) -> Scene:
    return Scene(
        plate=_worn(_tilted(plate(label), random), random),
        behind=_behind(random),
        exposure=float(np.exp(random.normal(-0.5, 0.6))),
        haze=random.uniform(0, 0.2),
        blur=random.uniform(0.3, 1.1),
    )


def _behind(random: np.random.Generator) -> Image.Image:
    """Trees, houses or sky as blotches: mostly grey and darker than the sign, sometimes glaring."""
    from PIL import Image

    grain = int(random.integers(5, 22))
    level = np.exp(random.normal(np.log(85), 0.6))
    light = level * np.exp(random.normal(0, random.uniform(0.05, 0.5), (grain, grain, 1)))
    # The sky is above more often than not.
    light[: grain // 2] *= random.uniform(1, 1.8)
    tint = random.normal(1, 0.1, 3) + random.normal(0, 0.04, (grain, grain, 3))
    colours = (light * tint).clip(0, 255).astype(np.uint8)
    return Image.fromarray(colours).resize((96, 96), Image.Resampling.BICUBIC)


def _tilted(clean: Image.Image, random: np.random.Generator) -> Image.Image:
    """Turned, seen from the side, a little slanted."""
    from PIL import Image

    turn, slant = random.normal(0, 0.06), random.normal(0, 0.05)
    wide, high = random.uniform(1.0, 1.2), random.uniform(1.0, 1.08)
    matrix = np.array(
        [
            [wide * np.cos(turn), slant - wide * np.sin(turn)],
            [high * np.sin(turn), high * np.cos(turn)],
        ]
    )
    shift = SIDE / 2 - matrix @ np.array([SIDE / 2, SIDE / 2])
    values = (*matrix[0], shift[0], *matrix[1], shift[1])
    return clean.transform((SIDE, SIDE), Image.Transform.AFFINE, values, Image.Resampling.BILINEAR)


def _worn(tilted: Image.Image, random: np.random.Generator) -> Image.Image:
    """Faded towards grey, stained, sometimes half in a shadow or partly hidden by a branch."""
    from PIL import Image

    pixels = np.asarray(tilted, np.float32).copy()
    colours = pixels[..., :3]
    colours += random.uniform(0, 0.25) * (random.uniform(90, 200) - colours)
    stains = np.asarray(
        Image.fromarray(random.normal(128, 12, (8, 8)).clip(0, 255).astype(np.uint8)).resize((SIDE, SIDE)),
        np.float32,
    )
    colours += (stains - 128)[..., None]
    x, y = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE))
    angle, edge = random.uniform(0, 2 * np.pi), random.uniform(-0.6, 0.9)
    beyond = x * np.cos(angle) + y * np.sin(angle) > edge
    chance = random.random()
    if chance < 0.2:
        colours[beyond] *= random.uniform(0.4, 0.8)
    elif chance < 0.26:
        colours[beyond & (np.sin(9 * x + 7 * y) > 0.2)] = random.uniform(20, 90, 3)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8), "RGBA")


def _frame(scene: Scene, side: int, random: np.random.Generator) -> tuple[np.ndarray, Box]:
    """One picture with the sign `side` pixels high, and a margin of a tenth, 5 pixels or more, as in the real set."""
    from PIL import Image, ImageFilter

    margin = max(5, round(side * 0.1))
    size = side + 2 * margin
    zoom = int(random.integers(0, 24))
    canvas = scene.behind.crop((zoom, zoom, 96 - zoom, 96 - zoom)).resize(
        (size, size), Image.Resampling.BICUBIC
    )
    left, top = margin + random.integers(-1, 2), margin + random.integers(-1, 2)
    small = scene.plate.resize((side, side), Image.Resampling.BOX)
    canvas.paste(small, (int(left), int(top)), small)
    # Optics and movement blur by pixels, so that small signs lose most.
    blurred = canvas.filter(ImageFilter.GaussianBlur(scene.blur * random.uniform(0.7, 1.3)))
    light = np.asarray(blurred, np.float32) * scene.exposure * np.exp(random.normal(0, 0.08))
    light += scene.haze * (110 * scene.exposure - light)
    light += random.normal(0, random.uniform(2, 5), light.shape)
    box = (int(left), int(top), int(left) + side - 1, int(top) + side - 1)
    return light.clip(0, 255).astype(np.uint8), box
