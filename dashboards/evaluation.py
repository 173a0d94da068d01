"""TFMA's results as plain values: metrics by slice with intervals, plots, and the gate's findings.

Reads metrics-*, plots-* and validations.tfrecord and eval_config.json of a ModelEvaluation. A project with its
own evaluation function may write metrics.json instead ({name: number} or {slice: {name: number}}). What a metric
means and whether it is good is not known here; bars come from the project's card.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashboards.protos import message
from dashboards.tfrecord import records

TFMA = "tensorflow_model_analysis."
# The name TFMA gives to the last blessed model, whose metrics and plots stand beside the new one's.
BASELINE = "baseline"
# A confusion matrix plot has up to 1,000 thresholds; a curve needs no more points than pixels.
CURVE_POINTS = 200


@dataclass(frozen=True)
class Value:
    """A metric in one slice; `low` and `high` bound it where there is an interval, made by `method`."""

    value: float
    low: float | None = None
    high: float | None = None
    method: str = ""


@dataclass
class Slice:
    """`key` is '' for all rows, else 'country = de, hour = 3'. `names` are the slicing columns."""

    key: str
    names: tuple[str, ...] = ()
    metrics: dict[str, Value] = field(default_factory=dict)
    differences: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Gate:
    """One check of the Evaluator in one slice. `kind` is 'value' (the bar) or 'change' (against the last blessed)."""

    metric: str
    slice: str
    kind: str
    bound: str
    value: float | None
    passed: bool


@dataclass
class Evaluation:
    """A whole evaluation; the slice of all rows comes first, then by key."""

    slices: list[Slice] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def overall(self) -> Slice:
        return next((s for s in self.slices if not s.key), Slice(""))


def read_evaluation(folder: Path) -> Evaluation:
    """Reads what is there; a missing or torn file leaves its part empty and is named in `problems`."""
    found = Evaluation()
    file = folder / "eval_config.json"
    if file.exists():
        found.config = json.loads(file.read_text(encoding="utf-8")).get("evalConfig", {})
    found.slices = _slices(folder) or _own_metrics(folder)
    if not found.slices:
        found.problems.append(f"{folder} holds no metrics.")
    found.slices.sort(key=lambda s: (s.key != "", s.key))
    failures, checked = _failures(folder)
    if checked:
        found.gates = list(_gates(found, failures))
    return found


def _slices(folder: Path) -> list[Slice]:
    cls = message(TFMA + "MetricsForSlice")
    slices: dict[str, Slice] = {}
    for file in sorted(folder.glob("metrics-*")) or [p for p in [folder / "metrics"] if p.is_file()]:
        for record in records(file):
            entry = cls.FromString(record)
            key, names = slice_key(entry.slice_key)
            one = slices.setdefault(key, Slice(key, names))
            for item in entry.metric_keys_and_values:
                if item.key.model_name == BASELINE:
                    continue
                value = _value(item.value, item.confidence_interval)
                if value is not None:
                    (one.differences if item.key.is_diff else one.metrics)[metric_name(item.key)] = value
    return list(slices.values())


def _own_metrics(folder: Path) -> list[Slice]:
    try:
        values = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    if not isinstance(values, dict):
        return []
    nested = {key: v for key, v in values.items() if isinstance(v, dict)}
    flat = {key: v for key, v in values.items() if not isinstance(v, dict)}
    slices = [Slice("", (), _numbers(flat))] if flat else []
    return slices + [
        Slice("" if key in ("", "overall") else str(key), (), _numbers(v)) for key, v in nested.items()
    ]


def _numbers(values: dict[str, Any]) -> dict[str, Value]:
    return {k: Value(float(v)) for k, v in values.items() if isinstance(v, int | float)}


def slice_key(key: Any) -> tuple[str, tuple[str, ...]]:
    """('country = de, hour = 3', ('country', 'hour')) of a SliceKey proto."""
    parts, names = [], []
    for single in key.single_slice_keys:
        kind = single.WhichOneof("kind")
        value = getattr(single, kind) if kind else ""
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else f"{value:g}"
        parts.append(f"{single.column} = {text}")
        names.append(single.column)
    return ", ".join(parts), tuple(names)


def metric_name(key: Any) -> str:
    """TFMA's name with what tells keys of the same name apart: output, class, top k, averaging."""
    parts = [key.name]
    if key.output_name:
        parts.append(key.output_name)
    sub = key.sub_key
    parts += [
        f"{name} {getattr(sub, name).value}" for name in ("class_id", "k", "top_k") if sub.HasField(name)
    ]
    kind = key.aggregation_type.WhichOneof("type") if key.HasField("aggregation_type") else None
    return ", ".join([*parts, kind.replace("_", " ")] if kind else parts)


