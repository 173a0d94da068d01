"""Four pictures of a trained classifier: how it learned, what it was shown, where it errs and how.

Drawn from the evaluation split, but for the curves. It decides nothing; bars are the Evaluator's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.report_gen import pictures, reading
from components.report_gen.context import ReportContext
from pipelines.digits.features import CLASSES, IMAGE_KEY, LABEL_KEY, SIDE

SAMPLES, ERRORS = 50, 50


class Answers(NamedTuple):
    """Images [n, 28, 28], labels [n], predicted labels [n], and how sure the model was of them [n]."""

    images: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    sureness: np.ndarray


def report(context: ReportContext) -> None:
    """Writes learning_curves, sample, misclassified and confusion_matrix as PNG."""
    folder = context.folder
    pictures.learning_curves(pictures.read_curves(context.training_logs), folder / "learning_curves.png")
    answers = ask(context.model, context.files("eval"))
    captions = [str(label) for label in answers.labels[:SAMPLES]]
    pictures.image_grid(answers.images[:SAMPLES], captions, folder / "sample.png", title="Some of the digits")
    misclassified(answers, folder / "misclassified.png")
    counts = np.bincount(answers.labels * CLASSES + answers.predicted, minlength=CLASSES**2)
    accuracy = (answers.labels == answers.predicted).mean()
    pictures.confusion_matrix(
        counts.reshape(CLASSES, CLASSES),
        [str(digit) for digit in range(CLASSES)],
        folder / "confusion_matrix.png",
        f"{accuracy:.2%} of {len(answers.labels):,} right",
    )


def ask(model: Path, files: Sequence[str]) -> Answers:
    """What a SavedModel says to every row of raw gz TFRecords."""
    import tensorflow as tf

    serve = reading.signature(model, "serve_examples")
    spec = {
        IMAGE_KEY: tf.io.FixedLenFeature([], tf.string),
        LABEL_KEY: tf.io.FixedLenFeature([], tf.int64),
    }
    parts = []
    for batch in tf.data.TFRecordDataset(list(files), "GZIP").batch(500):
        rows, probabilities = tf.io.parse_example(batch, spec), serve(examples=batch)["probabilities"].numpy()
        images = tf.io.decode_raw(rows[IMAGE_KEY], tf.uint8).numpy().reshape(-1, SIDE, SIDE)
        parts.append(
            (images, rows[LABEL_KEY].numpy(), probabilities.argmax(axis=1), probabilities.max(axis=1))
        )
    return Answers(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def misclassified(answers: Answers, file: Path) -> None:
    """The mistakes that the model was surest of, each as `what it is > what was said`."""
    wrong = np.flatnonzero(answers.labels != answers.predicted)
    worst = wrong[np.argsort(-answers.sureness[wrong])][:ERRORS]
    captions = [f"{answers.labels[i]} > {answers.predicted[i]}" for i in worst]
    title = f"{len(wrong):,} of {len(answers.labels):,} wrong; the surest first (is > said)"
    pictures.image_grid(answers.images[worst], captions, file, title=title)
