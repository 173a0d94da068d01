"""What a person looks at: learning curves, scores by class, accuracy by slice, the worst mistakes, the words' map.

Drawn from the evaluation split with the served model's own outputs. It decides nothing; bars are the Evaluator's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components.report_gen import pictures
from components.report_gen.context import ReportContext
from pipelines.sentiment.features import LABEL_KEY, SLICE_KEYS, TEXT_KEY

CLASSES = ("negative", "positive")
WORST = 12


def report(context: ReportContext) -> None:
    """Writes learning_curves, scores, slices, mistakes and confusion_matrix as PNG."""
    folder = context.folder
    pictures.learning_curves(pictures.read_curves(context.training_logs), folder / "learning_curves.png")
    rows = read(context.files("eval"))
    labels = rows[LABEL_KEY].astype(int)
    scores = score(context.model, rows[TEXT_KEY])
    right = (scores >= 0.5) == (labels == 1)
    counts = np.bincount(labels * 2 + (scores >= 0.5), minlength=4).reshape(2, 2)
    pictures.confusion_matrix(
        counts, CLASSES, folder / "confusion_matrix.png", f"accuracy {right.mean():.2%}"
    )
    score_histogram(scores, labels, folder / "scores.png")
    slices(rows, right, folder / "slices.png")
    mistakes(rows[TEXT_KEY], labels, scores, folder / "mistakes.png")


def read(files: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns [n] of raw gz TFRecords."""
    import tensorflow as tf

    spec = {key: tf.io.FixedLenFeature([], tf.string) for key in (TEXT_KEY, *SLICE_KEYS)}
    spec[LABEL_KEY] = tf.io.FixedLenFeature([], tf.int64)
    (rows,) = [
        tf.io.parse_example(batch, spec)
        for batch in tf.data.TFRecordDataset(list(files), "GZIP").batch(1 << 20)
    ]
    return {key: value.numpy() for key, value in rows.items()}


def score(model: Path, texts: np.ndarray) -> np.ndarray:
    """Scores [n] of the serving signature."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(model))
    return loaded.signatures["serving_default"](text=tf.constant(texts))["score"].numpy()


def score_histogram(scores: np.ndarray, labels: np.ndarray, file: Path) -> None:
    """How sure it is of each class; counts span decades, so the axis is logarithmic."""
    drawn = pictures.figure(6.5, 4)
    axes = drawn.subplots()
    for label, name in enumerate(CLASSES):
        axes.hist(scores[labels == label], bins=np.linspace(0, 1, 41), alpha=0.6, label=name)
    axes.set(xlabel="score", ylabel="sentences", yscale="log")
    axes.legend(title="labelled")
    pictures.save(drawn, file)


def slices(rows: dict[str, np.ndarray], right: np.ndarray, file: Path) -> None:
    """Accuracy of each slice with its 95 % interval (Wilson): few sentences say little."""
    names, centres, halves = [], [], []
    for key in SLICE_KEYS:
        for value in np.unique(rows[key]):
            hit = right[rows[key] == value]
            n, p, z = len(hit), hit.mean(), 1.96
            names.append(f"{value.decode()} ({n})")
            centres.append((p + z * z / (2 * n)) / (1 + z * z / n))
            halves.append(z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
    drawn = pictures.figure(7, 0.6 * len(names) + 1)
    axes = drawn.subplots()
    axes.errorbar(centres, range(len(names)), xerr=halves, fmt="o", capsize=4)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="accuracy", xlim=(min(0.7, min(centres) - max(halves)), 1.01))
    pictures.save(drawn, file)


def mistakes(texts: np.ndarray, labels: np.ndarray, scores: np.ndarray, file: Path) -> None:
    """The sentences it was most surely wrong about, as text."""
    wrong = np.abs(scores - labels)
    chosen: list[int] = []
    seen: set[bytes] = set()
    for row in np.argsort(-wrong):
        if wrong[row] < 0.5 or len(chosen) == WORST:
            break
        if texts[row] not in seen:
            seen.add(texts[row])
            chosen.append(row)
    drawn = pictures.figure(11, 0.35 * max(1, len(chosen)) + 0.8)
    axes = drawn.subplots()
    axes.axis("off")
    axes.set_title("most surely wrong" if chosen else "no mistake", loc="left")
    for place, row in enumerate(chosen):
        # A dollar sign would begin a formula.
        text = texts[row].decode("utf-8", "replace").replace("$", "\\$")
        line = f"{scores[row]:.2f}  labelled {CLASSES[labels[row]]}:  {text[:110]}"
        axes.text(
            0, 1 - (place + 1) / (len(chosen) + 1), line, fontsize=9, va="center", transform=axes.transAxes
        )
    pictures.save(drawn, file)
