"""TFMA's results as plain values: metrics by slice with intervals, plots, and the gate's findings.

Reads metrics-*, plots-*, validations.tfrecord, eval_config.json and, where our gate has judged, verdicts.json of a
ModelEvaluation. A project with its
own evaluation function may write metrics.json instead ({name: number} or {slice: {name: number}}). What a metric
means and whether it is good is not known here; bars come from the project's card.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dashboards.readers.protos import message
from dashboards.readers.tfrecord import records
from pipelines.base.directions import Direction

TFMA = "tensorflow_model_analysis."
# The name TFMA gives to the last blessed model, whose metrics and plots stand beside the new one's.
BASELINE = "baseline"
# Our gate's file, and its verdicts from bad to good.
VERDICTS_FILE = "verdicts.json"
VERDICTS = ("worse", "not enough data", "better", "")
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
    """One check of the Evaluator in one slice. `kind` is 'value' (the bar) or 'change' (against the last blessed).

    `verdict` is better, worse or not enough data, with the interval it was drawn from and all of it in words (`text`);
    '' where the gate judged without intervals.
    """

    metric: str
    slice: str
    kind: str
    bound: str
    value: float | None
    passed: bool
    bounds: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None
    verdict: str = ""
    text: str = ""


@dataclass
class Evaluation:
    """A whole evaluation; the slice of all rows comes first, then by key.

    `classes` names the class that measured each metric, `declared` the direction its thresholds give it. `method` says
    how the intervals in the file were made, where that is told.
    """

    slices: list[Slice] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    declared: dict[str, Direction] = field(default_factory=dict)
    method: str = ""

    @property
    def overall(self) -> Slice:
        return next((s for s in self.slices if not s.key), Slice(""))


def read_evaluation(folder: Path) -> Evaluation:
    """Reads what is there; a missing or torn file leaves its part empty and is named in `problems`."""
    evaluation = Evaluation()
    file = folder / "eval_config.json"
    if file.exists():
        evaluation.config = json.loads(file.read_text(encoding="utf-8")).get("evalConfig", {})
    evaluation.slices = _slices(folder) or _own_metrics(folder)
    if not evaluation.slices:
        evaluation.problems.append(f"{folder} holds no metrics.")
    evaluation.slices.sort(key=lambda s: (s.key != "", s.key))
    evaluation.classes = dict(_classes(evaluation))
    evaluation.declared = {
        name: way for name, way in map(_declared, _thresholds(evaluation)) if way is not None
    }
    failures, checked = _failures(folder)
    told = _verdicts(folder, evaluation)
    if checked:
        evaluation.gates = [_with_verdict(gate, told) for gate in _gates(evaluation, failures)]
    return evaluation


def _verdicts(folder: Path, evaluation: Evaluation) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """Our gate's verdicts by (metric, slice, kind); what it could not measure is named in `problems`."""
    try:
        told = json.loads((folder / VERDICTS_FILE).read_text(encoding="utf-8"))
        evaluation.method = str(told["method"])
        evaluation.problems += [
            f"{one['metric']} of {one['slice'] or 'all rows'} was not measured: {one['reason']}"
            for one in told["problems"]
        ]
        by_gate: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        for one in told["verdicts"]:
            kind = "change" if one["kind"] == "comparison" else "value"
            by_gate.setdefault((one["metric"], one["slice"], kind), []).append(one)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        evaluation.problems.append(f"{folder / VERDICTS_FILE} cannot be read: {error}")
        return {}
    return by_gate


def _with_verdict(gate: Gate, told: dict[tuple[str, str, str], list[dict[str, Any]]]) -> Gate:
    """The gate as our Evaluator judged it; two bars on one metric are one gate, with the worse of two verdicts."""
    verdicts = told.get((gate.metric, gate.slice, gate.kind), [])
    if not verdicts:
        return gate
    worst = min(verdicts, key=lambda one: (one["passed"], VERDICTS.index(one["verdict"])))
    return replace(
        gate,
        passed=all(one["passed"] for one in verdicts),
        low=worst["low"],
        high=worst["high"],
        verdict=worst["verdict"],
        text=worst["text"],
    )


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


def _failures(folder: Path) -> tuple[dict[tuple[str, str, str], Any], bool]:
    """Failed checks by (slice, metric, kind), and whether the gate has spoken at all."""
    cls = message(TFMA + "ValidationResult")
    failures, checked = {}, False
    for file in sorted(folder.glob("validations*")):
        for record in records(file):
            result, checked = cls.FromString(record), True
            for entry in result.metric_validations_per_slice:
                key, _ = slice_key(entry.slice_key)
                for failure in entry.failures:
                    kind = "change" if failure.metric_threshold.HasField("change_threshold") else "value"
                    failures[key, metric_name(failure.metric_key), kind] = failure
    return failures, checked


