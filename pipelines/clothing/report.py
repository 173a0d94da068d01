"""Pictures of a trained network of clothing: curves, what it takes for what, and what its capsules hold.

Drawn from the evaluation split, but for the curves. It decides nothing; bars are the Evaluator's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from components.report_gen import pictures, reading
from components.report_gen.context import ReportContext
from pipelines.clothing.evaluate import Answers, Drawn, ask, redraw
from pipelines.clothing.features import CLASSES
from pipelines.clothing.network import SIZE
from pipelines.clothing.project import NAMES

SHOWN, PAIRS, EACH = 20, 5, 10
CHANGES = np.linspace(-0.25, 0.25, 11).astype(np.float32)
CURVES = ("loss", "accuracy", "length_accuracy", "picture_loss")


def report(context: ReportContext) -> None:
    """Writes learning_curves, confusion_matrix, confused_pairs, and of capsules reconstructions and perturbations."""
    folder = context.folder
    curves = pictures.read_curves(context.training_logs)
    pictures.learning_curves(curves, folder / "learning_curves.png", CURVES)
    told = ask(context.model, tuple(context.files("eval")))
    counts = np.bincount(told.labels * CLASSES + told.said, minlength=CLASSES**2).reshape(CLASSES, CLASSES)
    right = (told.labels == told.said).mean()
    title = f"{right:.2%} of {len(told.labels):,} right"
    short = [name.split()[0] for name in NAMES]
    pictures.confusion_matrix(counts, short, folder / "confusion_matrix.png", title)
    confused_pairs(told, counts, folder / "confused_pairs.png")
    drawn = redraw(context.model, told.images)
    if drawn is not None:
        reconstructions(told, drawn, folder / "reconstructions.png")
        perturb = reading.signature(context.model, "perturb")
        perturbations(told, perturb, folder / "perturbations.png")


def confused_pairs(told: Answers, counts: np.ndarray, file: Path) -> None:
    """The pairs of classes most often taken for each other, a row each: what the network was surest of first.

    Draws nothing where nothing is wrong.
    """
    both = counts + counts.T
    first, second = np.triu_indices(CLASSES, 1)
    often = both[first, second]
    worst = [pair for pair in np.argsort(-often, kind="stable")[:PAIRS] if often[pair]]
    if not worst:
        return
    images, captions = [], []
    for one, other in zip(first[worst], second[worst], strict=True):
        wrong = np.flatnonzero(
            ((told.labels == one) & (told.said == other)) | ((told.labels == other) & (told.said == one))
        )
        surest = wrong[np.argsort(-told.scores[wrong, told.said[wrong]])][:EACH]
        images += [told.images[row] for row in surest] + [np.zeros_like(told.images[0])] * (
            EACH - len(surest)
        )
        captions += [f"{_short(told.labels[row])} > {_short(told.said[row])}" for row in surest]
        captions += [""] * (EACH - len(surest))
    count = int((told.labels != told.said).sum())
    title = f"{count:,} of {len(told.labels):,} wrong; the pairs most confused (is > said)"
    pictures.image_grid(np.stack(images), captions, file, columns=EACH, title=title)


def _short(label: int) -> str:
    return NAMES[label].split()[0]


def reconstructions(told: Answers, drawn: Drawn, file: Path) -> None:
    """Two of every class: the original, and beside it what its longest capsule makes of it, with the error."""
    rows = np.concatenate([np.flatnonzero(told.labels == label)[:2] for label in range(CLASSES)])[:SHOWN]
    images = np.stack([picture for row in rows for picture in (told.images[row], drawn.pictures[row])])
    captions = [text for row in rows for text in (_short(told.said[row]), f"{drawn.errors[row]:.4f}")]
    title = f"Original, and as the longest capsule has it; mean squared error {drawn.errors.mean():.4f}"
    pictures.image_grid(images, captions, file, columns=8, title=title)


def perturbations(told: Answers, perturb: Any, file: Path) -> None:
    """One picture of every class, a row each; of its longest capsule the number that changes most is moved."""
    import tensorflow as tf

    rows = [int(right[0]) for label in range(CLASSES) if len(right := np.flatnonzero(_right(told, label)))]
    given = tf.constant(told.images[rows])
    moved = np.stack(
        [
            perturb(image=given, dimension=tf.constant(number, tf.int64), changes=tf.constant(CHANGES))[
                "pictures"
            ].numpy()
            for number in range(SIZE)
        ]
    )
    # [number, row, change, 28, 28]: how far the two ends of the range are apart.
    apart = np.abs(moved[:, :, 0].astype(float) - moved[:, :, -1]).mean(axis=(2, 3))
    images, captions = [], []
    for place, (row, number) in enumerate(zip(rows, apart.argmax(axis=0), strict=True)):
        images += list(moved[number, place])
        captions += [f"{_short(told.said[row])}, {number}"] + [f"{change:+.2f}" for change in CHANGES[1:]]
    title = "The number of the longest capsule that changes most, moved from -0.25 to 0.25"
    pictures.image_grid(np.stack(images), captions, file, columns=len(CHANGES), title=title)


def _right(told: Answers, label: int) -> np.ndarray:
    return (told.labels == label) & (told.said == label)
