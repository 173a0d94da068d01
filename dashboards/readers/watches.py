"""What watches over served models have seen (HOME/watch), and where ML Metadata knows it. Reads only."""

from __future__ import annotations

from pathlib import Path

from dashboards.readers.files import Files, Missing
from dashboards.readers.metadata import Metadata
from pipelines.base.watching import state
from pipelines.base.watching.quality import measurable, outcome
from pipelines.base.watching.record import ALARM, JUDGEMENT, WINDOW, describe, events
from pipelines.base.watching.state import State

__all__ = [
    "ALARM",
    "WINDOW",
    "Recorded",
    "State",
    "describe",
    "measurable",
    "names",
    "of",
    "outcome",
    "recorded",
]


def names(files: Files) -> list[str]:
    """The served names that are or were watched."""
    try:
        folders = list(files.inside(files.home / "watch").iterdir())
    except Missing:
        return []
    return sorted(path.name for path in folders if (path / state.STATE).is_file())


def of(files: Files, name: str) -> State:
    """What is known of one. Raises Missing."""
    if Path(name).name != name or name in (".", ".."):
        raise Missing(f"{name!r} is no model's name.")
    folder = files.inside(files.home / "watch" / name)
    if not (folder / state.STATE).is_file():
        raise Missing(f"Nobody has watched {name!r} yet.")
    return state.load(folder)


Recorded = dict[tuple[str, int, float, str], int]


def recorded(metadata: Metadata, project: str, name: str, kept: State) -> Recorded:
    """(kind, version, time, feature or metric) -> the artifact with the judgement, of what is recorded."""
    artifacts = {a.properties.get("event"): a.id for a in metadata.project_artifacts(project, JUDGEMENT)}
    found: Recorded = {}
    for event in events(kept):
        artifact = artifacts.get(f"{project}:{name}:{event.name}")
        if artifact is not None:
            what = event.numbers.get("feature") or event.numbers.get("metric") or ""
            found[event.kind, event.version, event.until, what] = artifact
    return found
