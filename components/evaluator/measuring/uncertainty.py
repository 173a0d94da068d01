"""Intervals of every metric in every slice: the kernels' tables resampled, TFMA's metrics of each resample.

Shares and areas are reckoned for all resamples at once; any other metric that TFMA derives is derived by TFMA's own
function, once per resample and slice. Metrics without an interval (counts of rows, arrays, plots) are simply not there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from tensorflow_model_analysis.metrics import (
    binary_confusion_matrices,
    confusion_matrix_metrics,
    metric_types,
)

from components.confidence import intervals, resampling
from components.confidence.intervals import Interval, Kind
from components.confidence.resampling import Cells, Plan
from components.confidence.tfma_files import SliceKey
from components.evaluator.measuring import curves
from components.evaluator.measuring.closures import Derived
from components.evaluator.measuring.computing import Measurement
from components.evaluator.measuring.kernels import Kernel, Table
from components.evaluator.measuring.rows import Rows

Key: TypeAlias = metric_types.MetricKey
Intervals = dict[SliceKey, dict[Key, Interval]]
# Parts a curve is cut into for resampling: as many by all rows as by the positive ones. Fewer where there are many
# slices, so that the resampled sums stay within some hundred megabytes.
PARTS, FEWEST_PARTS, SLICES_OF_MOST = 128, 8, 100
# Whole numbers of up to so many different labels are classes.
MOST_CLASSES = 1000


@dataclass
class Counts:
    """tp, tn, fp, fn [t, 1 + b] of one slice at ascending thresholds; column 0 is the measured one."""

    tp: np.ndarray
    tn: np.ndarray
    fp: np.ndarray
    fn: np.ndarray

    @classmethod
    def of_parts(cls, positive: np.ndarray, negative: np.ndarray, first: bool) -> Counts:
        """From what lies between the thresholds [t + 1, 1 + b]. `first`: also at a threshold below all."""
        start = 0 if first else 1
        tp, fp = curves.at_least(positive)[start:], curves.at_least(negative)[start:]
        fn, tn = curves.below(positive)[start:], curves.below(negative)[start:]
        if first:
            # TFMA's last threshold is beyond 1: nothing is predicted to be positive there.
            none = np.zeros_like(tp[:1])
            tp, fp = np.concatenate([tp, none]), np.concatenate([fp, none])
            fn, tn = np.concatenate([fn, tp[:1]]), np.concatenate([tn, fp[:1]])
        return cls(tp, tn, fp, fn)

    def matrices(self, column: int) -> binary_confusion_matrices.Matrices:
        """TFMA's, of one resample. The thresholds' values are not known here; no metric but one reads them."""
        sides = (side[:, column].astype(np.float64).tolist() for side in (self.tp, self.tn, self.fp, self.fn))
        return binary_confusion_matrices.Matrices([math.nan] * len(self.tp), *sides)


@dataclass
class Resampled:
    """By key: values [s, 1 + b], counts at thresholds and sums by slice, and what is known of each value."""

    values: dict[Key, np.ndarray] = field(default_factory=dict)
    counts: dict[Key, list[Counts]] = field(default_factory=dict)
    totals: dict[Key, tuple[Kernel, np.ndarray]] = field(default_factory=dict)
    kinds: dict[Key, list[Kind]] = field(default_factory=dict)


# Takes sums [slices, cells, v, 1 + b] of a kernel's narrowed table into what is resampled.
Read = Callable[[Resampled, Kernel, np.ndarray], None]


def uncertainty(rows: Rows, measured: Measurement) -> tuple[Intervals, Plan]:
    """Intervals by slice and key, of differences to the baseline too, and how they were made."""
    order = _order(rows)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    classes = _classes(rows.labels)
    made = resampling.plan(len(rows), None if classes is None else classes[order])
    count = len(rows.slices.keys)
    known = [kernel for kernel in measured.kernels if kernel.kind in NARROWED]
    tables = [(kernel, *NARROWED[kernel.kind](kernel, count)) for kernel in known]
    sliced = [_by_slice(table, rows, rank) for _, table, _ in tables]
    drawn = resampling.resampled(made, [cells for cells, _ in sliced])
    resampled = Resampled()
    for (kernel, table, reading), (_, whole), sums in zip(tables, sliced, drawn, strict=True):
        by_slice = sums.reshape(count, table.cells, *sums.shape[1:])
        if whole is not None:
            by_slice[0] = by_slice[whole].sum(axis=0)
        reading(resampled, kernel, by_slice)
    with np.errstate(all="ignore"):
        for derived in measured.derived:
            _derive(resampled, derived, rows.slices.rows())
    return _intervals(resampled, rows, measured), made


def _order(rows: Rows) -> np.ndarray:
    """The rows by their content [n]: engines read them in different orders, and the same rows get the same draws."""
    columns = [
        *rows.slices.layers,
        *np.atleast_2d(rows.labels.T),
        *(c for p in rows.predictions.values() for c in np.atleast_2d(p.T)),
    ]
    return np.lexsort([np.asarray(column, np.float64) for column in columns])


def _classes(labels: np.ndarray) -> np.ndarray | None:
    if labels.ndim > 1 or not (labels == np.floor(labels)).all() or len(np.unique(labels)) > MOST_CLASSES:
        return None
    return labels


def _by_slice(table: Table, rows: Rows, rank: np.ndarray) -> tuple[Cells, np.ndarray | None]:
    """The table's cells in each slice, and the slices that the first one, of all rows, is put together from."""
    layers = list(rows.slices.layers)
    whole = None
    if len(layers) > 1 and rows.slices.keys[0] == () and (layers[0] == 0).all():
        for layer in layers[1:]:
            others = [np.unique(other) for other in layers if other is not layer]
            own = np.unique(layer)
            if own[0] >= 0 and not any(np.intersect1d(own, other).size for other in others):
                whole, layers = own, layers[1:]
                break
    parts = []
    for layer in layers:
        of_row = layer[table.row]
        there = of_row >= 0
        parts.append(
            (
                table.row[there],
                of_row[there].astype(np.int64) * table.cells + table.cell[there],
                table.values[there],
            )
        )
    row, cell, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Cells(rank[row], cell, values, len(rows.slices.keys) * table.cells), whole


