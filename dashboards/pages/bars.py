"""Bars beside what they are held against: metric by metric, because two bars on one metric are a band."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dashboards.drawing.words import needs
from dashboards.readers.evaluation import Evaluation
from pipelines.base.directions import Direction, of_bars, of_metric
from pipelines.base.project import Bar


@dataclass(frozen=True)
class Held:
    """A metric, all bars on it, and the value a run reached; None where it was not measured."""

    metric: str
    bars: tuple[Bar, ...]
    value: float | None = None

    @property
    def met(self) -> bool:
        value = self.value
        return value is not None and all(bar.met_by(value) for bar in self.bars)

    @property
    def bounds(self) -> tuple[float, ...]:
        return tuple(bar.bound for bar in self.bars)

    @property
    def needs(self) -> str:
        """'≥ 0.7 and ≤ 0.999'."""
        return needs(self.bars)


def by_metric(bars: Iterable[Bar]) -> dict[str, tuple[Bar, ...]]:
    """The bars on each metric, in the card's order."""
    grouped: dict[str, tuple[Bar, ...]] = {}
    for bar in bars:
        grouped[bar.metric] = (*grouped.get(bar.metric, ()), bar)
    return grouped


def held(bars: Iterable[Bar], metrics: Mapping[str, float]) -> list[Held]:
    """Each metric with a bar and what it came to."""
    return [Held(metric, on_it, metrics.get(metric)) for metric, on_it in by_metric(bars).items()]


def direction_of(metric: str, bars: Iterable[Bar], evaluation: Evaluation) -> Direction | None:
    """Which way `metric` is better: by the card's bars, else the evaluation's own thresholds, else its class."""
    bars = [bar for bar in bars if bar.metric == metric]
    return (
        of_bars(bars)
        or evaluation.declared.get(metric)
        or of_metric(metric, metric_class=evaluation.classes.get(metric, ""))
    )
