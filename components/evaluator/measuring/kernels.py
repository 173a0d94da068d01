"""TFMA's combiners over whole columns: what each row adds to which cells, and the accumulator that the cells make.

A kernel is built from a combiner of TFMA's by its type. It adds nothing up itself: `sums` does for all slices at once,
and the same table is what resampling draws from. Combiners that are not listed raise NotProven.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from tensorflow_model_analysis.contrib.aggregates import binary_confusion_matrices as counting
from tensorflow_model_analysis.metrics import (
    binary_confusion_matrices,
    calibration,
    calibration_histogram,
    cross_entropy_metrics,
    example_count,
    mean_regression_error,
    metric_types,
    multi_class_confusion_matrix_metrics,
    tf_metric_wrapper,
)

from components.evaluator.measuring.pairing import Pairs, pairs, predictions, weights
from components.evaluator.measuring.rows import NotProven, Rows

Outputs = dict[metric_types.MetricKey, Any]


@dataclass
class Table:
    """Row number [m], cell number [m] and what is added there [m, v]; `cells` is how many cells there are."""

    row: np.ndarray
    cell: np.ndarray
    values: np.ndarray
    cells: int


@dataclass
class Kernel:
    """`table` of a combiner and `outputs`, which makes what the combiner puts out from the sums of one slice.

    `outputs(cell, sums)` gets the cells [c] that have rows, ascending, and their sums [c, v]. `kind` names what the
    cells are for those who resample; `combiner` is TFMA's. Slices with a row marked in `bad` are not measured.
    """

    kind: str
    combiner: Any
    keys: Sequence[metric_types.MetricKey]
    table: Table
    outputs: Callable[[np.ndarray, np.ndarray], Outputs]
    bad: np.ndarray | None = None
    reason: str = ""


class Buckets(Sequence[calibration_histogram.Bucket]):
    """A calibration histogram as arrays; TFMA's list of buckets to whoever walks through it."""

    def __init__(self, ids: np.ndarray, sums: np.ndarray) -> None:
        self.ids, self.sums = ids, sums

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> calibration_histogram.Bucket: ...
    @overload
    def __getitem__(self, index: slice) -> list[calibration_histogram.Bucket]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return calibration_histogram.Bucket(int(self.ids[index]), *map(float, self.sums[index]))

    def __iter__(self) -> Iterator[calibration_histogram.Bucket]:
        return (self[place] for place in range(len(self)))


def kernels(computation: metric_types.MetricComputation, rows: Rows) -> list[Kernel]:
    """The kernels of one computation. Raises NotProven with the metric's name where there is none."""
    combiner = computation.combiner
    make = MAKERS.get(type(combiner))
    plain = all(
        type(p) is metric_types.StandardMetricInputsPreprocessor for p in computation.preprocessors or ()
    )
    names = ", ".join(sorted({key.name for key in computation.keys}))
    if make is None or not plain:
        raise NotProven(f"{names} ({type(combiner).__name__})")
    try:
        return make(combiner, computation.keys, rows)
    except NotProven as missing:
        raise NotProven(f"{names}: {missing}") from None


