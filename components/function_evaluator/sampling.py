"""Intervals for what a project's own function measures: the measure taken of resampled units, paired for two models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from components.confidence import intervals, resampling
from components.confidence.intervals import Interval, Kind
from components.function_evaluator.measuring import Measured, Sampled, SliceKey

RESAMPLES = 200
NO_INTERVALS = (
    "none: the evaluation function gives numbers, not a measure that can be taken of resampled data"
)


@dataclass(frozen=True)
class Drawn:
    """What a model measures, and of the same resamples as any other's [b]; without `of` there are none."""

    measured: Measured
    samples: tuple[Measured, ...] = ()
    units: int = 0
    of: str = ""

    @property
    def method(self) -> str:
        if not self.samples:
            return NO_INTERVALS
        return f"paired bootstrap over {self.units:,} {self.of}, {len(self.samples)} resamples"


def draw(told: Measured | Sampled) -> Drawn:
    """The measure of the data as they are and of every resample; plain numbers are left as they are.

    The draws depend on the number of units alone: the same for two models on the same data.
    """
    if not isinstance(told, Sampled):
        return Drawn(told)
    measured = told.measure(np.ones(told.units, np.int64))
    counts = resampling.draws(told.units, RESAMPLES, np.random.default_rng(resampling.SEED))
    with np.errstate(all="ignore"):
        samples = tuple(told.measure(np.ascontiguousarray(column)) for column in counts.T)
    return Drawn(measured, samples, told.units, told.of)


def of_values(drawn: Drawn) -> dict[SliceKey, dict[str, Interval]]:
    """Intervals of every metric of every slice that has one."""
    return _intervals(drawn.measured, drawn, None)


def of_differences(drawn: Drawn, before: Drawn) -> dict[SliceKey, dict[str, Interval]]:
    """Of `drawn` minus `before`, resample by resample. {} where the two were not drawn alike."""
    if not drawn.samples or (drawn.units, drawn.of) != (before.units, before.of):
        return {}
    differences = {
        key: {
            name: value - before.measured[key][name]
            for name, value in metrics.items()
            if name in before.measured[key]
        }
        for key, metrics in drawn.measured.items()
        if key in before.measured
    }
    return _intervals(differences, drawn, before)


def _intervals(
    values: Mapping[SliceKey, Mapping[str, float]], drawn: Drawn, before: Drawn | None
) -> dict[SliceKey, dict[str, Interval]]:
    found: dict[SliceKey, dict[str, Interval]] = {}
    for key, metrics in values.items() if drawn.samples else ():
        found[key] = {}
        for name, value in metrics.items():
            if name == "example_count" or not math.isfinite(value):
                continue
            samples = _samples(drawn, key, name)
            if before is not None:
                samples = samples - _samples(before, key, name)
            interval = intervals.of_samples(value, value, samples, Kind(float(drawn.units)))
            if interval is not None:
                found[key][name] = interval
    return found


def _samples(drawn: Drawn, key: SliceKey, name: str) -> np.ndarray:
    return np.array([sample.get(key, {}).get(name, math.nan) for sample in drawn.samples], float)
