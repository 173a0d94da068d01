"""From an evaluation in TFMA's files to verdicts: intervals put into the records, the gate's answer into validations.

Works on what either engine wrote, so that both are judged by the same code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.proto import config_pb2, metrics_for_slice_pb2, validation_result_pb2
from tensorflow_model_analysis.slicer import slicer_lib

from components.confidence import gate, record, tfma_files
from components.confidence.gate import Judged, Verdict
from components.confidence.intervals import Interval
from components.confidence.tfma_files import SliceKey, slice_name
from pipelines.base.project import Bar

Key: TypeAlias = metric_types.MetricKey


@dataclass(frozen=True)
class Terms:
    """What the gate asks for: the card's bars, and the rows a slice needs to be judged (0: none is)."""

    bars: tuple[Bar, ...] = ()
    slice_rows: int = 0


def judge(
    folder: Path,
    terms: Terms,
    config: config_pb2.EvalConfig,
    slices: Mapping[SliceKey, Mapping[Key, Any]],
    intervals: Mapping[SliceKey, Mapping[Key, Interval]],
    method: str,
    problems: Sequence[tuple[SliceKey, str, str]] = (),
) -> bool:
    """Writes intervals, verdicts and the validation that follows from them to `folder`; whether the model is blessed.

    Without bars TFMA's own validation stands.
    """
    put_intervals(folder, intervals)
    verdicts = gate.judge(
        terms.bars, [_judged(k, m, intervals.get(k, {})) for k, m in slices.items()], terms.slice_rows
    )
    named = [(slice_name(key), metric, reason) for key, metric, reason in problems]
    record.write(folder, method, verdicts, terms.slice_rows, named)
    validation = tfma.load_validation_result(str(folder))
    if terms.bars:
        validation = amended(validation, verdicts, slices, config)
        tfma_files.write_records(folder / tfma_files.VALIDATIONS_FILE, [validation])
    return validation.validation_ok


def _judged(key: SliceKey, metrics: Mapping[Key, Any], found: Mapping[Key, Interval]) -> Judged:
    one = Judged(slice_name(key), 0.0, {}, {}, {}, {})
    rows = 0.0
    for metric, value in metrics.items():
        if metric.model_name == constants.BASELINE_KEY or not isinstance(value, int | float | np.number):
            continue
        if (
            isinstance(metric, metric_types.PlotKey | metric_types.AttributionsKey)
            or metric.sub_key is not None
        ):
            continue
        numbers: Any = one.differences if metric.is_diff else one.values
        bounds: Any = one.difference_intervals if metric.is_diff else one.intervals
        numbers[metric.name] = float(value)
        if metric in found:
            bounds[metric.name] = found[metric]
        if metric.name == "example_count" and not metric.is_diff:
            rows = float(value)
    return Judged(one.name, rows, one.values, one.intervals, one.differences, one.difference_intervals)


def put_intervals(folder: Path, intervals: Mapping[SliceKey, Mapping[Key, Interval]]) -> None:
    """The records of metrics once more, with TFMA's own field for intervals filled in."""
    by_slice = {
        slicer_lib.serialize_slice_key(key).SerializeToString(deterministic=True): {
            metric.to_proto().SerializeToString(deterministic=True): interval
            for metric, interval in found.items()
        }
        for key, found in intervals.items()
    }
    records = list(tfma.load_metrics(str(folder)))
    for one in records:
        found = by_slice.get(one.slice_key.SerializeToString(deterministic=True), {})
        for pair in one.metric_keys_and_values:
            interval = found.get(pair.key.SerializeToString(deterministic=True))
            if interval is not None:
                pair.confidence_interval.CopyFrom(_proto(interval))
    tfma_files.replace_metrics(folder, records)


def _proto(interval: Interval) -> metrics_for_slice_pb2.ConfidenceInterval:
    def number(value: float) -> dict[str, Any]:
        return {"double_value": {"value": value}}

    return metrics_for_slice_pb2.ConfidenceInterval(
        lower_bound=number(interval.low),
        upper_bound=number(interval.high),
        standard_error=number(float(interval.samples.std())),
    )


def amended(
    validation: validation_result_pb2.ValidationResult,
    verdicts: Sequence[Verdict],
    slices: Mapping[SliceKey, Mapping[Key, Any]],
    config: config_pb2.EvalConfig,
) -> validation_result_pb2.ValidationResult:
    """TFMA's validation with the gate's failures in the place of its own. What TFMA could not find stays."""
    result = validation_result_pb2.ValidationResult()
    result.CopyFrom(validation)
    del result.metric_validations_per_slice[:]
    lost = [
        (one, failure)
        for one in validation.metric_validations_per_slice
        for failure in one.failures
        if failure.message and not failure.HasField("metric_value")
    ]
    for one, failure in lost:
        _of_slice(result, one.slice_key).failures.append(failure)
    keys = {slice_name(key): key for key in slices}
    candidate = constants.CANDIDATE_KEY if len(config.model_specs) > 1 else ""
    for verdict in verdicts:
        if verdict.passed or verdict.value is None:
            continue
        place = _of_slice(result, slicer_lib.serialize_slice_key(keys[verdict.slice]))
        key = next(k for k in slices[keys[verdict.slice]] if _is(k, verdict, candidate))
        failure = place.failures.add(metric_key=key.to_proto(), message=verdict.text)
        failure.metric_value.double_value.value = verdict.value
        threshold = _threshold(config, verdict)
        if threshold is not None:
            failure.metric_threshold.CopyFrom(threshold)
    result.validation_ok = not (
        result.metric_validations_per_slice or validation.missing_slices or validation.missing_cross_slices
    )
    return result


def _is(key: Key, verdict: Verdict, candidate: str) -> bool:
    return (
        key.name == verdict.metric
        and key.model_name == candidate
        and key.is_diff == (verdict.kind == gate.COMPARISON)
        and not isinstance(key, metric_types.PlotKey)
    )


def _of_slice(result: validation_result_pb2.ValidationResult, key: Any) -> Any:
    for one in result.metric_validations_per_slice:
        if one.slice_key == key:
            return one
    return result.metric_validations_per_slice.add(slice_key=key)


def _threshold(config: config_pb2.EvalConfig, verdict: Verdict) -> config_pb2.MetricThreshold | None:
    """The part of the configured threshold that the verdict is about: its values, or the change."""
    from tensorflow_model_analysis.metrics import metric_specs

    thresholds = metric_specs.metric_thresholds_from_metrics_specs(config.metrics_specs, eval_config=config)
    wanted = (
        config_pb2.GenericChangeThreshold
        if verdict.kind == gate.COMPARISON
        else config_pb2.GenericValueThreshold
    )
    for key, of_slices in thresholds.items():
        for _, threshold in of_slices if key.name == verdict.metric else ():
            if isinstance(threshold, wanted):
                if isinstance(threshold, config_pb2.GenericChangeThreshold):
                    return config_pb2.MetricThreshold(change_threshold=threshold)
                return config_pb2.MetricThreshold(value_threshold=threshold)
    return None
