"""How often a served model is right, and how well its capsules hold a picture, beside two simple ways on the same rows.

The rivals learn of the training pictures here: the five nearest of them by pixels name a class, and the mean picture of
the right class stands for a reconstruction. It measures; bars are on the card.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from components import finite
from components.function_evaluator.measuring import Given, Measured, Sampled, SliceKey
from components.report_gen import reading
from pipelines.clothing.features import CLASSES, SIDE, raw_rows
from pipelines.clothing.project import NAMES

BATCH = 500
NEAREST = 5


class Answers(NamedTuple):
    """Pictures [n, 28, 28] uint8, labels [n], what was said [n], and scores of the classes [n, 10]."""

    images: np.ndarray
    labels: np.ndarray
    said: np.ndarray
    scores: np.ndarray


class Drawn(NamedTuple):
    """Pictures as the longest capsule has them [n, 28, 28] uint8, and the mean squared error of each [n], of 0 to 1."""

    pictures: np.ndarray
    errors: np.ndarray


def evaluate(given: Given) -> Sampled:
    """`accuracy` and the neighbours', overall and per class; where the model draws `reconstruction_error` and the class
    mean's. Raises what the model raises."""
    told = ask(given.model, tuple(given.files))
    images, labels = read(tuple(given.examples["train"]))
    columns = {
        "accuracy": (told.said == told.labels).astype(float),
        "accuracy_neighbours": (neighbours(told.images, images, labels) == told.labels).astype(float),
    }
    drawn = redraw(given.model, told.images)
    if drawn is not None:
        columns["reconstruction_error"] = drawn.errors
        columns["reconstruction_error_class_mean"] = mean_errors(told, images, labels)
    parts: dict[SliceKey, np.ndarray] = {(): np.arange(len(told.labels))}
    for label in np.unique(told.labels):
        parts[(("label", NAMES[label]),)] = np.flatnonzero(told.labels == label)

    def measure(often: np.ndarray) -> Measured:
        return {key: _metrics(columns, rows, often) for key, rows in parts.items() if often[rows].any()}

    return Sampled(len(told.labels), measure, "pictures")


def _metrics(columns: dict[str, np.ndarray], rows: np.ndarray, often: np.ndarray) -> dict[str, float]:
    weights = often[rows]
    means = {name: float(np.average(values[rows], weights=weights)) for name, values in columns.items()}
    gain = means["accuracy"] - means["accuracy_neighbours"]
    return {**means, "accuracy_gain_on_neighbours": gain, "example_count": float(weights.sum())}


@functools.lru_cache(maxsize=4)
def ask(model: Path, files: tuple[str, ...]) -> Answers:
    """What a SavedModel says to every row of raw gz TFRecords. Raises ProjectError for scores that are not finite."""
    import tensorflow as tf

    images, labels = read(files)
    serve = reading.signature(model)
    said, scores = [], []
    for at in range(0, len(images), BATCH):
        answer = serve(image=tf.constant(images[at : at + BATCH]))
        said.append(answer["label"].numpy())
        scores.append(answer["lengths" if "lengths" in answer else "probabilities"].numpy())
    found = np.concatenate(scores)
    finite.refuse(int(finite.bad_rows(found).sum()), len(found))
    return Answers(images, labels, np.concatenate(said), found)


@functools.lru_cache(maxsize=4)
def read(files: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Pictures [n, 28, 28] uint8 and labels [n] of raw gz TFRecords, in their order."""
    import tensorflow as tf

    parts = [raw_rows(batch) for batch in tf.data.TFRecordDataset(list(files), "GZIP").batch(BATCH)]
    images, labels = zip(*parts, strict=True)
    return np.concatenate(images).astype(np.uint8), np.concatenate(labels)


def redraw(model: Path, images: np.ndarray) -> Drawn | None:
    """The pictures as a SavedModel's capsules have them; None for one without the signature `reconstruct`."""
    import tensorflow as tf

    loaded = reading.saved_model(model)
    if "reconstruct" not in loaded.signatures:
        return None
    serve, pictures, errors = loaded.signatures["reconstruct"], [], []
    for at in range(0, len(images), BATCH):
        answer = serve(image=tf.constant(images[at : at + BATCH]))
        pictures.append(answer["picture"].numpy())
        errors.append(answer["error"].numpy())
    return Drawn(np.concatenate(pictures), np.concatenate(errors).astype(float))


def neighbours(asked: np.ndarray, known: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The class [n] that most of the nearest `known` pictures have, of equals the nearest's; by squared distance."""
    base = known.reshape(len(known), -1).astype(np.float32) / 255
    squares, found = np.square(base).sum(axis=1), []
    count = min(NEAREST, len(base))
    for at in range(0, len(asked), BATCH):
        rows = asked[at : at + BATCH].reshape(-1, SIDE * SIDE).astype(np.float32) / 255
        distance = squares[None] - 2 * rows @ base.T
        nearest = np.argpartition(distance, count - 1, axis=1)[:, :count]
        order = np.argsort(np.take_along_axis(distance, nearest, 1), axis=1)
        votes = labels[np.take_along_axis(nearest, order, 1)]
        # A vote is worth a little more the nearer it is, which decides between equals alone.
        worth = 1 + 1e-3 * np.arange(count, 0, -1)
        tally = np.stack([(worth * (votes == label)).sum(axis=1) for label in range(CLASSES)], axis=1)
        found.append(tally.argmax(axis=1))
    return np.concatenate(found)


def mean_errors(told: Answers, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The mean squared error [n] of the mean training picture of the right class, of values 0 to 1."""
    means = np.zeros((CLASSES, SIDE, SIDE))
    for label in np.unique(labels):
        means[label] = images[labels == label].mean(axis=0) / 255
    return np.square(told.images / 255 - means[told.labels]).mean(axis=(1, 2))
