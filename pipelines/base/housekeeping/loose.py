"""Files under HOME, and in the temporary folder, that ML Metadata knows nothing of and that nobody may need any more.

Samples, checkpoints of trainings that nobody went on with, what old runs logged, copies of compiled pipelines, outputs
of attempts that failed, what served models were asked and what users did long ago, logs of warm hosts, and what Beam
and TensorFlow left where temporary files lie. Reads only.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipelines.base import data_state, releases, whole
from pipelines.base.forkserver import connection
from pipelines.base.housekeeping import sizes
from pipelines.base.housekeeping.roots import UNDER_WAY, Runs
from pipelines.base.housekeeping.snapshot import ACTIVE, Snapshot
from pipelines.base.leftovers import TEMPORARY
from pipelines.base.paths import Paths
from pipelines.base.production import project_of

OVER = ("FAILED", "CANCELED")
# Of a run's folder: what it logged, and how it was compiled. Its record stays.
OF_RUN = ("ir.json", "logs", ".code", "*.progress.json", "*.result.json")
# Left in the temporary folder by processes that ended long ago: TensorFlow's generated modules, Beam's files.
TEMPORARY_NAMES = ("__autograph_generated_file*.py", "beam-temp-*", "beam-pipeline-temp*", f".{TEMPORARY}.*")
TEMPORARY_KIND = "temporary"
# Below a served folder, as the model server calls it; and states in which a release has ended.
FEEDBACK = ".feedback"
ENDED = ("promoted", "rolled_back")
TEMPORARY_AGE_S = 24 * 3600.0


@dataclass(frozen=True)
class Found:
    """Paths that go or stay together; `stays` says why, '' where nothing but their age (seconds) can keep them."""

    kind: str
    name: str
    paths: tuple[Path, ...]
    age: float
    why: str
    stays: str = ""


def of_project(
    paths: Paths, root: Path | None, snapshot: Snapshot, kept: Runs, now: float, outcomes_s: float = 0.0
) -> Iterator[Found]:
    """What lies loose of one project; `root` holds its artifacts (None: this metadata store has none).

    outcomes_s: for how long its watch waits for outcomes.
    """
    yield from _samples(paths, kept, now)
    yield from _runs(paths, kept, now)
    for served in sorted((paths.home / "serving").glob(f"{paths.project}*")):
        if project_of(served.name) == paths.project:
            yield from _feedback(served, outcomes_s, now)
            yield from _request_logs(paths, served.name, outcomes_s, now)
    for node in sizes.children(root) if root is not None else ():
        if node.is_dir() and not node.is_symlink() and not node.name.startswith((".", "store-")):
            yield from _checkpoints(node, kept, now)
            yield from _executions(node, snapshot, now)
            yield from _orphans(node, snapshot, now)


def of_home(home: Path, now: float) -> Iterator[Found]:
    """What is no project's: logs of warm hosts that have ended, memos of data that is gone, temporary files."""
    logs = [file for file in sizes.children(home / "host") if file.suffix == ".log"]
    for file in logs:
        lives = bool(connection.owner_of(file.with_suffix(".sock")))
        stays = "a warm host writes it" if lives else ""
        yield Found("host log", file.name, (file,), _age(file, now), "its host has ended", stays)
    memos = tuple(file for file in (home / data_state.MEMO).glob("*.json") if _is_stale(file))
    if memos:
        youngest = min(_age(file, now) for file in memos)
        yield Found("memo", f"{len(memos)} of data that is gone", memos, youngest, "its data is gone")
    for name in TEMPORARY_NAMES:
        old = tuple(path for path in sorted(Path(tempfile.gettempdir()).glob(name)) if _is_left(path, now))
        if old:
            youngest = min(_age(path, now) for path in old)
            yield Found(
                TEMPORARY_KIND, f"{len(old)} x {name}", old, youngest, "left by a process that has ended"
            )


def _samples(paths: Paths, kept: Runs, now: float) -> Iterator[Found]:
    used = {
        Path(str(record.settings.get("data", ""))): why
        for run, why in kept.kept.items()
        if (record := kept.records.get(run)) is not None
    }
    for folder in sizes.children(paths.samples):
        if not folder.name.startswith("."):
            name = str(folder.relative_to(paths.home))
            stays = f"data of {used[folder]}" if folder in used else ""
            yield Found("sample", name, (folder,), _age(folder, now), "it can be made again", stays)


