"""How right a served model is and whether its doubt can be trusted, from what its Monte Carlo samples say.

As many samples as a request that does not say gets. Pictures that are no signs are asked, too: what share of them the
model takes for signs, and what share of the signs it pays for refusing the others. It measures; bars are on the card.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from components.function_evaluator.measuring import Given, Measured, Sampled, SliceKey
from components.report_gen import reading
from pipelines.base import training
from pipelines.traffic_signs import non_signs
from pipelines.traffic_signs.features import BOX_KEY, CLASSES, IMAGE_KEY, INFORMATION_KEYS, LABEL_KEY
from pipelines.traffic_signs.posterior import DEFAULT_DRAWS
from pipelines.traffic_signs.signs import NAMES

BINS = 15
BATCH = 128
SURE = 0.9


class Opinions(NamedTuple):
    """Rows of a split: bytes [n], labels [n], slices {name: [n]}, and probabilities per draw [n, draws, 43].

    `signs` [n] numbers the physical sign that each row is a photograph of.
    """

    images: np.ndarray
    labels: np.ndarray
    slices: dict[str, np.ndarray]
    draws: np.ndarray
    signs: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """The draws' mean probabilities [n, 43]."""
        return self.draws.mean(axis=1)


def evaluate(given: Given) -> Sampled:
    """The metrics of `measure` overall, per slice and per sign, and of pictures that are no signs per kind of them.

    Drawn again are physical signs, for photographs of one sign are alike, and the pictures of none. Raises what the
    model raises.
    """
    told = ask(given.model, given.files)
    answers = _answers(told.draws, told.labels)
    others, most = ask_others(given.model, told.images), most_doubt(given.model)
    signs = int(told.signs.max()) + 1
    kinds = {**told.slices, "sign": np.array(NAMES)[told.labels]}
    parts: dict[SliceKey, np.ndarray] = {(): np.arange(len(told.labels))}
    for name, values in kinds.items():
        for value in np.unique(values):
            parts[((name, str(value)),)] = np.flatnonzero(values == value)

    def measured(drawn: np.ndarray) -> Measured:
        often = drawn[told.signs]
        found = {
            key: _metrics(_Answers(*(column[rows] for column in answers)), often[rows], most)
            for key, rows in parts.items()
            if often[rows].any()
        }
        of_others = others.measure(drawn[signs:], most)
        found[()] |= of_others.pop("")
        return {**found, **{(("no sign", kind),): metrics for kind, metrics in of_others.items()}}

    return Sampled(signs + len(others.kinds), measured, "physical signs and pictures of none")


class Others(NamedTuple):
    """Pictures that are no signs: bytes [n], kinds [n], and the mean probabilities the model gives them [n, 43]."""

    images: np.ndarray
    kinds: np.ndarray
    mean: np.ndarray

    def measure(self, drawn: np.ndarray, most: float) -> dict[str, dict[str, float]]:
        """By kind, '' being all: the shares taken for a sign, and given more than 0.9 for one class."""
        taken, sure = entropy(self.mean) <= most, self.mean.max(axis=1) > SURE
        parts = {
            "": np.ones(len(self.kinds), bool),
            **{kind: self.kinds == kind for kind in np.unique(self.kinds)},
        }
        return {
            str(kind): {
                "non_signs_taken": float(np.average(taken[rows], weights=drawn[rows])),
                "non_signs_sure": float(np.average(sure[rows], weights=drawn[rows])),
            }
            for kind, rows in parts.items()
            if drawn[rows].any()
        }


def ask_others(model: Path, signs: np.ndarray, samples: int = DEFAULT_DRAWS) -> Others:
    """What a SavedModel says to pictures that are no signs, some of them `signs` in shuffled tiles."""
    import tensorflow as tf

    signature = reading.signature(model, "draws")
    kinds, images = zip(*non_signs.make(signs), strict=True)
    parts = [
        signature(
            image=tf.constant(images[first : first + BATCH]),
            box=tf.zeros([len(images[first : first + BATCH]), 4], tf.int64),
            samples=tf.constant(samples, tf.int64),
        )["probabilities"].numpy()
        for first in range(0, len(images), BATCH)
    ]
    return Others(np.array(images, object), np.array(kinds), np.concatenate(parts).mean(axis=1))


def most_doubt(model: Path) -> float:
    """The entropy above which a SavedModel calls a picture no sign; infinite for one that has no such limit."""
    limit = getattr(reading.saved_model(model), "most_doubt", None)
    return math.inf if limit is None else float(limit.numpy())


