"""How good a version's answers are by the outcomes that came back, beside what its evaluation said of it.

A metric is a mean over answers whose outcome is known. Its interval holds at all looks together while outcomes come in:
for rates that is where the likelihood ratio mixed over all rates with Jeffreys' prior stays below 1/alpha (Robbins
1970; Howard, Ramdas, McAuliffe, Sekhon 2021, section 3), for losses a normal mixture with the estimated variance, from
`FEW` answers on. A version is shown to be worse where this lies wholly beyond the evaluation's. It reads nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pipelines.base.project import Evaluation, Project

Array = Any
# Over all looks together, and over the metrics of the card's bars: how often an interval may miss the truth.
ALPHA = 0.05
# Answers before a loss has an interval, and the scale of differences that it looks for, in standard deviations.
FEW, SCALE = 100, 0.1
_HALVINGS = 50


class Figure(NamedTuple):
    """A metric of an evaluation: its value and 95 % interval, None where nobody reckoned one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class _Metric:
    """higher: whether more is better. counts: which answers, [n] of bool; value: of each, [n]; root: of the mean."""

    higher: bool
    counts: Callable[[Array, Array], Array]
    value: Callable[[Array, Array], Array]
    root: bool = False
    rate: bool = True


def _all(predicted: Array, actual: Array) -> Array:
    return np.ones(len(actual), bool)


def _positive(predicted: Array, actual: Array) -> Array:
    return predicted > 0.5


def _agree(predicted: Array, actual: Array) -> Array:
    return _positive(predicted, actual) == (actual > 0.5)


def _squares(predicted: Array, actual: Array) -> Array:
    return (predicted - actual) ** 2


# By task and by the name that TFMA's results have.
METRICS: dict[str, dict[str, _Metric]] = {
    "binary": {
        "recall": _Metric(True, lambda p, a: a > 0.5, _positive),
        "fall_out": _Metric(False, lambda p, a: a <= 0.5, _positive),
        "precision": _Metric(True, _positive, lambda p, a: a > 0.5),
        "binary_accuracy": _Metric(True, _all, _agree),
    },
    "multiclass": {
        name: _Metric(True, _all, lambda p, a: p == a) for name in ("sparse_categorical_accuracy", "accuracy")
    },
    "regression": {
        "mean_absolute_error": _Metric(False, _all, lambda p, a: np.abs(p - a), rate=False),
        "mean_squared_error": _Metric(False, _all, _squares, rate=False),
        "root_mean_squared_error": _Metric(False, _all, _squares, root=True, rate=False),
    },
}


def outcome(card: Project) -> str:
    """What the outcomes are called that tell whether an answer was right."""
    given = card.watch.outcome if card.watch else ""
    return given or card.evaluation.raw_label_key or card.evaluation.label_key


def measurable(card: Project) -> bool:
    """Whether an answer can be held against an outcome: not where the evaluation is a function of the project's."""
    return card.evaluation.task in METRICS


def truth(value: float | str, evaluation: Evaluation) -> float | None:
    """An outcome as the label's number: its own, or the place of the class that it names; None for what is neither."""
    if isinstance(value, str):
        if value in evaluation.classes:
            return float(evaluation.classes.index(value))
        try:
            value = float(value)
        except ValueError:
            return None
    return float(value) if math.isfinite(value) else None


