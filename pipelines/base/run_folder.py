"""A run's folder, HOME/runs/<project>/<run id>/: what lies where in it, and changing its record under a lock.

The names of all its files but the record's are made here. A local run has one writer; under Airflow each node is a
process of its own, so the record is read, changed and replaced under `flock`. `viaduct runs` and the dashboards read
both. Standard library only; Airflow is not known here.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pipelines.base import run_record
from pipelines.base.paths import CHECKOUT, Paths
from pipelines.base.run_record import NodeRecord, RunRecord
from pipelines.base.settings import Settings

CODE_ROOMS = ("pipelines/base", "components")
STANDARD_RUN_ID = re.compile(r"[a-z_]+__\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")


WAIT_POLL_S = 0.2


def ir_file(folder: Path) -> Path:
    """The compiled pipeline of the run."""
    return folder / "ir.json"


def log_file(folder: Path, name: str) -> Path:
    """What node or job `name` printed."""
    return folder / "logs" / f"{name}.log"


def progress_file(folder: Path, name: str) -> Path:
    """How far `name` is (see components/progress.py)."""
    return folder / f"{name}.progress.json"


def result_file(folder: Path, name: str) -> Path:
    """What the call of `name` returned or raised."""
    return folder / f"{name}.result.json"


def lock_file(folder: Path, node: str) -> Path:
    """Held by the process that runs `node` (see executions.py)."""
    return folder / f"{node}.lock"


@contextlib.contextmanager
def alone(paths: Paths, fingerprint: str, waiting: Callable[[], None]) -> Iterator[None]:
    """One run of the project with this fingerprint at a time; `waiting()` is called once if another has the turn.

    The kernel gives the turn back when its holder ends, however it ends.
    """
    paths.runs.mkdir(parents=True, exist_ok=True)
    told = False
    with (paths.runs / f".{fingerprint}.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    waiting()
                    told = True
                time.sleep(WAIT_POLL_S)
        yield


def run_id_for(project: str, airflow_run_id: str) -> str:
    """`<project>-<run id>` in letters that any file system takes, unique in a metadata store of many DAGs.

    Airflow's own run ids lose their colons and `+00:00`; one that a person made up keeps what it can and gets
    four hex digits of its digest wherever something was lost, so that two never become one.
    """
    if STANDARD_RUN_ID.fullmatch(airflow_run_id):
        return f"{project}-{airflow_run_id.removesuffix('+00:00').replace(':', '')}"
    kept = re.sub(r"[^A-Za-z0-9_.-]+", "-", airflow_run_id)[:120]
    lost = "" if kept == airflow_run_id else "-" + hashlib.sha256(airflow_run_id.encode()).hexdigest()[:4]
    return f"{project}-{kept}{lost}"


class RunFolder:
    """One run's folder. Safe to use from many processes at once; holds nothing open between calls."""

    def __init__(self, paths: Paths, run_id: str) -> None:
        self.paths, self.run_id = paths, run_id
        self.path = paths.runs / run_id
        self.ir = ir_file(self.path)

    def make(self) -> None:
        """The folder itself and that of its logs."""
        log_file(self.path, "any").parent.mkdir(parents=True, exist_ok=True)

    def log(self, name: str) -> Path:
        return log_file(self.path, name)

    @contextlib.contextmanager
    def locked(self, name: str = "record") -> Iterator[None]:
        """Holds the folder's lock called `name`."""
        self.make()
        with (self.path / f".{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def read(self) -> RunRecord | None:
        return run_record.read(self.path / run_record.RECORD)

    def change(self, edit: Callable[[RunRecord], None]) -> None:
        """Applies `edit` to the record, if there is one, and replaces the file."""
        if self.read() is None:  # a run that was skipped has no folder, and gets none by its end
            return
        with self.locked():
            record = self.read()
            if record is not None:
                edit(record)
                record.write(self.path)

    def prepare(
        self, settings: Settings, nodes: Iterable[str], compile_run: Callable[[Path], dict[str, Any]]
    ) -> None:
        """Makes record and IR once per run, whichever task comes first; again only after the code has changed.

        `compile_run(target)` writes the IR and returns {'settings': values with the data that was found}.
        """
        with self.locked("prepare"):
            self._begin(settings, nodes)
            mark = self.path / ".code"
            code = code_mark(self.paths)
            if self.ir.exists() and mark.exists() and mark.read_text() == code:
                return
            resolved_settings = Settings.from_json(json.dumps(compile_run(self.ir)["settings"]))
            fingerprint = run_record.fingerprint(self.paths, resolved_settings, Path(resolved_settings.data))
            self.change(lambda record: _fill_in(record, resolved_settings, fingerprint))
            mark.write_text(code)

    def _begin(self, settings: Settings, nodes: Iterable[str]) -> None:
        with self.locked():
            if self.read() is None:
                RunRecord(
                    run_id=self.run_id,
                    project=self.paths.project,
                    settings=json.loads(settings.to_json()),
                    fingerprint="",
                    pid=0,
                    pid_started="",
                    started=time.time(),
                    nodes={name: NodeRecord() for name in nodes},
                    runner="airflow",
                    order=run_record.next_order(self.paths),
                ).write(self.path)

    def node_started(self, name: str) -> None:
        def edit(record: RunRecord) -> None:
            record.nodes[name] = NodeRecord("running", started=time.time())
            record.state, record.ended = "running", 0.0

        self.change(edit)

    def node_done(self, name: str, summary: dict[str, Any]) -> None:
        def edit(record: RunRecord) -> None:
            record.settle(name, summary)
            if all(node.state in ("done", "cached") for node in record.nodes.values()):
                record.state, record.ended = "succeeded", time.time()

        self.change(edit)

    def node_failed(self, name: str, error: str, *, again: bool) -> None:
        """`again`: the scheduler will try once more, so the run goes on, unless somebody has ended it meanwhile."""

        def edit(record: RunRecord) -> None:
            record.settle(name, None, error)
            if again and record.state == "running":
                record.nodes[name].state = "waiting"

        self.change(edit)

    def ended(self, state: str) -> None:
        """The run as a whole is over; what still waited never ran."""

        def edit(record: RunRecord) -> None:
            if (
                record.state != state
            ):  # Airflow says it again for a run that a backfill or a person looks at anew
                record.state, record.ended = state, time.time()
            record.stop("failed")

        self.change(edit)


def _fill_in(record: RunRecord, settings: Settings, fingerprint: str) -> None:
    record.settings, record.fingerprint = json.loads(settings.to_json()), fingerprint


def code_mark(paths: Paths) -> str:
    """Changes when a file that compilation depends on does: names, sizes and times of the rooms' files."""
    digest = hashlib.sha256()
    folders = [paths.source, *(CHECKOUT / room for room in CODE_ROOMS)]
    for file in sorted(
        file for folder in folders for file in folder.rglob("*") if file.suffix in (".py", ".pbtxt")
    ):
        state = file.stat()
        digest.update(f"{file}|{state.st_size}|{state.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
