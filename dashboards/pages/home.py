"""Home: every project in a line. Project: its card, its metrics over time and all its runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashboards.pages.bars import Held, by_metric, held
from dashboards.pages.histories import histories, kind_of, sparkline
from dashboards.pages.numbers import whole_number
from dashboards.pages.reasons import refusal
from dashboards.pages.site import Notes, Site
from dashboards.readers.files import Missing
from dashboards.readers.metadata import Artifact
from dashboards.readers.runs import RunRow
from pipelines.base import production
from pipelines.base.project import Project

# More runs than this make a page heavy; older ones are a link away.
PAGE_RUNS = 100


@dataclass
class Line:
    """One project on the home page.

    `measured` is the newest run with metrics, which may be an older one than `last`; `bars` are its metrics against
    its own bars, each with a sparkline of the runs of its kind.
    """

    name: str
    card: Project | None
    last: RunRow | None = None
    measured: RunRow | None = None
    kind: str = ""
    reason: str = ""
    bars: list[tuple[Held, Any]] = field(default_factory=list)
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
    served: dict[str, list[str]] = {}
    for served_name, versions in sorted(site.servers.served(site.served_names(by_project)).items()):
        told = [production.told_version(served_name, version) for version in versions]
        served.setdefault(production.project_of(served_name), []).extend(told)
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
    line.measured = next((row for row in rows if row.metrics), None)
    if line.measured is not None:
        line.kind = str(kind_of(line.card, line.measured))
        line.bars = [
            (one, sparkline(line.card, one, line.measured, rows))
            for one in held(site.bars(line.measured), line.measured.metrics)
        ]
    if line.last is not None and line.last.blessed is False:
        line.reason = _refusal(site, line.last)
    line.pushed = _pushed(site, name)
    return line


def _refusal(site: Site, row: RunRow) -> str:
    try:
        return refusal(site, site.runs.record(row.run_id))
    except Missing:
        return ""


def _pushed(site: Site, name: str) -> list[str]:
    """Version folders that a model server would see, production's first, of each name the newest first."""
    told = []
    for served in site.served_names([name]):
        try:
            folder = site.files.inside(site.files.home / "serving" / served)
        except Missing:
            continue
        versions = ((whole_number(path.name), path.name) for path in folder.iterdir())
        newest = sorted(((n, version) for n, version in versions if n is not None), reverse=True)
        told += [production.told_version(served, version) for _, version in newest]
    return told


def differing(rows: Sequence[RunRow]) -> dict[str, dict[str, Any]]:
    """By run the parameters that are not the same in all of `rows` (of those that have any), and the data likewise."""
    known = [row.parameters for row in rows if row.parameters]
    names = {name for parameters in known for name in parameters}
    varied = sorted(n for n in names if len({repr(parameters.get(n)) for parameters in known}) > 1)
    told = _data_apart(rows)
    return {
        row.run_id: {
            **({"data": told[row.run_id]} if row.run_id in told else {}),
            **{n: row.parameters[n] for n in varied if n in row.parameters},
        }
        for row in rows
    }


def _data_apart(rows: Sequence[RunRow]) -> dict[str, str]:
    """By run the data it was given, where that is not the same: the last part of its path if that tells them apart."""
    # Runs of metadata alone have neither profile nor data.
    paths = {row.run_id: row.data for row in rows if row.profile}
    names = {path: Path(path).name or "HOME/data" for path in paths.values()}
    if len(names) < 2:
        return {}
    short = len(set(names.values())) == len(names)
    return {run: names[path] if short or not path else path for run, path in paths.items()}


def _data_times(site: Site, lines: list[Line], notes: Notes) -> None:
    """When the data of each project's last run came in: the span's day where spans are days, else when it was read."""
    wanted = [line.last.examples for line in lines if line.last and line.last.examples]
    examples: dict[int, Artifact] = {}
    if wanted:
        examples = notes.get(lambda: site.metadata.artifacts(wanted), examples)
    for line in lines:
        if line.last is None:
            continue
        if line.card is not None and line.card.spans == "date" and line.last.span:
            line.data_time = line.last.span * 86400.0
        elif line.last.examples in examples:
            line.data_time = examples[line.last.examples].created


def project(site: Site, query: dict[str, str]) -> str:
    """One project: `name`, and `all` to list every run."""
    name = query.get("name", "")
    rows = site.runs.rows(name)
    card = site.card(name)
    if card is None and not rows:
        raise Missing(f"There is no project called {name!r}.")
    shown = [site.runs.detailed(row) for row in (rows if query.get("all") else rows[:PAGE_RUNS])]
    measured = next((row for row in rows if row.metrics), None)
    return site.render(
        "project.html", name=name, card=card, rows=shown, total=len(rows),
        bars=by_metric(site.bars(measured) if measured else ()),
        held={row.run_id: {h.metric: h for h in held(site.bars(row), row.metrics)} for row in shown},
        differing=differing(shown),
        histories=histories(site, card, shown), kind=str(kind_of(card, measured)) if measured else "",
        now=time.time(), pushed=_pushed(site, name),
        search=next((row.run_id for row in rows if row.searched), ""),
    )  # fmt: skip
