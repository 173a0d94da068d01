"""Confidence intervals of shares of rows, from counts, where the file has none: Wilson's score interval at 95 %.

Accuracy, recall, precision and fall-out are k of n rows. n is the example count, or comes from the confusion
matrices of the same slice, so that nothing is resampled (TFMA's jackknife costs six times the Evaluator). The
interval holds for rows that are independent of each other. Areas under curves, losses, weighted metrics and
metrics by class are no such shares and get none.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

from dashboards.readers.evaluation import Evaluation, Slice, Value, result_name
from dashboards.readers.plots import Plots

# The 97.5 % quantile of the normal distribution.
Z = 1.959963984540054
# TFMA's classes by what they are a share of.
OF_ALL = ("BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy")
OF_POSITIVES, OF_NEGATIVES, OF_PREDICTED = "Recall", ("FallOut", "Specificity"), "Precision"


def wilson(share: float, rows: float) -> tuple[float, float]:
    """The interval of a share seen in `rows` rows (Wilson 1927, without continuity correction)."""
    middle = share + Z * Z / (2 * rows)
    reach = Z * math.sqrt(share * (1 - share) / rows + Z * Z / (4 * rows * rows))
    whole = 1 + Z * Z / rows
    # At both ends the formula is exactly 0 or 1, its reckoning is not.
    low = 0.0 if share == 0 else max(0.0, (middle - reach) / whole)
    return low, 1.0 if share == 1 else min(1.0, (middle + reach) / whole)


def with_intervals(evaluation: Evaluation, plots: dict[str, Plots]) -> Evaluation:
    """A copy in which shares of rows have intervals; values that TFMA gave one keep theirs."""
    kinds = _kinds(evaluation)
    slices = [
        replace(one, metrics={**one.metrics, **_bounded(one, kinds, plots.get(one.key))})
        for one in evaluation.slices
    ]
    return replace(evaluation, slices=slices)


def methods(evaluation: Evaluation) -> list[str]:
    """How the intervals were made, in words; [] if there are none."""
    used = {v.method for s in evaluation.slices for v in s.metrics.values() if v.low is not None}
    method = (evaluation.config.get("options", {}).get("confidenceIntervals") or {}).get(
        "method", "jackknife"
    )
    words = {
        "TFMA": evaluation.method or f"resampled by TFMA ({method.lower().replace('_', ' ')})",
        "Wilson": "Wilson's score of the row counts, for rows independent of each other",
    }
    return [text for name, text in words.items() if name in used]


def _kinds(evaluation: Evaluation) -> dict[str, tuple[str, Any]]:
    """(class, thresholds) of the metrics that are shares, by their name in the results."""
    if any(spec.get("exampleWeightKey") for spec in evaluation.config.get("modelSpecs", [])):
        return {}
    known, kinds = list(evaluation.overall.metrics), {}
    for spec in evaluation.config.get("metricsSpecs", []):
        for metric in spec.get("metrics", []):
            name = result_name(metric, known)
            if name in known and metric.get("className") in (
                *OF_ALL,
                OF_POSITIVES,
                *OF_NEGATIVES,
                OF_PREDICTED,
            ):
                thresholds = json.loads(metric.get("config") or "{}").get("thresholds")
                kinds[name] = metric["className"], thresholds
    return kinds


def _bounded(one: Slice, kinds: dict[str, tuple[str, Any]], plots: Plots | None) -> dict[str, Value]:
    bounded = {}
    for name, (kind, thresholds) in kinds.items():
        value = one.metrics.get(name)
        if value is None or value.low is not None or not 0 <= value.value <= 1:
            continue
        rows = _rows(one, kind, plots)
        if kind == OF_PREDICTED and rows is not None:
            # Of the positives the recall at the same threshold were found: that many are k, and n = k / precision.
            recall = next(
                (one.metrics.get(n) for n, k in kinds.items() if k == (OF_POSITIVES, thresholds)), None
            )
            rows = rows * recall.value / value.value if recall is not None and value.value else None
        if rows and _whole(rows) and _whole(value.value * rows):
            bounded[name] = Value(value.value, *wilson(value.value, rows), "Wilson")
    return bounded


def _rows(one: Slice, kind: str, plots: Plots | None) -> float | None:
    """What the share is a share of; for precision the positives, from which it is reckoned."""
    if kind in OF_ALL:
        count = one.metrics.get("example_count")
        return None if count is None else count.value
    if plots is None or not plots.matrices:
        return None
    matrix = plots.matrices[0]
    return matrix.fp + matrix.tn if kind in OF_NEGATIVES else matrix.tp + matrix.fn


def _whole(count: float) -> bool:
    """Whether it counts rows: what does not is weighted, or a share of something else."""
    return abs(count - round(count)) < 1e-3 + 1e-6 * count