def _runs(paths: Paths, kept: Runs, now: float) -> Iterator[Found]:
    for folder in sizes.children(paths.runs):
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        parts = tuple(path for pattern in OF_RUN for path in sorted(folder.glob(pattern)))
        if parts:
            record = kept.records.get(folder.name)
            ended = record.ended or record.started if record is not None else 0.0
            age = now - ended if ended else _age(folder, now)
            yield Found(
                "run logs and IR", folder.name, parts, age, "an old run", kept.kept.get(folder.name, "")
            )


def _feedback(served: Path, outcomes_s: float, now: float) -> Iterator[Found]:
    """What servers wrote for A/B tests and watches (serving/ab). One that has such a file open misses it and goes on
    in another."""
    files = sorted((served / FEEDBACK).glob("*.log"))
    began = _under_way(served) if files else None
    for file in files:
        age, stays = _age(file, now), ""
        if began is not None and now - age >= began:
            stays = "an A/B test or a release is under way"
        elif age < outcomes_s:
            stays = "the watch waits for outcomes so long"
        yield Found(
            "feedback", f"{served.name}/{FEEDBACK}/{file.name}", (file,), age, "of users of long ago", stays
        )


def _request_logs(paths: Paths, served: str, outcomes_s: float, now: float) -> Iterator[Found]:
    """Whole files of requests that servers logged (serving/telemetry/request_log.py); nobody has one of them open."""
    from serving.client.log_files import log_files

    for one in log_files(paths.request_logs, served):
        age = now - one.ended
        stays = "the watch waits for outcomes so long" if age < outcomes_s else ""
        name = f"{paths.request_logs.name}/{one.path.name}"
        yield Found("requests", name, (one.path,), age, "of requests of long ago", stays)


def _under_way(served: Path) -> float | None:
    """When the release began that has not ended, Unix seconds; None for none, 0 where that cannot be read."""
    there = list((served / releases.FOLDER).glob("*.json"))
    known = list(releases.journals(served))
    if len(known) < len(there):
        return 0.0
    if not known or not known[-1]["journal"] or known[-1]["journal"][-1].get("state") in ENDED:
        return None
    try:
        return datetime.fromisoformat(known[-1]["journal"][0]["time"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return 0.0


def _checkpoints(node: Path, kept: Runs, now: float) -> Iterator[Found]:
    for folder in sizes.children(node / "checkpoints"):
        name = f"{node.parent.name}/{node.name}/checkpoints/{folder.name}"
        stays = UNDER_WAY if kept.active else ""
        yield Found(
            "checkpoints", name, (folder,), _newest(folder, now), "its training was not taken up", stays
        )


def _executions(node: Path, snapshot: Snapshot, now: float) -> Iterator[Found]:
    """What TFX keeps of each execution while it works."""
    active = {str(e.id) for e in snapshot.executions.values() if e.state in ACTIVE}
    found = [
        folder
        for part in ("executor_execution", "driver_execution", "stateful_working_dir")
        for folder in sizes.children(node / ".system" / part)
        if folder.name not in active
    ]
    if found and not active:
        name = f"{node.parent.name}/{node.name}/.system"
        for folder in found:
            yield Found(
                "execution leavings", name, (folder,), _newest(folder, now), "its execution has ended"
            )


def _orphans(node: Path, snapshot: Snapshot, now: float) -> Iterator[Found]:
    """Outputs of attempts that failed before they were recorded."""
    known = {Path(artifact.uri) for artifact in snapshot.artifacts.values()}
    for folder in node.glob("*/*"):
        number = int(folder.name) if folder.name.isdecimal() else 0
        execution = snapshot.executions.get(number)
        if execution is not None and execution.state in OVER and folder not in known:
            name = f"{node.parent.name}/{folder.relative_to(node.parent)}"
            yield Found("leavings", name, (folder,), _newest(folder, now), "left by an attempt that failed")


def _is_stale(memo: Path) -> bool:
    try:
        return not Path(json.loads(memo.read_text(encoding="ascii"))["folder"]).exists()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _is_left(path: Path, now: float) -> bool:
    """Whether a temporary file is this user's and older than a day; nodes' own folders say whose they are."""
    try:
        if path.lstat().st_uid != os.getuid():
            return False
    except OSError:
        return False
    if path.name.startswith(f".{TEMPORARY}."):
        return whole.is_abandoned(path)
    return _newest(path, now) > TEMPORARY_AGE_S


def _age(path: Path, now: float) -> float:
    try:
        return now - path.lstat().st_mtime
    except OSError:
        return 0.0


def _newest(path: Path, now: float) -> float:
    """The age of what was changed last in a file or folder."""
    inside = sizes.children(path) if path.is_dir() and not path.is_symlink() else []
    return min([_age(path, now), *(_newest(child, now) for child in inside)])
