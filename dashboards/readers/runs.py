"""The runs: records under HOME/runs, and runs that only ML Metadata knows (of other runners).

A list reads each run.json once and then only looks at its time; a run's page reads its record anew. A folder
without a readable record is listed as incomplete. A run of MLMD alone is turned into the same kind of record, so
that no page needs to know where it came from.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashboards.readers.files import Cache, Files, Missing
from dashboards.readers.metadata import Metadata, RunMetadata
from pipelines.base import registry, run_record
from pipelines.base.run_record import NodeRecord, RunRecord
from pipelines.base.whole import process_started

MLMD_STATES = {
    "complete": "done",
    "cached": "cached",
    "failed": "failed",
    "running": "running",
    "new": "waiting",
}
INCOMPLETE = "incomplete"


@dataclass(frozen=True)
class RunRow:
    """A run in one line. `state` is that of RunRecord, 'dead' (its process is gone) or 'incomplete'."""

    run_id: str
    project: str
    state: str
    started: float = 0.0
    ended: float = 0.0
    blessed: bool | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    pushed: str = ""
    variant: str = ""
    profile: str = ""
    span: int | None = None
    rows: int = 0
    examples: int | None = None
    runner: str = ""
    error: str = ""
    pid: int = 0
    pid_started: str = ""
    model: str = ""
    failed_node: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    order: int = 0
    data: str = ""
    searched: bool = False

    @property
    def turn(self) -> tuple[int, float]:
        """Sorts runs by when they began, also where the clock went back; what has no record's number is older."""
        return self.order, self.started


def whole(record: RunRecord | None) -> RunRecord | None:
    """The record if what it holds is of the kind that pages expect; JSON may hold anything."""
    if record is None:
        return None
    texts = (record.run_id, record.project, record.state, record.pushed, record.model, record.runner)
    numbers = (
        (record.started, record.ended, *record.metrics.values())
        if isinstance(record.metrics, dict)
        else ("",)
    )
    nodes = record.nodes.values()
    fits = (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(number, int | float) for number in numbers)
        and isinstance(record.settings, dict)
        and isinstance(record.settings.get("parameters", {}), dict)
        and all(
            isinstance(n.state, str) and isinstance(n.error, str) and isinstance(n.summary, dict)
            for n in nodes
        )
        and all(isinstance(t, int | float) for n in nodes for t in (n.started, n.ended))
    )
    return record if fits else None


def buried(record: RunRecord) -> RunRecord:
    """`record`, whose process is gone, as it was left: what ran then is dead, what waited was never begun.

    It ended no earlier than the last thing that is known of it.
    """
    record.state = "dead"
    known = [t for node in record.nodes.values() for t in (node.started, node.ended)]
    record.ended = record.ended or max([record.started, *known])
    for node in record.nodes.values():
        if node.state == "running":
            node.state, node.ended = "dead", node.ended or record.ended
        elif node.state == "waiting":
            node.state = "skipped"
    return record


def row_of(record: RunRecord) -> RunRow:
    """The line of a record."""
    rows, span, examples = 0, None, None
    for node in record.nodes.values():
        if node.summary.get("rows"):
            rows, span = sum(node.summary["rows"].values()), node.summary.get("span")
            outputs = [o["id"] for o in node.summary.get("outputs", []) if o.get("type") == "Examples"]
            examples = outputs[0] if outputs else None
            break
    failed, error = next(
        ((name, n.error) for name, n in record.nodes.items() if n.state == "failed"), ("", "")
    )
    return RunRow(
        record.run_id,
        record.project,
        record.state,
        record.started,
        record.ended,
        record.blessed,
        record.metrics,
        record.pushed,
        str(record.settings.get("variant") or ""),
        str(record.settings.get("profile") or ""),
        span,
        rows,
        examples,
        record.runner,
        error,
        record.pid,
        record.pid_started,
        record.model,
        failed,
        record.settings.get("parameters", {}),
        record.order,
        str(record.settings.get("data") or ""),
        record.nodes["Tuner"].state in ("done", "cached") if "Tuner" in record.nodes else False,
    )


