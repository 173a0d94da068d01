"""How often a served model is right, and what its extractor is worth for heads fitted to other photographs.

Photographs are few, so every one is judged: by a head of all the others (`loo_accuracy`), and by heads of twenty
divisions into 60 % and 40 % (`repeated_accuracy`), each choosing its penalty anew. The rival has the same head over
colour histograms. It measures; bars are on the card.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from components.function_evaluator.measuring import Given, Measured, Sampled, SliceKey
from components.report_gen import reading
from pipelines.base import training
from pipelines.vehicles import head
from pipelines.vehicles.features import IMAGE_KEY, INFORMATION_KEYS, KINDS, LABEL_KEY

BATCH, TIMES, SHARE = 16, 20, 0.6
# Levels of each colour in the rival's histograms.
LEVELS = 4


def evaluate(given: Given) -> Sampled:
    """The metrics overall and per kind; drawn again are photographs of all splits. Raises what the model raises."""
    import tensorflow as tf

    folds = int(given.parameters["folds"])
    splits = sorted(given.examples)
    parts = [read(given.examples[split]) for split in splits]
    judged = np.concatenate(
        [np.full(len(part[1]), split in given.splits) for split, part in zip(splits, parts, strict=True)]
    )
    images, labels = (np.concatenate(column) for column in zip(*(part[:2] for part in parts), strict=True))
    served, seen = reading.signature(given.model), reading.signature(given.model, "features")
    batches = [tf.constant(images[i : i + BATCH]) for i in range(0, len(images), BATCH)]
    said = np.concatenate([served(image=batch)["label"].numpy() for batch in batches])
    features = np.concatenate([seen(image=batch)["features"].numpy() for batch in batches]).astype(np.float64)
    rival = np.stack([histogram(image) for image in images])
    columns = {
        "accuracy": np.where(judged, said == labels, np.nan),
        "loo_accuracy": (head.left_out(features, labels, folds) > 0.5) == labels,
        "rival_loo_accuracy": (head.left_out(rival, labels, folds) > 0.5) == labels,
        "repeated_accuracy": _mean_right(head.repeated(features, labels, folds, TIMES, SHARE)),
        "rival_repeated_accuracy": _mean_right(head.repeated(rival, labels, folds, TIMES, SHARE)),
    }

    def measured(drawn: np.ndarray) -> Measured:
        found: dict[SliceKey, dict[str, float]] = {(): _metrics(columns, drawn)}
        for label, kind in enumerate(KINDS):
            if drawn[labels == label].any():
                found[(("kind", kind),)] = _metrics(columns, drawn * (labels == label))
        return found

    return Sampled(len(labels), measured, "photographs")


def read(files: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(bytes [n], labels [n], names [n]) of raw gz TFRecords."""
    import tensorflow as tf

    spec: dict[str, Any] = {
        key: tf.io.FixedLenFeature([], tf.string) for key in (IMAGE_KEY, *INFORMATION_KEYS)
    }
    spec[LABEL_KEY] = tf.io.FixedLenFeature([], tf.int64)
    parts = [
        (rows[IMAGE_KEY].numpy(), rows[LABEL_KEY].numpy(), rows["name"].numpy())
        for rows in training.dataset(files, spec, None, BATCH)
    ]
    images, labels, names = (np.concatenate(column) for column in zip(*parts, strict=True))
    return images, labels, np.char.decode(names.astype(bytes))


def histogram(image: bytes) -> np.ndarray:
    """Square roots of the shares of a photograph's pixels in 4 x 4 x 4 boxes of colour, [64]."""
    import io

    from PIL import Image

    with Image.open(io.BytesIO(image)) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3) // (256 // LEVELS)
    box = (pixels * np.array([LEVELS**2, LEVELS, 1])).sum(axis=1)
    return np.sqrt(np.bincount(box, minlength=LEVELS**3) / len(box))


def _mean_right(right: np.ndarray) -> np.ndarray:
    """Of each photograph [n], how often it was right among the splits that judged it; NaN if none did."""
    judged = ~np.isnan(right)
    return np.where(judged.any(axis=0), np.nansum(right, axis=0) / np.maximum(judged.sum(axis=0), 1), np.nan)


def _metrics(columns: dict[str, np.ndarray], drawn: np.ndarray) -> dict[str, float]:
    found = {"example_count": float(drawn.sum())}
    for name, column in columns.items():
        there = ~np.isnan(column.astype(float)) & (drawn > 0)
        if there.any():
            found[name] = float(np.average(column[there], weights=drawn[there]))
    if "loo_accuracy" in found and "rival_loo_accuracy" in found:
        found["lead"] = found["loo_accuracy"] - found["rival_loo_accuracy"]
    return found
