"""How well texts that were never trained on are judged, by the served model and by two regressions on words.

Asked of the served signature, as a client would ask. Lines that are equal but for case and punctuation are one text
and count once. The rivals are logistic regressions on which words a text has, and on which words and pairs of words;
they are fitted to the same training texts, and their penalty is chosen on the same tune split.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components import finite
from components.function_evaluator.measuring import Given, Measured, Sampled, SliceKey
from components.report_gen import reading
from pipelines.base import training
from pipelines.sentiment.features import LABEL_KEY, TEXT_KEY
from pipelines.sentiment.linear import LEAST, PENALTIES
from pipelines.sentiment.rows import length_of, plain

# Name and the longest run of words that counts as a feature.
RIVALS = {"words": 1, "pairs": 2}
BATCH = 512


@dataclass(frozen=True)
class Texts:
    """Different texts of a split: `plain` [n], `labels` [n] (of conflicting ones the commoner), all `lines`, whose
    text has the number `of` [lines].
    """

    plain: list[str]
    labels: np.ndarray
    lines: list[bytes]
    of: np.ndarray

    def mean(self, values: np.ndarray) -> np.ndarray:
        """[n] of one number a line [lines]."""
        return np.bincount(self.of, values) / np.bincount(self.of)


def evaluate(given: Given) -> Sampled:
    """accuracy, auc, precision, recall and loss of the model and, with a suffix, its rivals; see `_metrics`.

    Drawn again are texts.
    """
    texts, rivals = _given(*(tuple(given.examples[split]) for split in ("train", "tune")), tuple(given.files))
    scores = {"": texts.mean(score(given.model, texts.lines)), **rivals}
    keys: dict[SliceKey, np.ndarray] = {(): np.ones(len(texts.labels), bool)}
    lengths = np.array([length_of(text) for text in texts.plain])
    for label in np.unique(lengths):
        keys[(("length", str(label)),)] = lengths == label

    def measure(drawn: np.ndarray) -> Measured:
        return {
            key: _metrics(scores, texts.labels, drawn * rows)
            for key, rows in keys.items()
            if (drawn * rows).any()
        }

    return Sampled(len(texts.labels), measure, "texts")


def _metrics(scores: dict[str, np.ndarray], labels: np.ndarray, often: np.ndarray) -> dict[str, float]:
    """Each text counted `often` [n] times. `accuracy_gain_on_x` is the model's less x's, paired text by text, and
    `accuracy_gain_on_best_upper` the upper end of the 95 % interval of the gain on the best rival: below 0 the model
    is shown to be worse.
    """
    metrics = {"example_count": float(often.sum())}
    right = {}
    for name, score in scores.items():
        suffix = f"_{name}" if name else ""
        said = score >= 0.5
        right[name] = said == (labels == 1)
        chance = np.clip(np.where(labels == 1, score, 1 - score), LEAST, 1.0)
        metrics[f"accuracy{suffix}"] = float(np.average(right[name], weights=often))
        metrics[f"auc{suffix}"] = auc(score, labels, often)
        metrics[f"loss{suffix}"] = float(np.average(-np.log(chance), weights=often))
        hits = float(often @ (said & (labels == 1)))
        metrics[f"precision{suffix}"] = hits / max(1.0, float(often @ said))
        metrics[f"recall{suffix}"] = hits / max(1.0, float(often @ (labels == 1)))
    for name in RIVALS:
        metrics[f"accuracy_gain_on_{name}"] = metrics["accuracy"] - metrics[f"accuracy_{name}"]
    best = max(RIVALS, key=lambda name: metrics[f"accuracy_{name}"])
    gain = right[""].astype(float) - right[best]
    mean = metrics[f"accuracy_gain_on_{best}"]
    error = np.sqrt(np.average((gain - mean) ** 2, weights=often) / often.sum())
    metrics["accuracy_gain_on_best_upper"] = float(mean + 1.96 * error)
    return metrics


def auc(scores: np.ndarray, labels: np.ndarray, often: np.ndarray) -> float:
    """The chance that a positive text scores higher than a negative one, ties half; NaN without both classes."""
    values, place = np.unique(scores, return_inverse=True)
    positive = np.bincount(place, often * (labels == 1), len(values))
    negative = np.bincount(place, often * (labels == 0), len(values))
    pairs = positive.sum() * negative.sum()
    below = np.cumsum(negative) - negative
    return float(positive @ (below + negative / 2) / pairs) if pairs else float("nan")


def read(files: Sequence[str]) -> Texts:
    """The texts of a split, in the order in which they come."""
    import tensorflow as tf

    spec: dict[str, Any] = {
        TEXT_KEY: tf.io.FixedLenFeature([], tf.string),
        LABEL_KEY: tf.io.FixedLenFeature([], tf.int64),
    }
    lines: list[bytes] = []
    labels: list[int] = []
    for rows in training.dataset(files, spec, None, BATCH):
        lines += rows[TEXT_KEY].numpy().tolist()
        labels += rows[LABEL_KEY].numpy().tolist()
    number: dict[str, int] = {}
    of = np.array([number.setdefault(plain(line.decode("utf-8", "replace")), len(number)) for line in lines])
    share = np.bincount(of, labels) / np.bincount(of)
    return Texts(list(number), (share >= 0.5).astype(int), lines, of)


def score(model: Path, lines: Sequence[bytes]) -> np.ndarray:
    """[lines] of the served signature. Raises ProjectError where one is no number."""
    import tensorflow as tf

    served = reading.signature(model)
    parts = [
        served(text=tf.constant(lines[begin : begin + BATCH]))["score"].numpy()
        for begin in range(0, len(lines), BATCH)
    ]
    scores = np.concatenate(parts).astype(np.float64)
    finite.refuse(int(finite.bad_rows(scores).sum()), len(scores))
    return scores


@functools.lru_cache(maxsize=1)
def _given(
    train: tuple[str, ...], tune: tuple[str, ...], later: tuple[str, ...]
) -> tuple[Texts, dict[str, np.ndarray]]:
    """The texts that are judged and the rivals' scores, kept, since candidate and baseline meet the same ones."""
    learned, chosen, judged = read(train), read(tune), read(later)
    return judged, {name: rival(learned, chosen, judged, longest) for name, longest in RIVALS.items()}


def rival(train: Texts, tune: Texts, later: Texts, longest: int) -> np.ndarray:
    """Scores [n] of `later` by a logistic regression on which runs of up to `longest` words a text has."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    counter = CountVectorizer(binary=True, token_pattern=r"\S+", ngram_range=(1, longest))
    learned = counter.fit_transform(train.plain)
    held, asked = counter.transform(tune.plain), counter.transform(later.plain)
    best, lowest = np.zeros(0), np.inf
    for penalty in PENALTIES:
        fitted = LogisticRegression(C=penalty, max_iter=1_000).fit(learned, train.labels)
        loss = log_loss(tune.labels, fitted.predict_proba(held)[:, 1], labels=[0, 1])
        if loss < lowest:
            best, lowest = fitted.predict_proba(asked)[:, 1], loss
    return best
