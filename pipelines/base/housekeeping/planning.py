"""What of a HOME would go, and why the rest stays. Reads only: applying.py does it.

Candidates are a project's artifacts, pushed versions, and files that ML Metadata knows nothing of (loose.py). What
goes is older than the age that was asked for and kept by no root; rows beyond their retention go whatever keeps them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.base import artifact_root, registry
from pipelines.base.errors import ViaductError
from pipelines.base.housekeeping import ages, loose, retention, roots, sizes
from pipelines.base.housekeeping import snapshot as snapshots
from pipelines.base.housekeeping.snapshot import Artifact, Snapshot
from pipelines.base.paths import Paths
from pipelines.base.production import project_of
from pipelines.base.project import Project

if TYPE_CHECKING:
    from ml_metadata import MetadataStore

RETENTION_OVER = "its retention is over"
RETENTION_WAITS = f"{RETENTION_OVER}, but a run under way may read it: it goes when that has ended"
# A thing younger than this stays whatever was asked for: who made it may not have said yet what it is for.
LEAST_AGE_S = 3600.0
# States of artifacts whose files somebody may want; those of failed attempts (ABANDONED) nobody does.
WANTED, LEFT = ("LIVE", "REFERENCE"), ("ABANDONED", "DELETED")
KINDS = {
    "Examples": "examples",
    "ExampleStatistics": "statistics",
    "ExampleAnomalies": "statistics",
    "Schema": "schema",
    "TransformGraph": "transform graph",
    "TransformCache": "analyzer cache",
    "Model": "model",
    "ModelRun": "training logs",
    "ModelEvaluation": "evaluation",
    "ModelBlessing": "evaluation",
    "PushedModel": "push record",
    "Report": "report",
}
TEMPORARY = loose.TEMPORARY_KIND  # of the one kind that is removed at once: it may lie on another disk
# Folders that belong to another metadata store than the one that is asked.
ELSEWHERE = "another metadata store's, or nobody's that ML Metadata knows"


@dataclass(frozen=True)
class Thing:
    """One thing that goes or stays: `paths` are moved together, `artifacts` become DELETED first. Age in seconds."""

    project: str
    kind: str
    name: str
    paths: tuple[Path, ...]
    artifacts: tuple[int, ...]
    bytes: int
    age: float
    why: str


@dataclass
class Plan:
    """What goes and what stays, and what a person should know beside it."""

    going: list[Thing] = field(default_factory=list)
    staying: list[Thing] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return sum(thing.bytes for thing in self.going)


@dataclass
class Question:
    """What was asked: things older than `older_than` seconds at `now`, under configurations of servers `configs`.

    The last `last_runs` runs of each project are kept, and whatever is younger than `least_age` seconds.
    Sizes are measured once and remembered, so that a plan that is made again under a lock is made quickly.
    """

    home: Path
    older_than: float
    configs: list[str]
    now: float = field(default_factory=time.time)
    last_runs: int = roots.LAST_RUNS
    least_age: float = LEAST_AGE_S
    _sizes: dict[Path, int] = field(default_factory=dict)

    def size(self, paths: Iterable[Path]) -> int:
        return sum(self._size(path) for path in paths)

    def _size(self, path: Path) -> int:
        if path not in self._sizes:
            self._sizes[path] = sizes.of(path)
        return self._sizes[path]

    def young(self, age: float) -> str:
        """Why something of that age stays; '' if it is old enough to go."""
        least = max(self.older_than, self.least_age)
        return f"younger than {ages.age(least)}" if age < least else ""


def projects(home: Path) -> list[str]:
    """Names of projects that have anything under `home`, whether their code is still there or not."""
    found = {
        project_of(path.name)
        for top in ("pipelines", "runs", "serving", "samples", "data")
        for path in sizes.children(home / top)
        if path.is_dir() and not path.name.startswith(".")
    }
    return sorted(found)


def card_of(project: str) -> tuple[Project | None, str]:
    """The card, or None with the reason why there is none."""
    try:
        return registry.get(project), ""
    except ViaductError as error:
        gone = project not in registry.names()
        return (
            None,
            "" if gone else f"{project}: its card cannot be read, so its retention is not known: {error}",
        )


def project(question: Question, name: str, store: MetadataStore | None) -> Plan:
    """The plan for one project. Artifacts of another metadata store than `store` are left alone."""
    paths = Paths.of(name, question.home)
    card, trouble = card_of(name)
    snapshot = snapshots.EMPTY if store is None else snapshots.read(store, name)
    root = None if store is None else artifact_root.find(paths, store)
    kept = roots.runs(paths, snapshot, question.last_runs)
    versions = roots.pushed(paths, snapshot, question.configs)
    marked = roots.reasons(snapshot, kept, versions)
    plan = Plan(notes=[trouble] if trouble else [])
    over = retention.over(paths, card, snapshot, marked, question.now)
    _retained(question, paths, snapshot, over, plan)
    expired = {artifact for thing in plan.going for artifact in thing.artifacts}
    for artifact in snapshot.artifacts.values():
        if artifact.id not in expired and artifact.id not in over.waiting:
            _artifact(question, paths, artifact, marked, plan)
    _versions(question, paths, snapshot, versions, plan)
    _leave_shared(plan)
    days = card.watch.outcome_days if card is not None and card.watch else 0.0
    for thing in loose.of_project(paths, root, snapshot, kept, question.now, days * ages.DAY_S):
        _loose(question, paths.project, thing, plan)
    return plan


def shared(question: Question) -> Plan:
    """The plan for what is no project's: logs of warm hosts, memos of data that is gone."""
    plan = Plan()
    for thing in loose.of_home(question.home, question.now):
        _loose(question, "", thing, plan)
    return plan


