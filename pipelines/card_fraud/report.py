"""Four pictures of a trained detector: how it learned, what it sees, what each threshold would cost, what it said.

All but the first are drawn from the evaluation split. It decides nothing; bars are the Evaluator's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components.report_gen import pictures, reading
from components.report_gen.context import ReportContext
from pipelines.card_fraud.boosting import BOOSTED
from pipelines.card_fraud.features import LABEL_KEY

CLASSES = ("normal", "fraud")


def report(context: ReportContext) -> None:
    """Writes learning_curves, error_by_class, precision_and_recall and confusion_matrix as PNG."""
    folder = context.folder
    pictures.learning_curves(
        pictures.read_curves(context.training_logs), folder / "learning_curves.png", ["loss"]
    )
    if context.parameters.get("variant") == BOOSTED:
        import tensorflow_decision_forests  # noqa: F401  (registers the trees' ops)
    errors, labels, threshold = score(context.model, context.files("eval"))
    error_by_class(errors, labels, threshold, folder / "error_by_class.png")
    precision_and_recall(errors, labels, threshold, folder / "precision_and_recall.png")
    counts = confusion(labels, errors >= threshold)
    recall, alarms = counts[1, 1] / max(1, counts[1].sum()), counts[0, 1] / max(1, counts[0].sum())
    title = f"recall {recall:.1%}, false alarms {alarms:.2%}"
    pictures.confusion_matrix(counts, CLASSES, folder / "confusion_matrix.png", title)


def score(model: Path, files: Sequence[str]) -> tuple[np.ndarray, np.ndarray, float]:
    """(errors [n], labels [n], threshold) of a SavedModel on raw gz TFRecords."""
    import tensorflow as tf

    serve = reading.signature(model, "serve_examples")
    spec = {LABEL_KEY: tf.io.FixedLenFeature([], tf.int64)}
    errors, labels, threshold = [], [], np.nan
    for batch in tf.data.TFRecordDataset(list(files), "GZIP").batch(4096):
        answer = serve(examples=batch)
        errors.append(answer["error"].numpy())
        threshold = float(answer["threshold"][0])
        labels.append(tf.io.parse_example(batch, spec)[LABEL_KEY].numpy())
    return np.concatenate(errors), np.concatenate(labels), threshold


def confusion(labels: np.ndarray, flagged: np.ndarray) -> np.ndarray:
    """Counts [actual, flagged] of two classes."""
    return np.bincount(labels.astype(int) * 2 + flagged.astype(int), minlength=4).reshape(2, 2)


def error_by_class(errors: np.ndarray, labels: np.ndarray, threshold: float, file: Path) -> None:
    """Shares of each class by size of error; errors span decades, so the axis is logarithmic."""
    drawn = pictures.figure(7.5, 4)
    axes = drawn.subplots()
    shown = np.maximum(errors, 1e-9)
    bins = np.logspace(np.log10(np.quantile(shown, 0.001)), np.log10(shown.max()), 60)
    for value, name, colour in ((0, CLASSES[0], "tab:blue"), (1, CLASSES[1], "tab:red")):
        of_class = shown[labels == value]
        weights = np.full(len(of_class), 1 / max(1, len(of_class)))
        axes.hist(
            of_class, bins, weights=weights, alpha=0.6, color=colour, label=f"{name} ({len(of_class):,})"
        )
    axes.axvline(threshold, color="black", linestyle="--", label="threshold")
    axes.set(
        xscale="log",
        xlabel="reconstruction error, or odds of a fraud",
        ylabel="share of the class",
        title="Error by class",
    )
    axes.legend()
    pictures.save(drawn, file)


def precision_and_recall(errors: np.ndarray, labels: np.ndarray, threshold: float, file: Path) -> None:
    """What every other threshold would give: recall, precision, and the share of normals that are flagged."""
    order = np.argsort(-errors)
    caught, false = np.cumsum(labels[order] == 1), np.cumsum(labels[order] == 0)
    cut = np.maximum(errors[order], 1e-9)
    curves = {
        "recall": caught / max(1, caught[-1]),
        "precision": caught / np.maximum(1, caught + false),
        "false alarms": false / max(1, false[-1]),
    }
    drawn = pictures.figure(7.5, 4)
    axes = drawn.subplots()
    for name, values in curves.items():
        axes.plot(cut, values, label=name)
    axes.axvline(threshold, color="black", linestyle="--", label="threshold")
    axes.set(xscale="log", ylim=(0, 1.02), xlabel="threshold on the error", title="Precision and recall")
    axes.set_xlim(max(cut.min(), threshold / 100), cut.max())
    axes.grid(alpha=0.3)
    axes.legend()
    pictures.save(drawn, file)
