"""TFMA's plots as points: ROC and precision-recall curves, calibration, confusion matrices.

Reads plots-*.tfrecord of a ModelEvaluation. Without ConfusionMatrixPlot, CalibrationPlot or
MultiClassConfusionMatrixPlot in the evaluation's metrics there is nothing to read.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashboards.readers.evaluation import BASELINE, CURVE_POINTS, TFMA, slice_key
from dashboards.readers.protos import message
from dashboards.readers.tfrecord import records

# Where Keras and TFMA draw the line between the classes unless they are told otherwise.
DECISION = 0.5


@dataclass(frozen=True)
class Matrix:
    """Counts at one threshold of a binary classifier."""

    threshold: float
    tp: float
    fp: float
    tn: float
    fn: float

    @property
    def recall(self) -> float:
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else math.nan

    @property
    def precision(self) -> float:
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else math.nan

    @property
    def fall_out(self) -> float:
        return self.fp / (self.fp + self.tn) if self.fp + self.tn else math.nan


@dataclass
class Plots:
    """The plots of one slice. `calibration` is (mean prediction, mean label, rows); `classes` counts by (actual,
    predicted), predicted -1 for "below the threshold"."""

    key: str
    matrices: list[Matrix] = field(default_factory=list)
    calibration: list[tuple[float, float, float]] = field(default_factory=list)
    classes: dict[tuple[int, int], float] = field(default_factory=dict)


def read_plots(folder: Path) -> dict[str, Plots]:
    """Plots by slice key, '' for all rows."""
    cls = message(TFMA + "PlotsForSlice")
    by_slice: dict[str, Plots] = {}
    for file in sorted(folder.glob("plots-*")):
        for record in records(file):
            entry = cls.FromString(record)
            key, _ = slice_key(entry.slice_key)
            one = by_slice.setdefault(key, Plots(key))
            ours = [i.value for i in entry.plot_keys_and_values if i.key.model_name != BASELINE]
            for data in ours or [entry.plot_data]:
                _add(one, data)
    return {
        key: plots for key, plots in by_slice.items() if plots.matrices or plots.calibration or plots.classes
    }


def _add(one: Plots, data: Any) -> None:
    matrices = data.confusion_matrix_at_thresholds.matrices
    if matrices and not one.matrices:
        one.matrices = _thinned(
            [
                Matrix(m.threshold, m.true_positives, m.false_positives, m.true_negatives, m.false_negatives)
                for m in matrices
                if math.isfinite(m.threshold)
            ]
        )
    buckets = data.calibration_histogram_buckets.buckets
    if buckets and not one.calibration:
        rows = [
            (
                b.total_weighted_refined_prediction.value / b.num_weighted_examples.value,
                b.total_weighted_label.value / b.num_weighted_examples.value,
                b.num_weighted_examples.value,
            )
            for b in buckets
            if b.num_weighted_examples.value
        ]
        one.calibration = merged(rows, 20)
    for matrix in data.multi_class_confusion_matrix_at_thresholds.matrices[:1]:
        for e in matrix.entries:
            one.classes[e.actual_class_id, e.predicted_class_id] = e.num_weighted_examples


def _thinned(matrices: list[Matrix]) -> list[Matrix]:
    """About CURVE_POINTS that differ, spread by where the curve moves, and the one at DECISION."""
    kept: list[Matrix] = []
    total = max(
        1.0, max((m.tp + m.fn for m in matrices), default=0), max((m.fp + m.tn for m in matrices), default=0)
    )
    positives = max(1.0, max((m.tp + m.fn for m in matrices), default=0))
    for m in sorted(matrices, key=lambda m: m.threshold):
        last = kept[-1] if kept else None
        moved = last is None or (
            abs(m.tp - last.tp) / positives + abs(m.fp - last.fp) / total > 1 / CURVE_POINTS
        )
        if moved or math.isclose(m.threshold, DECISION):
            kept.append(m)
    return kept


def merged(rows: list[tuple[float, float, float]], most: int) -> list[tuple[float, float, float]]:
    """Neighbouring buckets joined until at most `most` of about equal weight are left."""
    total = sum(weight for _, _, weight in rows)
    joined: list[tuple[float, float, float]] = []
    p = y = n = 0.0
    for prediction, label, weight in sorted(rows):
        p, y, n = p + prediction * weight, y + label * weight, n + weight
        if n >= total / most:
            joined.append((p / n, y / n, n))
            p = y = n = 0.0
    return [*joined, (p / n, y / n, n)] if n else joined


def best(matrices: list[Matrix]) -> Matrix | None:
    """The threshold with the largest Youden index, recall - fall-out (Youden 1950)."""
    usable = [m for m in matrices if math.isfinite(m.recall) and math.isfinite(m.fall_out)]
    return max(usable, key=lambda m: m.recall - m.fall_out, default=None)


@dataclass(frozen=True)
class Confusion:
    """Rows of a classifier by actual and predicted class. `rows` are (actual, counts by `predicted`, their sum)."""

    predicted: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...], float], ...]

    @property
    def long(self) -> bool:
        """Whether the names are too long to stand beside each other above narrow columns."""
        return max(map(len, self.predicted), default=0) > 4


def confusion(classes: dict[tuple[int, int], float], name: Callable[[str], str] = str) -> Confusion:
    """The matrix of TFMA's counts, classes by `name`; class -1 is 'none': no class above the threshold."""
    known = sorted({c for pair in classes for c in pair})
    rows = []
    for actual in (c for c in known if c >= 0):
        counts = tuple(classes.get((actual, predicted), 0.0) for predicted in known)
        rows.append((name(str(actual)), counts, sum(counts)))
    return Confusion(tuple("none" if c < 0 else name(str(c)) for c in known), tuple(rows))


def at(matrices: list[Matrix], threshold: float) -> Matrix | None:
    """The matrix nearest to a threshold."""
    return min(matrices, key=lambda m: abs(m.threshold - threshold), default=None)
