"""Releases: what each served model's versions went through, the judge's numbers, the journal, and A/B tests."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from dashboards.drawing.intervals import over_time
from dashboards.pages.numbers import whole_number
from dashboards.pages.site import Notes, Site
from dashboards.readers import releases as reader
from dashboards.readers import watches as watched
from dashboards.readers.files import Missing
from dashboards.readers.releases import Recorded
from pipelines.base import production
from serving.release.record import Release

STATES = {"rolled_back": "rolled back"}
# Releases listed of one model.
MOST = 50


def releases(site: Site, query: dict[str, str]) -> str:
    """The newest release of every served model; `model` opens its releases, `release` one of them by its number."""
    name = query.get("model", "")
    if not name:
        return site.render("releases.html", rows=_newest(site), name="", nav="serving")
    served = _served(site, name)
    known = reader.releases(served)
    number = whole_number(query.get("release"))
    chosen = next((r for r in known if number in (None, r.number)), None)
    if chosen is None and number is not None:
        raise Missing(f"Model {name!r} has no release {number}.")
    notes = Notes()
    shown = None if chosen is None else _release(site, name, served, chosen, notes)
    rows = [_row(name, release) for release in known[:MOST]]
    return site.render("releases.html", rows=rows, name=name, shown=shown, notes=notes, nav="serving",
                       project=production.project_of(name), watched=name in watched.names(site.files))  # fmt: skip


def _served(site: Site, name: str) -> Path:
    folder = site.home / "serving"
    if Path(name).name != name or name in (".", ".."):
        raise Missing(f"{name!r} is no model's name.")
    return site.files.inside(folder / name)


def _newest(site: Site) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    try:
        names = sorted(path.name for path in site.files.inside(site.home / "serving").iterdir())
    except Missing:
        return rows
    for name in names:
        with contextlib.suppress(Missing):
            known = reader.releases(_served(site, name))
            if known:
                rows.append(_row(name, known[0]))
    return rows


def _row(name: str, release: Release) -> dict[str, Any]:
    last = release.journal[-1] if release.journal else {}
    return {
        "model": name,
        "release": release,
        "state": STATES.get(release.state, release.state),
        "kind": "A/B test" if release.plan.test is not None else "release",
        "last": reader.seconds(str(last.get("time", ""))),
        "why": str(last.get("why", "")),
    }


def _release(site: Site, name: str, served: Path, release: Release, notes: Notes) -> dict[str, Any]:
    project = production.project_of(name)
    recorded = notes.get(lambda: Recorded(site.metadata, project), None)
    # Metadata names folders as they were when it was written, links not followed.
    written = site.home / "serving" / name
    complaint = reader.complaint(served, release)
    if complaint:
        notes.append(complaint)
    test = None if complaint else reader.tested(served, release)
    return {
        **_row(name, release),
        "versions": [
            (word, version, recorded.model(written, version) if recorded else None)
            for word, version in (("baseline", release.baseline), ("candidate", release.candidate))
        ],
        "steps": [
            (release.plan.name(step), step == release.step and release.in_flight)
            for step in range(len(release.plan.shares))
        ],
        "guards": [(guard, said) for guard, said in release.judgement.items() if guard != "shadow"],
        "shadow": release.judgement.get("shadow") or {},
        "journal": [
            {
                **line,
                "state": STATES.get(line["state"], line["state"]),
                "at": reader.seconds(str(line["time"])),
                "artifact": recorded.step(written, release, line["time"], line["state"])
                if recorded
                else None,
            }
            for line in release.journal
        ],
        "test": test,
        "chart": over_time(test.looks, f"{test.trial.metric}: difference") if test else {},
    }
