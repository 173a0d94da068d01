"""How right a served model is and whether its doubt can be trusted, from what its Monte Carlo samples say.

As many samples as a request that does not say gets. It measures; bars are on the card.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from components.function_evaluator.measuring import Given, Measured, SliceKey
from pipelines.base import training
from pipelines.traffic_signs.features import BOX_KEY, CLASSES, IMAGE_KEY, LABEL_KEY, SLICE_KEYS
from pipelines.traffic_signs.posterior import DEFAULT_DRAWS
from pipelines.traffic_signs.signs import NAMES

BINS = 15
BATCH = 128


class Opinions(NamedTuple):
    """Rows of a split: bytes [n], labels [n], slices {name: [n]}, and probabilities per draw [n, draws, 43]."""

    images: np.ndarray
    labels: np.ndarray
    slices: dict[str, np.ndarray]
    draws: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """The draws' mean probabilities [n, 43]."""
        return self.draws.mean(axis=1)


def evaluate(given: Given) -> Measured:
    """The metrics of `measure` overall, per slice and per sign. Raises what the model raises."""
    told = ask(given.model, given.files)
    measured: dict[SliceKey, dict[str, float]] = {(): measure(told.draws, told.labels)}
    kinds = {**told.slices, "sign": np.array(NAMES)[told.labels]}
    for name, values in kinds.items():
        for value in np.unique(values):
            rows = values == value
            measured[((name, str(value)),)] = measure(told.draws[rows], told.labels[rows])
    return measured


def ask(model: Path, files: Sequence[str], samples: int = DEFAULT_DRAWS) -> Opinions:
    """What a SavedModel's signature `draws` says to every row of raw gz TFRecords."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(model))
    signature = loaded.signatures["draws"]
    texts = (IMAGE_KEY, *SLICE_KEYS)
    spec: dict[str, Any] = {key: tf.io.FixedLenFeature([], tf.string) for key in texts}
    spec |= {BOX_KEY: tf.io.FixedLenFeature([4], tf.int64), LABEL_KEY: tf.io.FixedLenFeature([], tf.int64)}
    parts = []
    for rows in training.dataset(files, spec, None, BATCH):
        answer = signature(image=rows[IMAGE_KEY], box=rows[BOX_KEY], samples=tf.constant(samples, tf.int64))
        slices = [np.char.decode(rows[key].numpy().astype(bytes)) for key in SLICE_KEYS]
        parts.append(
            (rows[IMAGE_KEY].numpy(), rows[LABEL_KEY].numpy(), *slices, answer["probabilities"].numpy())
        )
    images, labels, *slices, draws = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Opinions(images, labels, dict(zip(SLICE_KEYS, slices, strict=True)), draws)


def measure(draws: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Metrics of probabilities per draw [n, draws, 43] against labels [n].

    `mean_accuracy` is the mean of the draws' own accuracies, as in the seed of this project: each draw is a network.
    `accuracy` is of the draws' mean probabilities, which is what is served; `class_accuracy` the mean over classes of
    it. `ece`, `nll`, `brier` judge the mean probabilities.
    """
    mean = draws.mean(axis=1)
    right = mean.argmax(axis=1) == labels
    own = mean[np.arange(len(labels)), labels]
    doubt = entropy(mean)
    return {
        "mean_accuracy": float((draws.argmax(axis=2) == labels[:, None]).mean()),
        "accuracy": float(right.mean()),
        "class_accuracy": float(np.mean([right[labels == label].mean() for label in np.unique(labels)])),
        "ece": calibration_error(mean.max(axis=1), right),
        "nll": float(-np.log(np.maximum(own, 1e-12)).mean()),
        "brier": float(np.square(mean - np.eye(CLASSES)[labels]).sum(axis=1).mean()),
        **error_by_doubt(doubt, right),
        "entropy": float(doubt.mean()),
        "mutual_information": float((doubt - entropy(draws).mean(axis=1)).mean()),
        "example_count": float(len(labels)),
    }


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Shannon's entropy of distributions [..., classes] in nats."""
    return -(probabilities * np.log(np.maximum(probabilities, 1e-30))).sum(axis=-1)


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error over 15 equally wide bins of confidence (Guo, Pleiss, Sun, Weinberger 2017)."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(right))


def error_by_doubt(doubt: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Error rates of the least sure tenth and of the surer half of the rows, and their ratio.

    A half without any error counts as if it had one, so that the ratio is a number and never flatters.
    """
    order = np.argsort(-doubt, kind="stable")
    wrong = ~right[order]
    tenth, half = wrong[: max(1, len(wrong) // 10)], wrong[-max(1, len(wrong) // 2) :]
    return {
        "unsure_error_rate": float(tenth.mean()),
        "sure_error_rate": float(half.mean()),
        "unsure_error_ratio": float(tenth.mean() / max(half.mean(), 1 / len(half))),
    }
