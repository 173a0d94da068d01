"""Labels, predictions and weights as TFMA's combiners see them, for all rows at once.

The same choices as `metric_util.to_label_prediction_example_weight` makes row by row: one class of many, sparse labels
made dense, labels between 0 and 1 counted as parts of both. What it does beyond that raises NotProven.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from components.evaluator.measuring.rows import NotProven, Rows

# As TFMA's metric_util.within_interval.
SLACK = 1e-7


@dataclass
class Pairs:
    """`label`, `prediction`, `weight` [m] and the number of the row they come from, `row` [m].

    `bad` [n] marks rows that have no meaning for the metric, `reason` says why; a slice that holds one is not
    measured.
    """

    label: np.ndarray
    prediction: np.ndarray
    weight: np.ndarray
    row: np.ndarray
    bad: np.ndarray | None = None
    reason: str = ""


def weights(rows: Rows, example_weighted: bool) -> np.ndarray:
    """[n] float64."""
    if not example_weighted or rows.weights is None:
        return np.ones(len(rows))
    return rows.weights.astype(np.float64)


def predictions(rows: Rows, model_name: str | None, output_name: str | None) -> np.ndarray:
    if output_name:
        raise NotProven(f"output {output_name!r} of a model with several")
    return rows.predictions[model_name or ""]


def pairs(rows: Rows, combiner: Any, key: Any, *, fractional: bool) -> Pairs:
    """What a combiner that flattens sees. `key` is the metric's; the combiner holds aggregation and class weights."""
    predicted = predictions(rows, key.model_name, key.output_name)
    label, sub_key = rows.labels, key.sub_key
    row = np.arange(len(rows))
    weight = weights(rows, combiner._example_weighted)
    class_weights = combiner._class_weights or {}
    bad = np.zeros(len(rows), bool)
    reason = ""
    if sub_key is not None and (sub_key.k is not None or sub_key.top_k is not None):
        raise NotProven("the k best of several predictions")
    if predicted.ndim == 1:
        if sub_key is not None or class_weights or label.ndim > 1:
            raise NotProven("classes of a model with one prediction")
    else:
        classes = predicted.shape[1]
        if label.ndim == 1:
            bad = ~((label >= -1) & (label < classes) & (label == np.floor(label)))
            reason = f"a label is no class of {classes}"
        if sub_key is not None and sub_key.class_id is not None:
            if class_weights:
                raise NotProven("class weights for one class")
            predicted = predicted[:, sub_key.class_id]
            label = (
                (label == sub_key.class_id).astype(np.int64)
                if label.ndim == 1
                else label[:, sub_key.class_id]
            )
        else:
            # Every class is a row of its own: TFMA's micro average.
            if label.ndim == 1:
                label = (np.where(bad, -1, label).astype(np.int64)[:, None] == np.arange(classes)).astype(
                    np.float64
                )
            by_class = (
                np.array([class_weights.get(c, 0.0) for c in range(classes)])
                if class_weights
                else np.ones(classes)
            )
            weight = (weight[:, None] * by_class).ravel()
            label, predicted, row = label.ravel(), predicted.ravel(), np.repeat(row, classes)
    label = label.astype(np.float64)
    predicted = predicted.astype(np.float64)
    if fractional:
        outside = ~((label >= -SLACK) & (label <= 1 + SLACK))
        if outside.any():
            bad[row[outside]] = True
            reason = f"label must be within [0, 1]: label={label[outside][0]:g}"
    if not bad.any():
        return Pairs(label, predicted, weight, row)
    keep = ~bad[row]
    return Pairs(label[keep], predicted[keep], weight[keep], row[keep], bad, reason)