def _value(value: Any, interval: Any) -> Value | None:
    kind = value.WhichOneof("type")
    if kind == "double_value":
        number = value.double_value.value
        low, high = interval.lower_bound.double_value.value, interval.upper_bound.double_value.value
        bounded = interval.HasField("lower_bound") and math.isfinite(low) and math.isfinite(high)
        return Value(number, low, high, "TFMA") if bounded else Value(number)
    if kind == "bounded_value":
        bounded = value.bounded_value
        return Value(bounded.value.value, bounded.lower_bound.value, bounded.upper_bound.value, "TFMA")
    return None


def _failures(folder: Path) -> tuple[dict[tuple[str, str], Any], bool]:
    """Failed checks by (slice, metric), and whether the gate has spoken at all."""
    cls = message(TFMA + "ValidationResult")
    failures, checked = {}, False
    for file in sorted(folder.glob("validations*")):
        for record in records(file):
            result, checked = cls.FromString(record), True
            for entry in result.metric_validations_per_slice:
                key, _ = slice_key(entry.slice_key)
                for failure in entry.failures:
                    failures[key, metric_name(failure.metric_key)] = failure
    return failures, checked


def _gates(found: Evaluation, failures: dict[tuple[str, str], Any]) -> Iterator[Gate]:
    """Every threshold of the config for all rows, then what failed in slices. A gate is judged by its own number."""
    seen = set()
    for name, threshold in _thresholds(found):
        value = found.overall.metrics.get(name)
        number = value.value if value is not None else None
        for kind, low, high, what in _bounds(threshold):
            if kind == "change":
                difference = found.overall.differences.get(name)
                number = difference.value if difference is not None else None
                if number is None:
                    continue  # the first model has nothing to be compared with
            passed = (
                number is not None and (low is None or number >= low) and (high is None or number <= high)
            )
            seen.add(("", name))
            yield Gate(name, "", kind, what, number, passed)
    for (key, name), failure in sorted(failures.items()):
        if (key, name) not in seen:
            value = failure.metric_value.double_value.value
            threshold = _threshold_dict(failure.metric_threshold)
            for kind, low, high, what in _bounds(threshold):
                passed = (
                    (low is None or value >= low) and (high is None or value <= high)
                    if kind == "value"
                    else True
                )
                if not passed or kind == "change":
                    yield Gate(name, key, kind, what, value, False)


def _thresholds(found: Evaluation) -> Iterator[tuple[str, dict[str, Any]]]:
    """(metric name, threshold) of the config, in its order; class names are matched to the results' names."""
    known = list(found.overall.metrics)
    for spec in found.config.get("metricsSpecs", []):
        for metric in spec.get("metrics", []):
            name = result_name(metric, known)
            if name is None:
                continue
            if "threshold" in metric:
                yield name, metric["threshold"]
            for per_slice in metric.get("perSliceThresholds", []):
                specs = per_slice.get("slicingSpecs") or [{}]
                if any(not s.get("featureKeys") and not s.get("featureValues") for s in specs):
                    yield name, per_slice.get("threshold", {})
        for name, threshold in spec.get("thresholds", {}).items():
            yield name, threshold


def result_name(metric: dict[str, Any], known: list[str]) -> str | None:
    """The name in the results (`known`) of a metric of the config; None if nothing there can be it."""
    try:
        given = json.loads(metric.get("config") or "{}").get("name")
    except (ValueError, AttributeError):
        given = None
    if given:
        return given
    plain = metric.get("className", "").lower()
    return next((name for name in known if name.replace("_", "") == plain), None)


def _bounds(threshold: dict[str, Any]) -> Iterator[tuple[str, float | None, float | None, str]]:
    """(kind, lowest, highest, words) of a MetricThreshold in JSON."""
    value = threshold.get("valueThreshold")
    if value:
        low, high = value.get("lowerBound"), value.get("upperBound")
        words = [f"{sign} {_round(x)}" for sign, x in (("≥", low), ("≤", high)) if x is not None]
        yield "value", low, high, " and ".join(words)
    change = threshold.get("changeThreshold")
    if change and change.get("absolute") is not None:
        bound = change["absolute"]
        higher = change.get("direction") == "HIGHER_IS_BETTER"
        yield (
            "change",
            bound if higher else None,
            None if higher else bound,
            (f"change ≥ {_round(bound)}" if higher else f"change ≤ {_round(bound)}"),
        )


def _round(number: float) -> str:
    """Bars carry a slack of 1e-9 against TFMA's strict comparison; people get the bar."""
    return f"{round(number, 8) + 0.0:g}"


def _threshold_dict(threshold: Any) -> dict[str, Any]:
    from google.protobuf import json_format

    return json_format.MessageToDict(threshold)
