"""Measured numbers as TFMA's own files: eval_config.json, metrics and validations.

tfma.load_eval_result and load_validation_result read them as they read an Evaluator's; TFMA's own validator applies
the bars, and the gate of components/confidence puts intervals and verdicts in. Plots and attributions, which functions
do not give, are left out.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.evaluators import metrics_validator
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.proto import config_pb2, validation_result_pb2
from tensorflow_model_analysis.writers import metrics_plots_and_validations_writer as tfma_writer

from components.confidence import judging, tfma_files
from components.confidence.intervals import Interval
from components.confidence.judging import Terms
from components.function_evaluator import sampling
from components.function_evaluator.measuring import Measured, SliceKey
from components.function_evaluator.sampling import Drawn
from pipelines.base import whole

Metrics = dict[metric_types.MetricKey, float]
# The names TFMA gives to two models.
CANDIDATE, BASELINE = constants.CANDIDATE_KEY, constants.BASELINE_KEY
LARGEST = sys.float_info.max


class MeasureError(Exception):
    """The project's function did not return what it should; the text says what was expected."""


def eval_config(bars: Sequence[Mapping[str, Any]], slices: Sequence[Sequence[str]]) -> tfma.EvalConfig:
    """EvalConfig with a threshold per metric named in `bars`, each a Bar as a dict.

    Two bars on one metric are the two ends of a band. A bar is met by its own value: TFMA counts bounds in.
    `max_loss` is how much worse than the last blessed model the metric may be, in its own unit.
    """
    thresholds: dict[str, config_pb2.MetricThreshold] = {}
    for bar in bars:
        threshold = thresholds.setdefault(bar["metric"], _finite_threshold())
        higher = bar.get("at_least") is not None
        if higher:
            threshold.value_threshold.lower_bound.value = bar["at_least"]
        else:
            threshold.value_threshold.upper_bound.value = bar["at_most"]
        if bar.get("max_loss") is not None:
            change = threshold.change_threshold
            better = config_pb2.MetricDirection
            change.direction = better.HIGHER_IS_BETTER if higher else better.LOWER_IS_BETTER
            change.absolute.value = -bar["max_loss"] if higher else bar["max_loss"]
    return tfma.EvalConfig(
        model_specs=[tfma.ModelSpec()],
        slicing_specs=[tfma.SlicingSpec(), *(tfma.SlicingSpec(feature_keys=list(keys)) for keys in slices)],
        metrics_specs=[tfma.MetricsSpec(thresholds=thresholds)],
    )


def _finite_threshold() -> config_pb2.MetricThreshold:
    """Every number is within it and no infinity, which would pass a bound on the other side alone."""
    finite = config_pb2.GenericValueThreshold(lower_bound={"value": -LARGEST}, upper_bound={"value": LARGEST})
    return config_pb2.MetricThreshold(value_threshold=finite)


def write(
    folder: Path,
    config: tfma.EvalConfig,
    candidate: Drawn,
    baseline: Drawn | None,
    model_locations: Mapping[str, str],
    data_location: str,
    terms: Terms,
) -> bool:
    """Writes TFMA's files for `candidate` (and `baseline`, if there is one) to `folder`; whether it is blessed.

    Raises MeasureError unless the whole split (the slice `()`) and every metric with a bar was measured.
    """
    config = tfma.utils.update_eval_config_with_defaults(
        config, has_baseline=baseline is not None, rubber_stamp=True
    )
    _check(candidate.measured, config)
    before = None if baseline is None else baseline.measured
    merged = {key: _with_keys(metrics, key, before) for key, metrics in candidate.measured.items()}
    merged = {(): merged[()], **merged}
    run = config_pb2.EvalRun(
        eval_config=config,
        version=tfma.version.VERSION,
        data_location=data_location,
        file_format="tfrecords",
        model_locations=dict(model_locations),
    )
    validation = _validate(merged, config)
    protos = [
        tfma_writer.convert_slice_metrics_to_proto((key, values), None) for key, values in merged.items()
    ]
    tfma_files.write_records(folder / tfma_files.METRICS_FILE, protos)
    tfma_files.write_records(folder / tfma_files.VALIDATIONS_FILE, [validation])
    whole.write(folder / tfma_files.CONFIG_FILE, json_format.MessageToJson(run))
    found = _with_intervals(merged, candidate, baseline)
    return judging.judge(folder, terms, config, merged, found, candidate.method)


def _with_intervals(
    merged: Mapping[SliceKey, Metrics], candidate: Drawn, baseline: Drawn | None
) -> dict[SliceKey, dict[metric_types.MetricKey, Interval]]:
    """Intervals under the same keys as the metrics."""
    own = sampling.of_values(candidate)
    before = sampling.of_values(baseline) if baseline is not None else {}
    changes = sampling.of_differences(candidate, baseline) if baseline is not None else {}
    found: dict[SliceKey, dict[metric_types.MetricKey, Interval]] = {}
    for key, metrics in merged.items():
        found[key] = {}
        for metric in metrics:
            source = changes if metric.is_diff else before if metric.model_name == BASELINE else own
            interval = source.get(key, {}).get(metric.name)
            if interval is not None:
                found[key][metric] = interval
    return found


def _check(measured: Measured, config: tfma.EvalConfig) -> None:
    if () not in measured:
        raise MeasureError(
            f"The function returned slices {list(measured)[:5]}; expected () for the whole split too."
        )
    known = set(measured[()])
    for name in config.metrics_specs[0].thresholds:
        if name not in known:
            raise MeasureError(f"A bar is on {name!r}, which was not measured; measured: {sorted(known)}.")
    for key, metrics in measured.items():
        for name, value in metrics.items():
            if not isinstance(value, (int, float)):
                raise MeasureError(f"{name} of slice {key} is {value!r}; expected a number.")


def _with_keys(metrics: Mapping[str, float], key: SliceKey, baseline: Measured | None) -> Metrics:
    """Metrics under TFMA's keys; with a baseline also its own values and the differences, as TFMA has them."""
    if baseline is None:
        return {_key(name): float(value) for name, value in metrics.items()}
    keyed: Metrics = {}
    before = baseline.get(key, {})
    for name, value in metrics.items():
        keyed[_key(name, model_name=CANDIDATE)] = float(value)
        if name in before and math.isfinite(before[name]):
            keyed[_key(name, model_name=BASELINE)] = float(before[name])
            difference = float(value) - float(before[name])
            keyed[_key(name, model_name=CANDIDATE, is_diff=True)] = difference
    return keyed


def _key(name: str, **rest: Any) -> metric_types.MetricKey:
    # Thresholds by name apply to metrics that are neither weighted nor unweighted.
    return metric_types.MetricKey(name, example_weighted=None, **rest)


def _validate(
    merged: Mapping[SliceKey, Metrics], config: tfma.EvalConfig
) -> validation_result_pb2.ValidationResult:
    combine = tfma_writer.CombineValidations(config, rubber_stamp=False)
    accumulated = combine.create_accumulator()
    for key, metrics in merged.items():
        if key == ():
            accumulated = combine.add_input(
                accumulated, metrics_validator.validate_metrics((key, metrics), config)
            )
    return combine.extract_output(accumulated)
