"""Binary confusion matrices out of a calibration histogram, as TFMA makes them, without its walk over 10,000 buckets.

`matrices` gives what the closures of `binary_confusion_matrices` give: the same sums in the same order of thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tensorflow_model_analysis.metrics import binary_confusion_matrices, calibration_histogram

from components.evaluator.measuring.closures import Step
from components.evaluator.measuring.kernels import Buckets

EPSILON = binary_confusion_matrices._EPSILON


def fences(thresholds: Sequence[float]) -> np.ndarray:
    """Where the histogram is cut for these thresholds, as TFMA's `result` does before it calls `rebin`."""
    cuts = [t + EPSILON if t != 0 else t for t in thresholds]
    if thresholds[0] >= 0:
        cuts = [-EPSILON, *cuts]
    if thresholds[-1] < 1.0:
        cuts = [*cuts, 1.0 + EPSILON]
    return np.array(cuts)


def places(ids: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """The part between cuts that each bucket falls into, as `rebin` sorts them."""
    count = calibration_histogram.DEFAULT_NUM_BUCKETS
    start = (ids - 1) / count
    start = np.where(ids == 0, -np.inf, np.where(ids >= count + 1, np.inf, start))
    return np.searchsorted(cuts[1:], start, side="right")


def matrices(made: Step, buckets: Buckets) -> Any:
    """TFMA's Matrices at the step's thresholds. Not for the single negative threshold of the k best."""
    thresholds = list(made.thresholds)
    cuts = fences(thresholds)
    part = places(buckets.ids, cuts)
    positive = np.bincount(part, buckets.sums[:, 0], minlength=len(cuts))
    negative = np.bincount(part, buckets.sums[:, 2] - buckets.sums[:, 0], minlength=len(cuts))
    tp, fp, fn, tn = at_least(positive), at_least(negative), below(positive), below(negative)
    offset = 1 if (thresholds[0] >= 0 or len(thresholds) == 1) and len(cuts) > 1 else 0
    tp, fp, tn, fn = (side[offset : offset + len(thresholds)].tolist() for side in (tp, fp, tn, fn))
    for number, threshold in enumerate(thresholds):
        if threshold >= 1.0 + EPSILON:
            tp[number] = fp[number] = 0.0
            fn[number], tn[number] = tp[0], fp[0]
    return binary_confusion_matrices.Matrices(thresholds, tp, tn, fp, fn)


def at_least(parts: np.ndarray) -> np.ndarray:
    """Sums from each part on, along the first axis."""
    return np.cumsum(parts[::-1], axis=0)[::-1]


def below(parts: np.ndarray) -> np.ndarray:
    """Sums before each part, along the first axis."""
    summed = np.cumsum(parts, axis=0)
    return np.concatenate([np.zeros_like(summed[:1]), summed[:-1]])
