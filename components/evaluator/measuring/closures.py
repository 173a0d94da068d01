"""What a derived computation of TFMA's is made of. TFMA keeps it in the names that its function closes over.

A function that holds nothing of the kind is no error: whoever asks goes the general way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensorflow_model_analysis.metrics import binary_confusion_matrices, metric_types


@dataclass(frozen=True)
class Step:
    """A computation that makes binary matrices at `thresholds`, of a histogram or of counts at these thresholds."""

    key: metric_types.MetricKey
    of: metric_types.MetricKey
    thresholds: tuple[float, ...]
    histogram: bool

    @property
    def straight(self) -> bool:
        """Whether curves.matrices makes it: not where one negative threshold stands for the k best."""
        return self.histogram and not (len(self.thresholds) == 1 and self.thresholds[0] < 0)


@dataclass(frozen=True)
class Derived:
    """A derived computation with the metrics it reads, the metric object it belongs to, and its step if it is one."""

    computation: metric_types.DerivedMetricComputation
    held: dict[str, Any]
    inputs: tuple[metric_types.MetricKey, ...]
    step: Step | None

    @classmethod
    def of(cls, computation: metric_types.DerivedMetricComputation) -> Derived:
        """Reads the closure; what cannot be read leaves its part empty."""
        held = _held(computation.result)
        own = set(computation.keys)
        # A key is a tuple itself.
        inputs = [
            key
            for value in held.values()
            for key in (value if type(value) in (list, tuple) else [value])
            if isinstance(key, metric_types.MetricKey) and key not in own
        ]
        step = _step(computation, held)
        return cls(computation, held, (step.of,) if step else tuple(dict.fromkeys(inputs)), step)

    @property
    def metric(self) -> Any:
        return self.held.get("self")


def _held(function: Any) -> dict[str, Any]:
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    cells = getattr(function, "__closure__", None) or ()
    held = {}
    for name, cell in zip(names, cells, strict=False):
        try:
            held[name] = cell.cell_contents
        except ValueError:
            continue
    return held


def _step(computation: metric_types.DerivedMetricComputation, held: dict[str, Any]) -> Step | None:
    if getattr(computation.result, "__module__", "") != binary_confusion_matrices.__name__:
        return None
    if {"thresholds", "use_histogram", "input_metric_key", "matrices_key"} - held.keys() or held.get(
        "example_id_key"
    ):
        return None
    return Step(
        held["matrices_key"], held["input_metric_key"], tuple(held["thresholds"]), bool(held["use_histogram"])
    )
