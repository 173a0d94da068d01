"""Metrics over runs: sparklines of runs that are alike, and charts in which each run has its own variant and bar.

Runs of another variant or profile were held to other bars and trained on other data: a sparkline leaves them out, a
chart gives them a colour of their own. Runs that came to no metric are crosses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboards.drawing import charts, svg
from dashboards.drawing.charts import Happened
from dashboards.drawing.words import short, url
from dashboards.pages.bars import Held, by_metric
from dashboards.pages.site import Site
from dashboards.readers.runs import RunRow
from pipelines.base.project import Bar, Project

SPARK_RUNS = 20
# Charts on one page: metrics with a bar first, then a few more.
MOST_CHARTS = 6
ENDED_BADLY = ("failed", "dead", "cancelled", "incomplete")


@dataclass(frozen=True)
class Kind:
    """What runs must share to be compared: held to the same bars, trained the same way."""

    variant: str
    profile: str

    def __str__(self) -> str:
        return ", ".join(part for part in (self.variant, self.profile) if part) or "unknown variant"


def kind_of(card: Project | None, row: RunRow) -> Kind:
    """A row's variant, by its name also where the default was not named, and profile."""
    return Kind(row.variant or (card.variants[0].name if card and row.profile else ""), row.profile)


def sparkline(card: Project | None, held: Held, row: RunRow, rows: Sequence[RunRow]) -> Any:
    """The metric of the last runs of `row`'s kind up to `row`, with its bars. `rows` are newest first."""
    kind = kind_of(card, row)
    alike = [r for r in rows if r.turn <= row.turn and kind_of(card, r) == kind]
    values = [r.metrics[held.metric] for r in alike if held.metric in r.metrics][:SPARK_RUNS][::-1]
    label = f"{held.metric} of the last {len(values)} runs of {kind}"
    return svg.sparkline(values, held.bounds, label)


def histories(site: Site, card: Project | None, rows: Sequence[RunRow]) -> list[dict[str, Any]]:
    """A chart for each metric that at least two of `rows` (newest first) have, those with bars first."""
    measured = [row for row in rows if row.metrics]
    bars = {row.run_id: by_metric(site.bars(row)) for row in measured}
    with_bar = dict.fromkeys(metric for row in measured for metric in bars[row.run_id])
    others = dict.fromkeys(
        name for row in measured for name in row.metrics if not name.endswith(("example_count", "_diff"))
    )
    drawn: list[dict[str, Any]] = []
    for metric in {**with_bar, **others}:
        if sum(metric in row.metrics for row in measured) > 1 and len(drawn) < MOST_CHARTS:
            events = [_happened(card, row, metric, bars.get(row.run_id, {})) for row in reversed(rows)]
            drawn.append({"title": metric, "chart": charts.history([e for e in events if e], metric)})
    return drawn


def _happened(
    card: Project | None, row: RunRow, metric: str, bars: dict[str, tuple[Bar, ...]]
) -> Happened | None:
    """What `row` is in the chart of `metric`; None for a run that neither measured it nor ended badly.

    A value that is no finite number is a cross too: no axis has a place for it.
    """
    value = row.metrics.get(metric, math.nan)
    failed = row.state in ENDED_BADLY
    if not (failed or metric in row.metrics):
        return None
    return Happened(
        row.started,
        value,
        str(kind_of(card, row)),
        row.run_id,
        url("/run", id=row.run_id),
        tuple(bar.bound for bar in bars.get(metric, ())),
        row.state if failed else _verdict(row, value),
    )


def _verdict(row: RunRow, value: float) -> str:
    """What became of the run's model, and the value where no axis can show it."""
    said = {True: "blessed", False: "not blessed", None: "not judged"}[row.blessed]
    return said if math.isfinite(value) else f"{short(value)}, {said}"