def ask(model: Path, files: Sequence[str], samples: int = DEFAULT_DRAWS) -> Opinions:
    """What a SavedModel's signature `draws` says to every row of raw gz TFRecords."""
    import tensorflow as tf

    signature = reading.signature(model, "draws")
    texts = (IMAGE_KEY, *INFORMATION_KEYS)
    spec: dict[str, Any] = {key: tf.io.FixedLenFeature([], tf.string) for key in texts}
    spec |= {BOX_KEY: tf.io.FixedLenFeature([4], tf.int64), LABEL_KEY: tf.io.FixedLenFeature([], tf.int64)}
    parts = []
    for rows in training.dataset(files, spec, None, BATCH):
        answer = signature(image=rows[IMAGE_KEY], box=rows[BOX_KEY], samples=tf.constant(samples, tf.int64))
        slices = [np.char.decode(rows[key].numpy().astype(bytes)) for key in INFORMATION_KEYS]
        parts.append(
            (rows[IMAGE_KEY].numpy(), rows[LABEL_KEY].numpy(), *slices, answer["probabilities"].numpy())
        )
    images, labels, *told, draws = (np.concatenate(column) for column in zip(*parts, strict=True))
    kinds = dict(zip(INFORMATION_KEYS, told, strict=True))
    # Names are `<class>_<track>_<frame>.png` or, in a folder per class, `<track>_<frame>.ppm`.
    tracks = [
        f"{label} {name.rpartition('_')[0]}" for label, name in zip(labels, kinds.pop("name"), strict=True)
    ]
    return Opinions(images, labels, kinds, draws, np.unique(tracks, return_inverse=True)[1])


def measure(draws: np.ndarray, labels: np.ndarray, most: float = math.inf) -> dict[str, float]:
    """Metrics of probabilities per draw [n, draws, 43] against labels [n].

    `mean_accuracy` is the mean of the draws' own accuracies, as in the seed of this project: each draw is a network.
    `accuracy` is of the draws' mean probabilities, which is what is served; `class_accuracy` the mean over classes of
    it. `ece`, `nll`, `brier` judge the mean probabilities. `signs_refused` is the share called no sign because their
    entropy is above `most`, `right_signs_refused` the share of all that are and were named right.
    """
    return _metrics(_answers(draws, labels), np.ones(len(labels), np.int64), most)


class _Answers(NamedTuple):
    """What metrics need of each row, [n] each: drawn rows are counted from it, not asked again."""

    labels: np.ndarray
    draws_right: np.ndarray
    right: np.ndarray
    confidence: np.ndarray
    nll: np.ndarray
    brier: np.ndarray
    doubt: np.ndarray
    information: np.ndarray


def _answers(draws: np.ndarray, labels: np.ndarray) -> _Answers:
    mean = draws.mean(axis=1)
    own = mean[np.arange(len(labels)), labels]
    doubt = entropy(mean)
    return _Answers(
        labels,
        (draws.argmax(axis=2) == labels[:, None]).mean(axis=1),
        mean.argmax(axis=1) == labels,
        mean.max(axis=1),
        -np.log(np.maximum(own, 1e-12)),
        np.square(mean - np.eye(CLASSES)[labels]).sum(axis=1),
        doubt,
        doubt - entropy(draws).mean(axis=1),
    )


def _metrics(answers: _Answers, drawn: np.ndarray, most: float) -> dict[str, float]:
    """`measure`'s metrics of rows that were drawn `drawn` [n] times each, once at least in all."""

    def mean(column: np.ndarray) -> float:
        return float(np.average(column, weights=drawn))

    of_class = np.bincount(answers.labels, drawn, CLASSES)
    right_of_class = np.bincount(answers.labels, drawn * answers.right, CLASSES)
    there = of_class > 0
    return {
        "mean_accuracy": mean(answers.draws_right),
        "accuracy": mean(answers.right),
        "class_accuracy": float((right_of_class[there] / of_class[there]).mean()),
        "ece": calibration_error(np.repeat(answers.confidence, drawn), np.repeat(answers.right, drawn)),
        "nll": mean(answers.nll),
        "brier": mean(answers.brier),
        **error_by_doubt(np.repeat(answers.doubt, drawn), np.repeat(answers.right, drawn)),
        "signs_refused": mean(answers.doubt > most),
        "right_signs_refused": mean((answers.doubt > most) & answers.right),
        "entropy": mean(answers.doubt),
        "mutual_information": mean(answers.information),
        "example_count": float(drawn.sum()),
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
