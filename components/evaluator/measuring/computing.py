"""Every metric of every slice, from whole columns: TFMA's computations, its results, its keys.

What TFMA derives is derived by its own functions. A metric that fails on a slice is left out there and named; the
others stand. Raises NotProven for configurations that only TFMA's Beam path is known to do.
"""

from __future__ import annotations

import logging
import numbers
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tensorflow_model_analysis import types
from tensorflow_model_analysis.evaluators import metrics_plots_and_validations_evaluator as tfma_evaluator
from tensorflow_model_analysis.metrics import (
    binary_confusion_matrices,
    confusion_matrix_metrics,
    metric_specs,
    metric_types,
)
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.utils import model_util

from components.confidence.tfma_files import SliceKey, slice_name
from components.evaluator.measuring import curves
from components.evaluator.measuring.closures import Derived
from components.evaluator.measuring.kernels import Buckets, Kernel, kernels, sums
from components.evaluator.measuring.rows import NotProven, Rows

Metrics = dict[metric_types.MetricKey, Any]


@dataclass
class Measurement:
    """All metrics and plots by slice, the whole split first; `problems` are (slice, metric, what went wrong)."""

    slices: dict[SliceKey, Metrics]
    kernels: list[Kernel] = field(default_factory=list)
    derived: list[Derived] = field(default_factory=list)
    problems: list[tuple[SliceKey, str, str]] = field(default_factory=list)


def computations(config: config_pb2.EvalConfig) -> Any:
    """TFMA's computations, sorted by kind. Raises NotProven for what is not done here."""
    options = config.options
    for wrong, what in (
        (any(spec.query_key for spec in config.metrics_specs), "metrics of groups of rows (query_key)"),
        (bool(config.cross_slicing_specs), "slices against slices (cross_slicing_specs)"),
        (any(spec.slice_keys_sql for spec in config.slicing_specs), "slices by SQL"),
        (options.compute_confidence_intervals.value, "TFMA's own confidence intervals"),
        (bool(options.disabled_outputs.values), "disabled outputs"),
        (len(config.model_specs) > 2, "more than two models"),
    ):
        if wrong:
            raise NotProven(what)
    sorted_out = tfma_evaluator._filter_and_separate_computations(
        metric_specs.to_computations(config.metrics_specs, eval_config=config)
    )
    if sorted_out.cross_slice_computations:
        raise NotProven("metrics of slices against slices")
    return sorted_out


def measure(rows: Rows, config: config_pb2.EvalConfig, known_only: bool = False) -> Measurement:
    """Metrics and plots of all slices of `rows`. `config` has its defaults filled in.

    With `known_only` metrics that are not done here are left out, with what is derived from them; else NotProven.
    """
    wanted = computations(config)
    made, unknown = _kernels(wanted.non_derived_computations, rows, known_only)
    count = len(rows.slices.keys)
    measured: list[Metrics] = [{} for _ in range(count)]
    result = Measurement({}, made, _known(map(Derived.of, wanted.derived_computations), unknown))
    late = _known(map(Derived.of, wanted.ci_derived_computations), unknown)
    for kernel in made:
        spoilt = _spoilt(kernel, rows)
        for number, (cell, added) in enumerate(sums(kernel.table, rows.slices.layers, count)):
            key = rows.slices.keys[number]
            if spoilt[number]:
                result.problems.append((key, _names(kernel.keys), kernel.reason))
                continue
            _guarded(result, key, _names(kernel.keys), measured[number], lambda: kernel.outputs(cell, added))  # noqa: B023
    baseline = model_util.get_baseline_model_spec(config)
    small = _too_small(rows, config)
    for number, key in enumerate(rows.slices.keys):
        metrics = measured[number]
        for derived in result.derived:
            _derive(result, key, derived, metrics)
        _add_differences(metrics, baseline.name if baseline else None)
        for derived in late:
            _derive(result, key, derived, metrics)
        if not small[number]:
            result.slices[key] = {
                k: v for k, v in metrics.items() if not tfma_evaluator._is_private_metrics(k)
            }
    for key, name, reason in result.problems:
        logging.warning("%s of %s is not measured: %s", name, slice_name(key) or "all rows", reason)
    return result