def _of_histogram(kernel: Kernel, slices: int) -> tuple[Table, Read]:
    """Neighbouring buckets put together where there are many; positive and negative weight in each part."""
    table = kernel.table
    positive, examples = table.values[:, 0], table.values[:, 2]
    known, place = np.unique(table.cell, return_inverse=True)
    part, parts = place, max(FEWEST_PARTS, min(PARTS, PARTS * SLICES_OF_MOST // slices))
    if len(known) > 2 * parts:
        cuts = [
            np.searchsorted(np.cumsum(weight) / weight.sum(), np.arange(1, parts) / parts)
            for weight in (np.bincount(place, examples), np.bincount(place, positive))
            if weight.sum() > 0
        ]
        part = np.searchsorted(np.unique(np.concatenate(cuts)), place, side="right")
    values = np.stack([positive, examples - positive], axis=1)

    def read(resampled: Resampled, kernel: Kernel, sums: np.ndarray) -> None:
        resampled.counts[kernel.keys[0]] = [
            Counts.of_parts(of_slice[:, 0], of_slice[:, 1], first=True) for of_slice in sums
        ]

    return Table(table.row, part, values, int(part.max(initial=0)) + 1), read


def _of_thresholds(kernel: Kernel, slices: int) -> tuple[Table, Read]:
    def read(resampled: Resampled, kernel: Kernel, sums: np.ndarray) -> None:
        resampled.counts[kernel.keys[0]] = [
            Counts.of_parts(of_slice[:, 0], of_slice[:, 1], first=False) for of_slice in sums
        ]

    return kernel.table, read


def _of_means(kernel: Kernel, slices: int) -> tuple[Table, Read]:
    values = kernel.table.values
    shares = [
        bool(np.isin(values[:, 2 * number], (0.0, 1.0)).all() and (values[:, 2 * number + 1] == 1).all())
        for number in range(len(kernel.keys))
    ]

    def read(resampled: Resampled, kernel: Kernel, sums: np.ndarray) -> None:
        for number, key in enumerate(kernel.keys):
            total, weight = sums[:, 0, 2 * number].astype(np.float64), sums[:, 0, 2 * number + 1]
            with np.errstate(all="ignore"):
                resampled.values[key] = total / weight
            resampled.kinds[key] = [
                Kind(float(n), float(k) if shares[number] else None, shares[number])
                for k, n in zip(total[:, 0], weight[:, 0], strict=True)
            ]

    return kernel.table, read


def _of_calibration(kernel: Kernel, slices: int) -> tuple[Table, Read]:
    def read(resampled: Resampled, kernel: Kernel, sums: np.ndarray) -> None:
        resampled.totals[kernel.keys[0]] = kernel, sums[:, 0].astype(np.float64)

    return kernel.table, read


NARROWED = {
    "histogram": _of_histogram,
    "thresholds": _of_thresholds,
    "mean": _of_means,
    "calibration": _of_calibration,
}


def _derive(resampled: Resampled, derived: Derived, rows: np.ndarray) -> None:
    step, metric = derived.step, derived.metric
    if step is not None:
        if step.of in resampled.counts:
            resampled.counts[step.key] = resampled.counts[step.of]
        return
    keys = [key for key in derived.computation.keys if not isinstance(key, metric_types.PlotKey)]
    if len(keys) != 1 or not derived.inputs or "metric_config" in derived.held:
        return
    counts = resampled.counts.get(derived.inputs[0]) if len(derived.inputs) == 1 else None
    if counts is not None and isinstance(metric, confusion_matrix_metrics.AUC):
        kwargs = derived.held.get("kwargs", {})
        areas = [area(one, kwargs["curve"], kwargs["summation_method"]) for one in counts]
        resampled.values[keys[0]] = np.stack(areas)
        resampled.kinds[keys[0]] = [
            Kind(float(min(one.tp[0, 0] + one.fn[0, 0], one.fp[0, 0] + one.tn[0, 0])), None, True)
            for one in counts
        ]
    elif counts is not None and type(metric) in SHARES and len(counts[0].tp) == 1:
        _share(resampled, keys[0], counts, *SHARES[type(metric)])
    else:
        _one_by_one(resampled, derived, keys[0], rows)


SHARES: dict[type, tuple[tuple[str, ...], tuple[str, ...]]] = {
    confusion_matrix_metrics.BinaryAccuracy: (("tp", "tn"), ("tp", "tn", "fp", "fn")),
    **dict.fromkeys(
        (confusion_matrix_metrics.Precision, confusion_matrix_metrics.PPV), (("tp",), ("tp", "fp"))
    ),
    **dict.fromkeys((confusion_matrix_metrics.Recall, confusion_matrix_metrics.TPR), (("tp",), ("tp", "fn"))),
    **dict.fromkeys(
        (confusion_matrix_metrics.Specificity, confusion_matrix_metrics.TNR), (("tn",), ("tn", "fp"))
    ),
    **dict.fromkeys(
        (confusion_matrix_metrics.FallOut, confusion_matrix_metrics.FPR), (("fp",), ("fp", "tn"))
    ),
    **dict.fromkeys(
        (confusion_matrix_metrics.MissRate, confusion_matrix_metrics.FNR), (("fn",), ("fn", "tp"))
    ),
    **dict.fromkeys(
        (confusion_matrix_metrics.NegativePredictiveValue, confusion_matrix_metrics.NPV),
        (("tn",), ("tn", "fn")),
    ),
    confusion_matrix_metrics.FalseDiscoveryRate: (("fp",), ("fp", "tp")),
    confusion_matrix_metrics.FalseOmissionRate: (("fn",), ("fn", "tn")),
    confusion_matrix_metrics.Prevalence: (("tp", "fn"), ("tp", "tn", "fp", "fn")),
    confusion_matrix_metrics.PredictedPositiveRate: (("tp", "fp"), ("tp", "tn", "fp", "fn")),
    confusion_matrix_metrics.ThreatScore: (("tp",), ("tp", "fn", "fp")),
}


def _share(
    resampled: Resampled, key: Key, counts: Sequence[Counts], of: tuple[str, ...], all_of: tuple[str, ...]
) -> None:
    hits = np.stack([sum(getattr(one, side)[0] for side in of) for one in counts]).astype(np.float64)
    rows = np.stack([sum(getattr(one, side)[0] for side in all_of) for one in counts]).astype(np.float64)
    resampled.values[key] = np.where(rows > 0, hits / rows, np.nan)
    counted = np.abs(rows[:, 0] - np.round(rows[:, 0])) < 1e-6 * np.maximum(1, rows[:, 0])
    resampled.kinds[key] = [
        Kind(float(n), float(k) if whole else None, True)
        for k, n, whole in zip(hits[:, 0], rows[:, 0], counted, strict=True)
    ]


def area(counts: Counts, curve: str, summation: str) -> np.ndarray:
    """The area under the curve in every column [1 + b], by the formulas of TFMA's AUC; NaN where a class is missing.

    Curve 'ROC' or 'PR'; summation 'interpolation' (of precision as Davis and Goadrich 2006), 'minoring', 'majoring'.
    """
    tp, tn, fp, fn = (side.astype(np.float64) for side in (counts.tp, counts.tn, counts.fp, counts.fn))
    positives, negatives = tp[0] + fn[0], fp[0] + tn[0]
    if curve.upper() == "PR" and summation.lower() == "interpolation":
        found, flagged = tp[:-1] - tp[1:], (tp + fp)[:-1] - (tp + fp)[1:]
        later = (tp + fp)[1:]
        slope = found / np.maximum(flagged, 0)
        intercept = tp[1:] - slope * later
        both = (later + flagged > 0) & (later > 0)
        ratio = np.where(both, (later + flagged) / np.maximum(later, 0), 1.0)
        areas = np.nansum(
            slope * (found + intercept * np.log(ratio)) / np.maximum(tp[1:] + fn[1:], 0), axis=0
        )
    else:
        recall = tp / (tp + fn)
        x, y = (fp / (fp + tn), recall) if curve.upper() == "ROC" else (recall, tp / (tp + fp))
        heights = {
            "interpolation": (y[:-1] + y[1:]) / 2,
            "minoring": np.minimum(y[:-1], y[1:]),
            "majoring": np.maximum(y[:-1], y[1:]),
        }[summation.lower()]
        areas = np.nansum((x[:-1] - x[1:]) * heights, axis=0)
    return np.where((positives > 0) & (negatives > 0), areas, np.nan)


def _one_by_one(resampled: Resampled, derived: Derived, key: Key, rows: np.ndarray) -> None:
    """TFMA's own function for every slice and resample. Leaves the metric out where that is no number."""
    sources: list[tuple[Key, Callable[[int, int], Any]]] = []
    width = 0
    for given in derived.inputs:
        source, columns = _source(resampled, given)
        if source is None:
            return
        sources.append((given, source))
        width = columns
    values = np.full((len(rows), width), np.nan)
    for number in range(len(rows)):
        for column in range(width):
            metrics = {given: source(number, column) for given, source in sources}
            try:
                value = derived.computation.result(metrics)[key]
                values[number, column] = float(value)
            except (TypeError, KeyError):
                return
            except (ValueError, ArithmeticError):
                continue
    resampled.values[key] = values
    resampled.kinds[key] = [Kind(float(n)) for n in rows]


def _source(resampled: Resampled, key: Key) -> tuple[Callable[[int, int], Any] | None, int]:
    """Gives the value of `key` in (slice, resample), and how many resamples there are."""
    if key in resampled.values:
        values = resampled.values[key]
        return (lambda number, column: float(values[number, column])), values.shape[1]
    if key in resampled.counts:
        counts = resampled.counts[key]
        return (lambda number, column: counts[number].matrices(column)), counts[0].tp.shape[1]
    if key in resampled.totals:
        kernel, totals = resampled.totals[key]
        none = np.zeros(1, np.int64)
        return (
            lambda number, column: kernel.outputs(none, totals[number, :, column][None])[key]
        ), totals.shape[2]
    return None, 0


def _intervals(resampled: Resampled, rows: Rows, measured: Measurement) -> Intervals:
    found: Intervals = {}
    for number, slice_key in enumerate(rows.slices.keys):
        metrics = measured.slices.get(slice_key, {})
        found[slice_key] = {
            key: interval
            for key, value in metrics.items()
            if (interval := _interval(resampled, key, value, number, metrics)) is not None
        }
    return found


def _interval(
    resampled: Resampled, key: Key, value: Any, number: int, metrics: Mapping[Key, Any]
) -> Interval | None:
    if key.is_diff:
        own = key._replace(is_diff=False)
        before = next(
            (
                k
                for k in metrics
                if not k.is_diff and k != own and k._replace(model_name=own.model_name) == own
            ),
            None,
        )
        if own not in resampled.values or before not in resampled.values:
            return None
        values = resampled.values[own][number] - resampled.values[before][number]
        kind = Kind(min(resampled.kinds[k][number].rows for k in (own, before)))
    elif key in resampled.values:
        values, kind = resampled.values[key][number], resampled.kinds[key][number]
    else:
        return None
    return intervals.of_samples(float(value), float(values[0]), values[1:], kind)
