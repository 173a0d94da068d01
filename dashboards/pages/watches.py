"""Watches: what served models are asked beside what they learnt from, and how good their answers turned out to be."""

from __future__ import annotations

import contextlib
from typing import Any

from dashboards.pages.site import Notes, Site
from dashboards.readers import watches as reader
from dashboards.readers.files import Missing
from dashboards.readers.watches import ALARM, WINDOW, State
from pipelines.base import production
from pipelines.base.rollout import Watch

# Windows and alarms shown of one model.
MOST = 50


def watches(site: Site, query: dict[str, str]) -> str:
    """Every watched model; `model` opens one."""
    name = query.get("model", "")
    if not name:
        rows = []
        for one in reader.names(site.files):
            with contextlib.suppress(Missing):
                rows.append(_row(one, reader.of(site.files, one)))
        return site.render("watches.html", rows=rows, name="", nav="serving")
    kept, notes = reader.of(site.files, name), Notes()
    return site.render("watches.html", name=name, shown=_shown(site, name, kept, notes), notes=notes, nav="serving",
                       project=production.project_of(name))  # fmt: skip


def _row(name: str, kept: State) -> dict[str, Any]:
    last = kept.windows[-1] if kept.windows else {}
    return {
        "model": name,
        "windows": len(kept.windows),
        "last": last.get("until"),
        "version": last.get("version"),
        "state": _state(kept),
        "alarms": len(kept.alarms),
        "outcomes": sum(of["outcomes"] for of in kept.quality.values()),
    }


def _state(kept: State) -> str:
    """Of the version that answered last."""
    versions = [window["version"] for window in kept.windows[-1:]] or [int(v) for v in kept.quality][-1:]
    if any(kept.drifted(version) or kept.worse(version) for version in versions):
        return "alarm"
    return "beyond" if kept.windows and kept.windows[-1]["beyond"] else "quiet"


def _shown(site: Site, name: str, kept: State, notes: Notes) -> dict[str, Any]:
    project = production.project_of(name)
    card = site.card(project)
    nothing: reader.Recorded = {}
    recorded = notes.get(lambda: reader.recorded(site.metadata, project, name, kept), nothing)
    return {
        **_row(name, kept),
        "quality": [
            {"version": int(version), **of, **one}
            for version, of in sorted(kept.quality.items(), key=lambda item: -int(item[0]))
            for one in (of["metrics"] if of["outcomes"] else [])
        ],
        "answers": sum(of["answers"] for of in kept.quality.values()),
        "odd": sum(of["odd"] for of in kept.quality.values()),
        "outcome": reader.outcome(card) if card else "",
        "measured": card is None or reader.measurable(card),
        "terms": (card.watch if card else None) or Watch(),
        "alarm_rows": [
            {
                **alarm,
                "what": (what := alarm.get("feature") or alarm["metric"]),
                "why": reader.describe(alarm),
                "artifact": recorded.get((ALARM, alarm["version"], float(alarm["until"]), what)),
            }
            for alarm in reversed(kept.alarms[-MOST:])
        ],
        "window_rows": [
            {**window, "artifact": recorded.get((WINDOW, window["version"], float(window["until"]), ""))}
            for window in reversed(kept.windows[-MOST:])
        ],
        "started": kept.started,
        "reason": kept.reason,
    }