def _kernels(
    computations: Iterable[metric_types.MetricComputation], rows: Rows, known_only: bool
) -> tuple[list[Kernel], set[metric_types.MetricKey]]:
    made: list[Kernel] = []
    unknown: set[metric_types.MetricKey] = set()
    for one in computations:
        try:
            made += kernels(one, rows)
        except NotProven:
            if not known_only:
                raise
            unknown.update(one.keys)
    return made, unknown


def _known(derived: Iterable[Derived], unknown: set[metric_types.MetricKey]) -> list[Derived]:
    """Without those that need what is unknown, which then is unknown too."""
    known = []
    for one in derived:
        if unknown.intersection(one.inputs):
            unknown.update(one.computation.keys)
        else:
            known.append(one)
    return known


def _spoilt(kernel: Kernel, rows: Rows) -> np.ndarray:
    spoilt = np.zeros(len(rows.slices.keys), bool)
    if kernel.bad is not None:
        for layer in rows.slices.layers:
            numbers_ = layer[kernel.bad]
            spoilt[numbers_[numbers_ >= 0]] = True
    return spoilt


def _too_small(rows: Rows, config: config_pb2.EvalConfig) -> np.ndarray:
    least = config.options.min_slice_size.value
    return rows.slices.rows() < least if least > 1 else np.zeros(len(rows.slices.keys), bool)


def _names(keys: Sequence[metric_types.MetricKey]) -> str:
    return ", ".join(dict.fromkeys(key.name.partition(":")[0].lstrip("_") for key in keys))


def _guarded(
    result: Measurement, key: SliceKey, name: str, metrics: Metrics, compute: Callable[[], Metrics]
) -> None:
    """Adds what `compute` gives; an error of its own is the slice's and the metric's, nobody else's."""
    try:
        with np.errstate(all="ignore"):
            metrics.update(compute())
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        result.problems.append((key, name, reason))


def _derive(result: Measurement, key: SliceKey, derived: Derived, metrics: Metrics) -> None:
    """Adds what `derived` makes of `metrics`. Where an input has failed in this slice, so has this."""
    name, step = _names(derived.computation.keys), derived.step
    missing = [given for given in derived.inputs if given not in metrics]
    if missing and any(where == key for where, _, _ in result.problems):
        if not all(tfma_evaluator._is_private_metrics(k) for k in derived.computation.keys):
            result.problems.append((key, name, f"needs {_names(missing)}"))
        return
    if step is not None and step.straight and isinstance(metrics.get(step.of), Buckets):
        _guarded(result, key, name, metrics, lambda: {step.key: curves.matrices(step, metrics[step.of])})
        return
    _guarded(result, key, name, metrics, lambda: derived.computation.result(metrics))
    if isinstance(derived.metric, confusion_matrix_metrics.AUC):
        _undefined_without_both_classes(derived, metrics)


def _undefined_without_both_classes(derived: Derived, metrics: Metrics) -> None:
    """TFMA sums no area to 0, which would make a slice with one class the worst of all. It has no area: NaN."""
    for given in derived.inputs:
        matrices = metrics.get(given)
        if not isinstance(matrices, binary_confusion_matrices.Matrices) or not len(matrices.tp):
            continue
        positives, negatives = matrices.tp[0] + matrices.fn[0], matrices.fp[0] + matrices.tn[0]
        if positives <= 0 or negatives <= 0:
            metrics.update({key: float("nan") for key in derived.computation.keys if key in metrics})


def _add_differences(metrics: Metrics, baseline: str | None) -> None:
    """TFMA's differences to the baseline: candidate minus baseline, of numbers and what is made of numbers."""
    if not baseline:
        return
    for key, value in list(metrics.items()):
        if tfma_evaluator._is_private_metrics(key) or key.is_diff or key.model_name == baseline:
            continue
        before = metrics.get(key.make_baseline_key(baseline))
        if before is not None and _has_difference(value):
            metrics[key.make_diff_key()] = value - before


def _has_difference(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return bool(np.issubdtype(value.dtype, np.number))
    return isinstance(value, numbers.Number | types.StructuredMetricValue)
