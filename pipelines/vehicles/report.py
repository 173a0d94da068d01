"""Pictures of a trained head: the photographs with their scores, most doubtful first, and what was looked at.

Drawn from the evaluation split. It decides nothing; bars are the Evaluator's.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from components.report_gen import pictures, reading
from components.report_gen.context import ReportContext
from pipelines.vehicles.evaluate import BATCH, read
from pipelines.vehicles.features import KINDS

SHOWN, THUMB = 40, 96
# The occlusion map: photographs, their side in pixels, cells across, cells that are covered at once.
MAPPED, SIDE, CELLS, COVERED = 6, 224, 8, 2
GREY = 124
Serve = Callable[..., dict[str, Any]]


def report(context: ReportContext) -> None:
    """Writes photographs and occlusion as PNG; learning curves where an extractor was trained."""
    curves = pictures.read_curves(context.training_logs)
    pictures.learning_curves(curves, context.folder / "learning_curves.png")
    images, labels, _ = read(context.files("eval"))
    serve = reading.signature(context.model)
    car = ask(serve, images)
    order = np.argsort(np.abs(car - 0.5))[:SHOWN]
    captions = [
        f"{KINDS[labels[i]]} {car[i]:.2f}" + ("" if (car[i] > 0.5) == labels[i] else " wrong") for i in order
    ]
    wrong = int(((car > 0.5) != labels).sum())
    pictures.image_grid(
        np.stack([opened(images[i], THUMB) for i in order]),
        captions,
        context.folder / "photographs.png",
        columns=8,
        title=f"most doubtful first, with the probability of a car; {wrong} of {len(labels)} wrong",
    )
    occlusion(serve, images[order[:MAPPED]], labels[order[:MAPPED]], context.folder / "occlusion.png")


def ask(serve: Serve, images: np.ndarray) -> np.ndarray:
    """The probability of a car in each photograph [n], by a model's `serve` signature."""
    import tensorflow as tf

    batches = (tf.constant(images[i : i + BATCH]) for i in range(0, len(images), BATCH))
    return np.concatenate([serve(image=batch)["probabilities"].numpy()[:, 1] for batch in batches])


def opened(image: bytes, side: int) -> np.ndarray:
    """A photograph, upright, as uint8 [side, side, 3]."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(image)) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB").resize((side, side)))


def occlusion(serve: Serve, images: np.ndarray, labels: np.ndarray, file: Path) -> None:
    """How much less (red) or more (blue) a photograph is what it is with a grey square over a place of it."""
    drawn = pictures.figure(2.2 * len(images), 4.6)
    cells = drawn.subplots(2, len(images), squeeze=False)
    for column, (image, label) in enumerate(zip(images, labels, strict=True)):
        pixels = opened(image, SIDE)
        change = covered(serve, pixels, int(label))
        above, below = cells[:, column]
        above.imshow(pixels)
        above.set_title(KINDS[label], fontsize=9)
        most = max(float(np.abs(change).max()), 1e-3)
        below.imshow(pixels)
        below.imshow(
            change,
            cmap="RdBu",
            vmin=-most,
            vmax=most,
            alpha=0.6,
            extent=(0, SIDE, SIDE, 0),
            interpolation="bilinear",
        )
        below.set_title(f"up to {most:.2f}", fontsize=9)
        for cell in (above, below):
            cell.axis("off")
    drawn.suptitle("what the answer depends on", fontsize=11)
    pictures.save(drawn, file)


def covered(serve: Serve, pixels: np.ndarray, label: int) -> np.ndarray:
    """The change of the true kind's probability [8, 8] when a quarter of the side around a cell is grey."""
    size = SIDE // CELLS
    shown = [encoded(pixels)]
    for row in range(CELLS):
        for column in range(CELLS):
            other = pixels.copy()
            top, left = max(row * size - size // 2, 0), max(column * size - size // 2, 0)
            other[top : top + COVERED * size, left : left + COVERED * size] = GREY
            shown.append(encoded(other))
    car = ask(serve, np.array(shown, object))
    true = car if label == 1 else 1 - car
    return (true[1:] - true[0]).reshape(CELLS, CELLS)


def encoded(pixels: np.ndarray) -> bytes:
    """As PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