class Runs:
    """All runs under one HOME."""

    def __init__(self, files: Files, metadata: Metadata) -> None:
        self.files, self.metadata = files, metadata
        self.folder = files.home / "runs"
        self._rows: dict[str, tuple[Any, RunRow]] = {}
        self._of_metadata = Cache(512)
        self._owners: dict[str, str] = {}

    def rows(self, project: str | None = None) -> list[RunRow]:
        """Newest first; those of one project, or all."""
        by_name = {}
        for folder in _folders(self.folder):
            if project in (None, folder.name):
                for run in _folders(Path(folder.path)):
                    by_name[run.name] = self._row(folder.name, run)
        self._forget(by_name, project)
        rows = [self._alive(row) for row in by_name.values()]
        rows += self._only_metadata(set(by_name), project)
        return sorted(rows, key=lambda row: (row.turn, row.run_id), reverse=True)

    def find(self, run_id: str) -> RunRow:
        """The run's line. Raises Missing."""
        project = self._owner(run_id)
        row = next((row for row in self.rows(project) if row.run_id == run_id), None)
        if row is None:
            raise Missing(f"There is no run called {run_id!r}.")
        return row

    def record(self, run_id: str) -> RunRecord:
        """The whole record, from its file or made of ML Metadata. Raises Missing."""
        row = self.find(run_id)
        record = whole(run_record.read(self.folder / row.project / run_id / run_record.RECORD))
        if record is not None:
            return buried(record) if record.state == "running" and not record.alive() else record
        for name, context, _ in self.metadata.runs():
            if name == run_id:
                return record_of(run_id, row.project, self.metadata.run(context))
        raise Missing(f"The record of run {run_id!r} is not whole: its run.json cannot be read.")

    def detailed(self, row: RunRow) -> RunRow:
        """The row with state and verdict where only ML Metadata knows the run; lists leave that out for speed."""
        if row.state != "recorded":
            return row
        try:
            context = next((context for name, context, _ in self.metadata.runs() if name == row.run_id), None)
            key = (row.run_id, self.metadata.stamp())
            return (
                row
                if context is None
                else self._of_metadata.get(
                    key, lambda: row_of(record_of(row.run_id, row.project, self.metadata.run(context)))
                )
            )
        except Missing:
            return row

    def run_folder(self, record: RunRecord) -> Path:
        """HOME/runs/<project>/<run>; it may not exist for a run of another runner."""
        return self.folder / record.project / record.run_id

    def _owner(self, run_id: str) -> str | None:
        """The project whose folder holds the run; None where only metadata may know it."""
        if not run_id or "/" in run_id or "\0" in run_id or run_id.startswith("."):
            return None
        return next(
            (f.name for f in _folders(self.folder) if os.path.isdir(os.path.join(f.path, run_id))), None
        )

    def _row(self, project: str, run: os.DirEntry[str]) -> RunRow:
        file = f"{run.path}/{run_record.RECORD}"
        try:
            state = os.stat(file)
            stamp: Any = (state.st_mtime_ns, state.st_size)
        except OSError:
            stamp = None
        kept = self._rows.get(run.path)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        record = whole(run_record.read(Path(file))) if stamp else None
        if record is None or record.project != project or record.run_id != run.name:
            started = run.stat().st_mtime
            row = RunRow(
                run.name, project, INCOMPLETE, started=started, error="its run.json is missing or not whole"
            )
        else:
            row = row_of(record)
        self._rows[run.path] = (stamp, row)
        return row

    def _forget(self, by_name: dict[str, RunRow], project: str | None) -> None:
        if project is None and len(self._rows) > len(by_name):
            keep = {str(self.folder / row.project / name) for name, row in by_name.items()}
            self._rows = {path: value for path, value in self._rows.items() if path in keep}

    @staticmethod
    def _alive(row: RunRow) -> RunRow:
        if row.state != "running" or row.runner != "viaduct":
            return row
        if process_started(row.pid) == row.pid_started != "":
            return row
        return RunRow(
            **{**row.__dict__, "state": "dead", "error": "the process that ran it ended without saying so"}
        )

    def _only_metadata(self, known: set[str], project: str | None) -> list[RunRow]:
        try:
            contexts = self.metadata.runs()
        except Missing:
            return []
        rows = []
        for name, _, created in contexts:
            if name in known or project not in (None, self._owner_by_name(name)):
                continue
            if project is None or self._owner(name) is None:
                rows.append(
                    RunRow(name, self._owner_by_name(name), "recorded", started=created, runner="metadata")
                )
        return rows

    def _owner_by_name(self, run_id: str) -> str:
        """The project whose name the run id begins with, 'other' if there is none."""
        if run_id not in self._owners:
            names = [*registry.names(), *(folder.name for folder in _folders(self.folder))]
            self._owners[run_id] = max(
                (name for name in names if run_id.startswith(name)), key=len, default="other"
            )
        return self._owners[run_id]


def record_of(run_id: str, project: str, run_metadata: RunMetadata) -> RunRecord:
    """A run that only ML Metadata knows, as a record. Settings are what the Trainer was given."""
    nodes: dict[str, NodeRecord] = {}
    for execution in run_metadata.executions:
        outputs = [
            {"key": s.key, "type": a.type, "id": a.id, "uri": a.uri}
            for s in run_metadata.steps
            if s.output
            and s.execution == execution.id
            and (a := run_metadata.artifacts.get(s.artifact)) is not None
        ]
        state = MLMD_STATES.get(execution.state, execution.state)
        error = str(execution.properties.get("viaduct_failure") or "")
        nodes[run_metadata.nodes[execution.id]] = NodeRecord(
            state,
            execution.created,
            execution.updated,
            {"execution": execution.id, "outputs": outputs},
            error,
        )
    states = {node.state for node in nodes.values()}
    trainer = next((e for e in run_metadata.executions if e.type == "Trainer"), None)
    blessings = [a for a in run_metadata.artifacts.values() if a.type == "ModelBlessing"]
    return RunRecord(
        run_id=run_id,
        project=project,
        settings={
            "variant": "",
            "profile": "",
            "parameters": parameters_of(trainer.properties) if trainer else {},
        },
        fingerprint="",
        pid=0,
        pid_started="",
        started=min((node.started for node in nodes.values()), default=0.0),
        ended=max((node.ended for node in nodes.values()), default=0.0),
        state="failed"
        if "failed" in states
        else "running"
        if states & {"running", "waiting"}
        else "succeeded",
        blessed=bool(blessings[-1].properties.get("blessed")) if blessings else None,
        pushed=next(
            (
                str(a.properties.get("pushed_destination", ""))
                for a in run_metadata.artifacts.values()
                if a.type == "PushedModel" and a.properties.get("pushed")
            ),
            "",
        ),
        nodes=nodes,
        runner="metadata",
    )


def parameters_of(properties: dict[str, Any]) -> dict[str, Any]:
    """The hyper-parameters in a Trainer's custom_config, {} if there are none."""
    try:
        return dict(json.loads(properties.get("custom_config") or "{}").get("parameters") or {})
    except (ValueError, TypeError, AttributeError):
        return {}


def _folders(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return [e for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