def sums(table: Table, layers: Sequence[np.ndarray], slices: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For every slice the cells that have rows [c], ascending, and their sums [c, v]. Rows are read once a layer."""
    codes, values = [], []
    for layer in layers:
        of_row = layer[table.row]
        there = of_row >= 0
        code, inverse = np.unique(
            of_row[there].astype(np.int64) * table.cells + table.cell[there], return_inverse=True
        )
        codes.append(code)
        values.append(
            np.stack(
                [np.bincount(inverse, column, minlength=len(code)) for column in table.values[there].T],
                axis=1,
            )
        )
    code, inverse = np.unique(np.concatenate(codes) if codes else np.zeros(0, np.int64), return_inverse=True)
    every = np.concatenate(values) if values else np.zeros((0, table.values.shape[1]))
    added = np.zeros((len(code), table.values.shape[1]))
    np.add.at(added, inverse, every)
    ends = np.searchsorted(code, np.arange(slices + 1) * table.cells)
    return [
        (code[begin:end] - number * table.cells, added[begin:end])
        for number, (begin, end) in enumerate(itertools.pairwise(ends))
    ]


def _count(combiner: Any, keys: Any, rows: Rows) -> list[Kernel]:
    weight = weights(rows, combiner._example_weighted)
    table = Table(np.arange(len(rows)), np.zeros(len(rows), np.int64), weight[:, None], 1)

    def outputs(cell: np.ndarray, added: np.ndarray) -> Outputs:
        return combiner.extract_output(float(added.sum()))

    return [Kernel("count", combiner, keys, table, outputs)]


def _parts(paired: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Weight of a row as a positive and as a negative [m]: a label between 0 and 1 is a part of both."""
    return paired.weight * paired.label, paired.weight * (1 - paired.label)


def _histogram(combiner: Any, keys: Any, rows: Rows) -> list[Kernel]:
    fractional = combiner._fractional_labels
    if not combiner._prediction_based_bucketing:
        raise NotProven("buckets of labels")
    paired = pairs(rows, combiner, combiner._key, fractional=fractional)
    count = combiner._num_buckets
    place = (paired.prediction - combiner._left) / combiner._range * count + 1
    bucket = np.clip(np.trunc(place), 0, count + 1).astype(np.int64)
    if fractional:
        positive, negative = _parts(paired)
        examples = positive + negative
        there = examples != 0
    else:
        positive, examples = paired.label * paired.weight, paired.weight
        there = np.ones(len(examples), bool)
    values = np.stack([positive, paired.prediction * examples, examples], axis=1)[there]
    table = Table(paired.row[there], bucket[there], values, count + 2)

    def outputs(cell: np.ndarray, added: np.ndarray) -> Outputs:
        return {combiner._key: Buckets(cell, added)}

    return [Kernel("histogram", combiner, keys, table, outputs, paired.bad, paired.reason)]


def _thresholds(combiner: Any, keys: Any, rows: Rows) -> list[Kernel]:
    if combiner._example_id_key or not combiner._enable_fractional_labels:
        raise NotProven("ids of examples, or labels that are compared with the thresholds")
    own = binary_confusion_matrices.metric_util.to_label_prediction_example_weight
    if combiner._extract_label_prediction_and_weight is not own:
        raise NotProven("labels and predictions of its own making")
    thresholds = np.array(combiner._binary_confusion_matrices._thresholds, float)
    paired = pairs(rows, combiner, combiner._key, fractional=True)
    order = np.sort(thresholds)
    # The cell is how many thresholds lie below the prediction.
    cell = np.searchsorted(order, paired.prediction, side="left")
    table = Table(paired.row, cell, np.stack(_parts(paired), axis=1), len(order) + 1)

    def outputs(cells: np.ndarray, added: np.ndarray) -> Outputs:
        accumulator = {}
        for threshold in combiner._binary_confusion_matrices._thresholds:
            above = cells > np.searchsorted(order, threshold, side="left")
            (tp, fp), (fn, tn) = added[above].sum(axis=0).tolist(), added[~above].sum(axis=0).tolist()
            matrix = counting.Matrix(tp=tp, tn=tn, fp=fp, fn=fn)
            accumulator[threshold] = counting._ThresholdEntry(matrix, [], [], [], [])
        return combiner.extract_output(accumulator)

    return [Kernel("thresholds", combiner, keys, table, outputs, paired.bad, paired.reason)]


def _calibration(combiner: Any, keys: Any, rows: Rows) -> list[Kernel]:
    paired = pairs(rows, combiner, combiner._key, fractional=False)
    sums = {
        "total_weighted_labels": paired.label * paired.weight,
        "total_weighted_predictions": paired.prediction * paired.weight,
        "total_weighted_examples": paired.weight,
    }
    return [_of_sums("calibration", combiner, keys, paired, sums)]


def _of_sums(name: str, combiner: Any, keys: Any, paired: Pairs, sums: Mapping[str, np.ndarray]) -> Kernel:
    """For a combiner whose accumulator has these fields, each the sum of a number per row [n]."""
    values = np.stack(list(sums.values()), axis=1)
    table = Table(paired.row, np.zeros(len(values), np.int64), values, 1)

    def outputs(cell: np.ndarray, added: np.ndarray) -> Outputs:
        total = combiner.create_accumulator()
        for field, value in zip(sums, added.sum(axis=0).tolist(), strict=True):
            setattr(total, field, value)
        return combiner.extract_output(total)

    return Kernel(name, combiner, keys, table, outputs, paired.bad, paired.reason)


def _regression(combiner: Any, keys: Any, rows: Rows) -> list[Kernel]:
    paired = pairs(rows, combiner, combiner._metric_key, fractional=False)
    with np.errstate(all="ignore"):
        error = ERRORS[type(combiner)](paired.label, paired.prediction)
    sums = {
        "total_regression_error": np.where(np.isnan(error), 0.0, error * paired.weight),
        "total_example_weights": np.where(np.isnan(error), 0.0, paired.weight),
    }
    return [_of_sums("mean", combiner, keys, paired, sums)]


def _relative(label: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """In percent; rows whose label is 0 are left out."""
    return np.where(label == 0, np.nan, 100 * np.abs((label - prediction) / label))


ERRORS: dict[type, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    mean_regression_error._MeanAbsoluteErrorCombiner: lambda label, given: np.abs(label - given),
    mean_regression_error._MeanSquaredErrorCombiner: lambda label, given: (label - given) ** 2,
    mean_regression_error._MeanAbsolutePercentageErrorCombiner: _relative,
    mean_regression_error._MeanSquaredLogarithmicErrorCombiner: lambda label, given: (
        (np.log(label + 1) - np.log(given + 1)) ** 2
    ),
}


def _cross_entropy(combiner: Any, keys: Any, rows: Rows) -> list[Kernel]:
    if predictions(rows, combiner._metric_key.model_name, combiner._metric_key.output_name).ndim > 1:
        raise NotProven("binary cross entropy of several classes")
    paired = pairs(rows, combiner, combiner._metric_key, fractional=False)
    label = paired.label * (1 - combiner._label_smoothing) + 0.5 * combiner._label_smoothing
    given = paired.prediction
    with np.errstate(all="ignore"):
        if combiner._from_logits:
            loss = np.maximum(given, 0) - given * label + np.log(1 + np.exp(-np.abs(given)))
        else:
            loss = -label * np.log(given) - (1 - label) * np.log(1 - given)
    sums = {"total_cross_entropy": loss * paired.weight, "total_example_weights": paired.weight}
    return [_of_sums("mean", combiner, keys, paired, sums)]


def _classes(combiner: Any, keys: Any, rows: Rows) -> list[Kernel]:
    own = multi_class_confusion_matrix_metrics.metric_util.to_label_prediction_example_weight
    if combiner._extract_label_prediction_and_weight is not own:
        raise NotProven("labels and predictions of its own making")
    given = predictions(rows, combiner._key.model_name, combiner._key.output_name)
    if given.ndim == 1:
        raise NotProven("a confusion matrix of classes for one prediction")
    label = rows.labels.argmax(axis=1) if rows.labels.ndim > 1 else rows.labels.astype(np.int64)
    width = max(given.shape[1], int(label.max(initial=0)) + 1) + 1
    bad = label < -1
    label = np.where(bad, -1, label)
    guess, top = given.argmax(axis=1), given.max(axis=1)
    weight = weights(rows, combiner._example_weighted)
    cells = []
    for number, threshold in enumerate(combiner._thresholds):
        guess = np.where(top <= threshold, -1, guess)
        cells.append((number * width + label + 1) * width + guess + 1)
    count = len(combiner._thresholds)
    row = np.tile(np.arange(len(rows)), count)
    table = Table(row, np.concatenate(cells), np.tile(weight, count)[:, None], count * width * width)
    entry = multi_class_confusion_matrix_metrics.MatrixEntryKey

    def outputs(cell: np.ndarray, added: np.ndarray) -> Outputs:
        matrices = multi_class_confusion_matrix_metrics.Matrices()
        for code, total in zip(cell.tolist(), added[:, 0].tolist(), strict=True):
            rest, guessed = divmod(code, width)
            number, actual = divmod(rest, width)
            matrix = matrices.setdefault(combiner._thresholds[number], {})
            matrix[entry(actual - 1, guessed - 1)] = total
        return combiner.extract_output(matrices)

    reason = "a label is below -1"
    return [Kernel("classes", combiner, keys, table, outputs, bad if bad.any() else None, reason)]


def _keras(combiner: Any, keys: Any, rows: Rows) -> list[Kernel]:
    from components.evaluator.measuring.keras_metrics import per_row

    combiner.setup()
    if combiner._output_names != [""] or combiner._loss_configs != [[]]:
        raise NotProven("a loss of Keras, or a model with several outputs")
    metrics = combiner._metrics[""]
    if [metric.name for metric in metrics] != [key.name for key in keys]:
        raise NotProven("a Keras metric that gives several results")
    sub_key = combiner._sub_key
    if (
        combiner._sub_key_in_config
        or combiner._aggregation_type
        or combiner._class_weights
        or (sub_key is not None and (sub_key.k is not None or sub_key.top_k is not None))
    ):
        raise NotProven("a Keras metric over chosen classes")
    columns, bad = per_row(combiner, metrics, keys[0], rows)
    weight = weights(rows, combiner._example_weighted)
    values = np.stack([part for column in columns for part in (column * weight, weight)], axis=1)
    table = Table(np.arange(len(rows)), np.zeros(len(rows), np.int64), values, 1)

    def outputs(cell: np.ndarray, added: np.ndarray) -> Outputs:
        accumulator = combiner.create_accumulator()
        for number, (total, count) in enumerate(added.sum(axis=0).astype(np.float32).reshape(-1, 2)):
            accumulator.add_weights(0, number, [total, count])
        return combiner.extract_output(accumulator)

    return [Kernel("mean", combiner, keys, table, outputs, bad, "a label is no class")]


MAKERS: dict[type, Callable[[Any, Any, Rows], list[Kernel]]] = {
    example_count._ExampleCountCombiner: _count,
    calibration_histogram._CalibrationHistogramCombiner: _histogram,
    binary_confusion_matrices._BinaryConfusionMatrixCombiner: _thresholds,
    calibration._WeightedLabelsPredictionsExamplesCombiner: _calibration,
    cross_entropy_metrics._BinaryCrossEntropyCombiner: _cross_entropy,
    multi_class_confusion_matrix_metrics._MultiClassConfusionMatrixCombiner: _classes,
    tf_metric_wrapper._CompilableMetricsCombiner: _keras,
    **dict.fromkeys(ERRORS, _regression),
}
