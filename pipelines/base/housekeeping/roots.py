"""Why artifacts stay: roots, and what stands behind them in ML Metadata.

Pure but for reading run records, pins and served folders. A reason is a sentence's end for people ("one of the last
runs").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.base import run_record
from pipelines.base.housekeeping import in_use, pins
from pipelines.base.housekeeping.snapshot import ACTIVE, Execution, Snapshot
from pipelines.base.paths import Paths
from pipelines.base.run_record import RunRecord
from pipelines.base.training import SERVED_KEY

LAST_RUNS = 10
UNDER_WAY, LAST = "a run under way", "one of the last runs"
# What is said of a model, kept with it. Its pushes are not: each is kept by its own folder's being in use.
VERDICTS = ("ModelEvaluation", "ModelBlessing")
# A model that another was compared with does not stand behind that comparison's other side.
NOT_BEHIND = ("baseline_model",)


@dataclass(frozen=True)
class Runs:
    """Runs of a project by what keeps them: {run id: reason}."""

    kept: Mapping[str, str]
    active: frozenset[str]
    records: Mapping[str, RunRecord]


def runs(paths: Paths, snapshot: Snapshot, last: int) -> Runs:
    """What keeps which runs: under way, pinned, among the last ones. Runs without a record count as well."""
    records = {record.run_id: record for record in run_record.read_all(paths)}
    active = {run for run, record in records.items() if record.alive()}
    active |= {e.run for e in snapshot.executions.values() if e.state in ACTIVE and e.run}
    kept = dict.fromkeys(active, UNDER_WAY)
    for run, why in pins.of_project(paths):
        kept.setdefault(run, "a pinned run" + (f" ({why})" if why else ""))
    for run in [*list(records)[:last], *snapshot.runs[:last]]:
        kept.setdefault(run, LAST)
    return Runs(kept, frozenset(active), records)


@dataclass(frozen=True)
class Pushed:
    """A pushed version: its folder, and the artifacts of the pushes to it (none of another metadata store's)."""

    folder: Path
    artifacts: tuple[int, ...]
    in_use: str


def pushed(paths: Paths, snapshot: Snapshot, configs: Iterable[str]) -> list[Pushed]:
    """All versions in the project's served folders."""
    by_folder: dict[Path, list[int]] = {}
    for artifact in snapshot.artifacts.values():
        destination = artifact.properties.get("pushed_destination")
        if artifact.type == "PushedModel" and destination:
            by_folder.setdefault(Path(str(destination)), []).append(artifact.id)
    found, texts = [], list(configs)
    for served in [paths.serving, *sorted(paths.serving.parent.glob(f"{paths.project}.*"))]:
        reasons = in_use.reasons(served, texts)
        for version in in_use.versions(served):
            folder = served / str(version)
            found.append(Pushed(folder, tuple(by_folder.get(folder, ())), reasons.get(version, "")))
    return found


def reasons(snapshot: Snapshot, kept: Runs, versions: Iterable[Pushed]) -> dict[int, str]:
    """{artifact: why it stays} of all that a root keeps."""
    roots: list[tuple[int, str]] = []
    executions = snapshot.executions.values()
    for execution in executions:
        if execution.state in ACTIVE:
            roots += [(a, UNDER_WAY) for _, a in (*execution.inputs, *execution.outputs, *execution.resolved)]
    # Under way, then pins, then what is served, then the last runs: the reason that a person can do least about first.
    roots += _of_runs(executions, kept, lambda why: why == UNDER_WAY)
    roots += _of_runs(executions, kept, lambda why: why not in (UNDER_WAY, LAST))
    for version in versions:
        if version.in_use and version.artifacts:
            name = f"{version.folder.parent.name}/{version.folder.name}"
            roots += _model(snapshot, max(version.artifacts), f"{name}, {version.in_use}")
    roots += _last_blessed(snapshot)
    roots += _of_runs(executions, kept, lambda why: why == LAST)
    roots += [(artifact, "another pipeline, which reads it") for artifact in snapshot.foreign]
    return _marked(snapshot, roots)


def _of_runs(
    executions: Iterable[Execution], kept: Runs, wanted: Callable[[str], bool]
) -> list[tuple[int, str]]:
    found = []
    for execution in executions:
        why = kept.kept.get(execution.run, "")
        if why and wanted(why):
            found += [(a, why) for _, a in (*execution.outputs, *execution.resolved)]
    return found


def _model(snapshot: Snapshot, push: int, why: str) -> Iterator[tuple[int, str]]:
    """A push, its model, and what was said of that."""
    yield push, why
    producer = snapshot.producer(push)
    for key, model in producer.inputs if producer else ():
        if key == "model":
            yield model, why
            yield from ((a, why) for a in _verdicts(snapshot, model))


def _verdicts(snapshot: Snapshot, model: int) -> Iterator[int]:
    for reader in snapshot.readers(model):
        if ("model", model) in reader.inputs:
            made = (snapshot.artifacts.get(artifact) for _, artifact in reader.outputs)
            yield from (
                artifact.id for artifact in made if artifact is not None and artifact.type in VERDICTS
            )


def _last_blessed(snapshot: Snapshot) -> list[tuple[int, str]]:
    """The model that the next one of each served name will be compared with, as last_blessed.py finds it."""
    last: dict[str, tuple[int, int, int]] = {}
    given = {a: e.id for e in sorted(snapshot.executions.values(), key=lambda e: e.id) for _, a in e.outputs}
    for artifact in snapshot.artifacts.values():
        model = snapshot.artifacts.get(int(artifact.properties.get("current_model_id") or 0))
        blessed = artifact.type == "ModelBlessing" and artifact.properties.get("blessed") == 1
        if not blessed or artifact.state != "LIVE" or model is None or model.state != "LIVE":
            continue
        for name in served_names(snapshot, model.id):
            candidate = (given.get(artifact.id, 0), artifact.id, model.id)
            last[name] = max(last.get(name, candidate), candidate)
    return [
        (artifact, f"{name}, blessed last")
        for name, (_, blessing, model) in last.items()
        for artifact in (blessing, model)
    ]


def served_names(snapshot: Snapshot, model: int) -> set[str]:
    """The names that Trainers were told which made the model, or took it from the cache."""
    makers = [e for e in snapshot.executions.values() if any(a == model for _, a in e.outputs)]
    return {str(e.config[SERVED_KEY]) for e in makers if SERVED_KEY in e.config}


def _marked(snapshot: Snapshot, roots: Iterable[tuple[int, str]]) -> dict[int, str]:
    """Roots and everything behind them: what they were made of, and what that was made of."""
    marked: dict[int, str] = {}
    for root, why in roots:
        waiting = [root]
        while waiting:
            artifact = waiting.pop()
            if artifact in marked:
                continue
            marked[artifact] = why
            producer = snapshot.producer(artifact)
            waiting += [a for key, a in (producer.inputs if producer else ()) if key not in NOT_BEHIND]
    return marked