def _gates(evaluation: Evaluation, failures: dict[tuple[str, str, str], Any]) -> Iterator[Gate]:
    """Every threshold of the config for all rows, then what failed in slices. A gate is judged by its own number."""
    seen = set()
    for name, threshold in _thresholds(evaluation):
        value = evaluation.overall.metrics.get(name)
        number = value.value if value is not None else None
        for kind, low, high, what in _bounds(threshold):
            checked = number
            if kind != "value":
                difference = evaluation.overall.differences.get(name)
                if difference is None:
                    continue  # the first model has nothing to be compared with
                number = checked = difference.value
                if kind == "relative" and value is not None:
                    last = value.value - difference.value
                    checked = difference.value / last if last else math.nan
            passed = checked is not None and _within(checked, low, high)
            seen.add(("", name))
            yield Gate(name, "", _shown(kind), what, number, passed, _given(low, high))
    for (key, name, _), failure in sorted(failures.items(), key=lambda item: item[0]):
        if (key, name) not in seen:
            value = failure.metric_value.double_value.value
            threshold = _threshold_dict(failure.metric_threshold)
            for kind, low, high, what in _bounds(threshold):
                if kind != "value" or not _within(value, low, high):
                    yield Gate(name, key, _shown(kind), what, value, False, _given(low, high))


def _shown(kind: str) -> str:
    return "value" if kind == "value" else "change"


def _thresholds(evaluation: Evaluation) -> Iterator[tuple[str, dict[str, Any]]]:
    """(metric name, threshold) of the config, in its order; class names are matched to the results' names."""
    known = list(evaluation.overall.metrics)
    for spec in evaluation.config.get("metricsSpecs", []):
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


def _classes(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """(metric name, class name) of every metric of the config that the results hold."""
    known = list(evaluation.overall.metrics)
    for spec in evaluation.config.get("metricsSpecs", []):
        for metric in spec.get("metrics", []):
            name = result_name(metric, known)
            if name is not None:
                yield name, metric.get("className", "")


def _declared(given: tuple[str, dict[str, Any]]) -> tuple[str, Direction | None]:
    """The direction that a threshold gives its metric: its bounds, else that of its change threshold."""
    name, threshold = given
    change = threshold.get("changeThreshold", {})
    low, high = _ends(threshold.get("valueThreshold", {}))
    if low is not None and high is not None:
        return name, Direction("band", low, high)
    if low is not None or high is not None:
        return name, Direction("up" if low is not None else "down")
    ways: dict[str, Direction] = {"HIGHER_IS_BETTER": Direction("up"), "LOWER_IS_BETTER": Direction("down")}
    return name, ways.get(change.get("direction", ""))


def result_name(metric: dict[str, Any], known: list[str]) -> str | None:
    """The name in the results (`known`) of a metric of the config; None if nothing there can be it."""
    try:
        given = json.loads(metric.get("config") or "{}").get("name")
    except (ValueError, AttributeError):
        given = None
    if given:
        return str(given)
    plain = metric.get("className", "").lower()
    return next((name for name in known if name.replace("_", "") == plain), None)


def _bounds(threshold: dict[str, Any]) -> Iterator[tuple[str, float | None, float | None, str]]:
    """(kind, lowest, highest, words) of a MetricThreshold in JSON; a 'relative' one bounds change / last value."""
    value = threshold.get("valueThreshold")
    if value:
        low, high = _ends(value)
        words = [f"{sign} {_round(x)}" for sign, x in (("≥", low), ("≤", high)) if x is not None]
        yield "value", low, high, " and ".join(words)
    change = threshold.get("changeThreshold") or {}
    higher = change.get("direction") == "HIGHER_IS_BETTER"
    for key, kind, unit in (("absolute", "change", ""), ("relative", "relative", " of the last value")):
        if change.get(key) is not None:
            bound = change[key]
            ends = (bound, None) if higher else (None, bound)
            yield kind, *ends, f"change {'≥' if higher else '≤'} {_round(bound)}{unit}"


def _ends(value: dict[str, Any]) -> tuple[float | None, float | None]:
    """Both bounds of a value threshold in JSON; an infinite one, which it writes as text, is none.

    Neither is the largest number there is: it only keeps infinite metrics from passing.
    """
    low, high = (float(value[k]) if k in value else math.inf for k in ("lowerBound", "upperBound"))
    largest = sys.float_info.max
    return (low if abs(low) < largest else None), (high if abs(high) < largest else None)


def _within(value: float, low: float | None, high: float | None) -> bool:
    """Whether a value meets its bounds; NaN and infinities never do."""
    return math.isfinite(value) and (low is None or value >= low) and (high is None or value <= high)


def _given(*ends: float | None) -> tuple[float, ...]:
    return tuple(round(end, 8) + 0.0 for end in ends if end is not None)


def _round(number: float) -> str:
    """Bars carry a slack of 1e-9 against TFMA's strict comparison; people get the bar."""
    return f"{round(number, 8) + 0.0:g}"


def _threshold_dict(threshold: Any) -> dict[str, Any]:
    from google.protobuf import json_format

    plain: dict[str, Any] = json_format.MessageToDict(threshold)
    return plain