def _loose(question: Question, owner: str, found: loose.Found, plan: Plan) -> None:
    stays = found.stays or question.young(found.age)
    size, why = question.size(found.paths), stays or found.why
    (plan.staying if stays else plan.going).append(
        Thing(owner, found.kind, found.name, found.paths, (), size, found.age, why)
    )


def _artifact(
    question: Question, paths: Paths, artifact: Artifact, marked: dict[int, str], plan: Plan
) -> None:
    folder, name = snapshots.folder(artifact), _inside(snapshots.folder(artifact), paths.pipeline_root)
    if not name or artifact.state not in (*WANTED, *LEFT):
        return  # an Importer's, or under way: its files are not ours, or not yet there
    there, left = folder.exists(), artifact.state in LEFT
    if left and not there:
        return
    root, age = "" if left else marked.get(artifact.id, ""), question.now - artifact.made
    stays = f"behind {root}" if root else question.young(age)
    why = "left by an attempt that failed" if left else "nothing needs it"
    moved, ids = (folder,) if there else (), () if left else (artifact.id,)
    kind = KINDS.get(artifact.type, artifact.type)
    (plan.staying if stays else plan.going).append(
        Thing(paths.project, kind, name, moved, ids, question.size(moved), age, stays or why)
    )


def _inside(folder: Path, root: Path) -> str:
    """The name of `folder` within `root`, whichever links lead there; '' if it is not below."""
    try:
        return str(Path(os.path.realpath(folder)).relative_to(os.path.realpath(root)))
    except ValueError:
        return ""


def _leave_shared(plan: Plan) -> None:
    """Files of an artifact that goes stay where one that stays has them as well."""
    held = {path for thing in plan.staying for path in thing.paths}
    shared = [thing for thing in plan.going if held & set(thing.paths)]
    plan.going = [thing for thing in plan.going if thing not in shared]
    plan.staying += [replace(thing, why="another artifact lies in the same folder") for thing in shared]


def _versions(
    question: Question, paths: Paths, snapshot: Snapshot, versions: list[roots.Pushed], plan: Plan
) -> None:
    """A version goes with the last of its pushes, and stays with any that stays."""
    going = {artifact for thing in plan.going for artifact in thing.artifacts}
    for version in versions:
        age = question.now - _mtime(version.folder, question.now)
        live = {a for a in version.artifacts if snapshot.artifacts[a].state in WANTED}
        if not version.artifacts:
            stays = version.in_use or ELSEWHERE
        elif version.in_use or not live <= going:
            stays = version.in_use or "its push is kept"
        else:
            stays = question.young(age)
        name = f"{version.folder.parent.name}/{version.folder.name}"
        if stays:
            size = question.size([version.folder])
            plan.staying.append(
                Thing(paths.project, "served version", name, (version.folder,), (), size, age, stays)
            )
            continue
        records = [t for t in plan.going if set(t.artifacts) & set(version.artifacts)]
        plan.going = [t for t in plan.going if t not in records]
        moved = (version.folder, *(path for record in records for path in record.paths))
        thing = Thing(
            paths.project,
            "served version",
            name,
            moved,
            tuple(sorted(live)),
            question.size(moved),
            age,
            "nothing needs it",
        )
        plan.going.append(thing)


def _retained(question: Question, paths: Paths, snapshot: Snapshot, over: retention.Over, plan: Plan) -> None:
    for folder, age in over.spans.items():
        name = str(folder.relative_to(paths.home))
        (plan.staying if over.busy else plan.going).append(
            Thing(
                paths.project, "span", name, (folder,), (), question.size([folder]), age,
                RETENTION_WAITS if over.busy else RETENTION_OVER,
            )
        )  # fmt: skip
    for number, age in over.examples.items():
        folder = snapshots.folder(snapshot.artifacts[number])
        learnt = over.models[number]
        why = f"{RETENTION_OVER}; trained on it: " + (", ".join(dict.fromkeys(learnt)) or "no model")
        moved = (folder,) if folder.exists() and folder.is_relative_to(paths.home) else ()
        name = _inside(folder, paths.pipeline_root) or str(folder)
        plan.going.append(
            Thing(paths.project, "examples", name, moved, (number,), question.size(moved), age, why)
        )
    for number in sorted(over.waiting):
        folder = snapshots.folder(snapshot.artifacts[number])
        thing = Thing(paths.project, "examples", str(folder), (folder,), (), 0, 0.0, RETENTION_WAITS)
        plan.staying.append(thing)


def _mtime(path: Path, otherwise: float) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return otherwise


def every(question: Question, store: MetadataStore | None) -> Plan:
    """The whole plan: all projects', then what is nobody's."""
    whole = Plan()
    parts = (project(question, name, store) for name in projects(question.home))
    for part in (*parts, shared(question)):
        whole.going += part.going
        whole.staying += part.staying
        whole.notes += part.notes
    return whole