def measure(
    evaluation: Evaluation,
    predicted: Sequence[float],
    actual: Sequence[float],
    figures: Mapping[str, Figure],
    judged: Sequence[str],
) -> list[dict[str, Any]]:
    """The metrics of `evaluation.task` that its evaluation has a figure of, for a record; all where it has none.

    predicted: scores of the positive class, classes, or values, [n]. actual: labels, [n]. judged: metrics that may be
    called worse. Each is {'metric', 'value', 'low', 'high', 'rows', 'evaluated', 'evaluated_low', 'evaluated_high',
    'worse'}; ends and values that nothing is known of are None.
    """
    known = METRICS.get(evaluation.task, {})
    names = [name for name in known if name in figures] or list(known)[: -1 or None]
    alpha = ALPHA / max(1, len(set(names) & set(judged)))
    p, a = np.array(predicted, np.float64), np.array(actual, np.float64)
    found = []
    for name in names:
        metric, figure = known[name], figures.get(name)
        chosen = metric.value(p, a)[metric.counts(p, a)].astype(np.float64)
        value, low, high = _estimate(metric, chosen, alpha)
        found.append(
            {
                "metric": name, "value": value, "low": low, "high": high, "rows": len(chosen),
                "evaluated": figure and figure.value, "evaluated_low": figure and figure.low,
                "evaluated_high": figure and figure.high,
                "worse": name in judged and figure is not None and _beyond(metric, low, high, figure),
            }
        )  # fmt: skip
    return found


def _beyond(metric: _Metric, low: float | None, high: float | None, figure: Figure) -> bool:
    """Whether the better end of what is measured is worse than the worse end of the evaluation's."""
    if metric.higher:
        return high is not None and high < (figure.value if figure.low is None else figure.low)
    return low is not None and low > (figure.value if figure.high is None else figure.high)


def _estimate(
    metric: _Metric, values: Array, alpha: float
) -> tuple[float | None, float | None, float | None]:
    if not len(values):
        return None, None, None
    mean = float(values.mean())
    if metric.rate:
        return mean, *rate_interval(int(values.sum()), len(values), alpha)
    low, high = mean_interval(values, alpha)
    if not metric.root:
        return mean, low, high
    return math.sqrt(mean), _root(low), _root(high)


def _root(end: float | None) -> float | None:
    return None if end is None else math.sqrt(max(0.0, end))


def rate_interval(hits: int, count: int, alpha: float) -> tuple[float, float]:
    """The rates that `hits` of `count` do not refute at `alpha`, whenever one looks."""

    def refuted(rate: float) -> bool:
        lost = 0.0
        for number, chance in ((hits, rate), (count - hits, 1 - rate)):
            if number and chance <= 0:
                return True
            lost += number * math.log(chance) if number else 0.0
        return mixed - lost > math.log(1 / alpha)

    mixed = (
        math.lgamma(hits + 0.5) + math.lgamma(count - hits + 0.5) - math.lgamma(count + 1) - math.log(math.pi)
    )
    ends = []
    for outer in (0.0, 1.0):
        inner = hits / count
        if not refuted(outer):
            ends.append(outer)
            continue
        for _ in range(_HALVINGS):
            middle = (outer + inner) / 2
            outer, inner = (middle, inner) if refuted(middle) else (outer, middle)
        ends.append(outer)
    return ends[0], ends[1]


def mean_interval(values: Array, alpha: float) -> tuple[float | None, float | None]:
    """Around the mean of `values`, [n]; (None, None) for fewer than `FEW` or where all are equal."""
    spread = float(values.var(ddof=1)) if len(values) >= FEW else 0.0
    if spread <= 0:
        return None, None
    variance, tau2 = spread / len(values), SCALE**2 * spread
    half = math.sqrt(
        variance
        * (variance + tau2)
        / tau2
        * (2 * math.log(1 / alpha) + math.log((variance + tau2) / variance))
    )
    return float(values.mean()) - half, float(values.mean()) + half


def line(version: str, one: Mapping[str, Any]) -> str:
    """A metric of a version for people."""
    return f"version {version}: {told(one)}{': WORSE' if one['worse'] else ''}"


def told(one: Mapping[str, Any]) -> str:
    """A metric beside its evaluation's."""
    if one["value"] is None:
        return f"{one['metric']}: no outcome that counts yet"
    live = f"{one['metric']} {_with_interval(one['value'], one['low'], one['high'])} of {one['rows']} answers"
    if one["evaluated"] is None:
        return f"{live}; its evaluation has no such figure"
    before = _with_interval(one["evaluated"], one["evaluated_low"], one["evaluated_high"])
    return f"{live}, {before} in its evaluation"


def _with_interval(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.4g}" + ("" if low is None or high is None else f" ({low:.4g} to {high:.4g})")
