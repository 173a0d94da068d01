"""Home: every project in a line. Project: its card, its metrics over time and all its runs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from dashboards import charts, drawing
from dashboards.files import Missing
from dashboards.runs import RunRow
from dashboards.site import Notes, Site
from pipelines.base.project import Bar, Project

SPARK_RUNS = 20
# More runs than this make a page heavy; older ones are a link away.
PAGE_RUNS = 100


@dataclass
class Line:
    """One project on the home page."""

    name: str
    card: Project | None
    last: RunRow | None = None
    bars: list[dict[str, Any]] = field(default_factory=list)
    served: list[str] = field(default_factory=list)
    pushed: list[str] = field(default_factory=list)
    data_time: float | None = None
    runs: int = 0


def home(site: Site, query: dict[str, str]) -> str:
    """Every project: question, last run, verdict, metric against bar, served version, age of the data."""
    notes = Notes()
    rows = site.runs.rows()
    by_project: dict[str, list[RunRow]] = {}
    for row in rows:
        by_project.setdefault(row.project, []).append(row)
    names = sorted({*site.projects(rows)} - {"other"}) + (["other"] if "other" in by_project else [])
    served = site.servers.served(by_project)
    lines = [_line(site, name, by_project.get(name, []), served.get(name, [])) for name in names]
    _data_times(site, lines, notes)
    # What has been run comes first, the most recent on top.
    lines.sort(key=lambda line: (-(line.last.started if line.last else 0), line.name))
    return site.render(
        "home.html",
        lines=lines,
        notes=notes,
        recent=rows[:8],
        total=len(rows),
        servers=site.servers.addresses,
    )


def _line(site: Site, name: str, rows: list[RunRow], served: list[str]) -> Line:
    line = Line(
        name, site.card(name), site.runs.detailed(rows[0]) if rows else None, served=served, runs=len(rows)
    )
    measured = next((row for row in rows if row.metrics), None)
    if measured is not None:
        line.bars = [
            _against(bar, measured, [row for row in rows if row.profile == measured.profile])
            for bar in site.bars(measured)
        ]
    line.pushed = _pushed(site, name)
    return line


def _pushed(site: Site, name: str) -> list[str]:
    """Version folders that a model server would see, newest first."""
    try:
        folder = site.files.inside(site.files.home / "serving" / name)
    except Missing:
        return []
    return sorted((p.name for p in folder.iterdir() if p.name.isdigit()), key=int, reverse=True)


def _against(bar: Bar, row: RunRow, rows: list[RunRow]) -> dict[str, Any]:
    """A bar, the value of the last measured run and the runs before it (of the same profile) as a sparkline."""
    values = [r.metrics[bar.metric] for r in rows if bar.metric in r.metrics][:SPARK_RUNS][::-1]
    value = row.metrics.get(bar.metric)
    return {
        "bar": bar,
        "value": value,
        "met": value is not None and bar.met_by(value),
        "spark": drawing.sparkline(values, bar.bound, f"{bar.metric} of the last {len(values)} runs"),
    }


def _data_times(site: Site, lines: list[Line], notes: Notes) -> None:
    """When the data of each project's last run came in: the span's day where spans are days, else when it was read."""
    wanted = [line.last.examples for line in lines if line.last and line.last.examples]
    found = notes.get(lambda: site.metadata.artifacts(wanted), {}) if wanted else {}
    for line in lines:
        if line.last is None:
            continue
        if line.card is not None and line.card.spans == "date" and line.last.span:
            line.data_time = line.last.span * 86400.0
        elif line.last.examples in found:
            line.data_time = found[line.last.examples].created


def project(site: Site, query: dict[str, str]) -> str:
    """One project: `name`, and `all` to list every run."""
    name = query.get("name", "")
    rows = site.runs.rows(name)
    card = site.card(name)
    if card is None and not rows:
        raise Missing(f"There is no project called {name!r}.")
    shown = [site.runs.detailed(row) for row in (rows if query.get("all") else rows[:PAGE_RUNS])]
    measured = next((row for row in rows if row.metrics), None)
    bars = site.bars(measured) if measured else ()
    histories = []
    for metric, bound in _metrics(bars, measured):
        points = [
            (r.started, r.metrics[metric], r.run_id)
            for r in reversed(rows[:PAGE_RUNS])
            if metric in r.metrics and measured is not None and r.profile == measured.profile
        ]
        if len(points) > 1:
            histories.append({"title": metric, "chart": charts.history(points, bound, metric)})
    return site.render(
        "project.html", name=name, card=card, rows=shown, total=len(rows), bars=bars, histories=histories,
        profile=measured.profile if measured else "", now=time.time(), pushed=_pushed(site, name),
    )  # fmt: skip


def _metrics(bars: tuple[Bar, ...], measured: RunRow | None) -> list[tuple[str, float | None]]:
    """Metrics with a bar first, then a few more."""
    chosen: dict[str, float | None] = {bar.metric: bar.bound for bar in bars}
    for name in measured.metrics if measured else ():
        if len(chosen) < 6 and not name.endswith(("example_count", "_diff")):
            chosen.setdefault(name, None)
    return list(chosen.items())
