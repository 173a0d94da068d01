"""The record of one run: HOME/runs/<project>/<run_id>/run.json, replaced as a whole at every change.

What the runner knows and ML Metadata does not: who runs it (so that a dead run can be told from a live one), the
settings, each node's state, time and summary, and a fingerprint of everything the result depends on.
Standard library only; the dashboards read it too.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipelines.base.digest import source_digest
from pipelines.base.paths import CHECKOUT, Paths
from pipelines.base.project import Settings


@dataclass
class NodeRecord:
    """State of one node: waiting, running, done, cached, failed, cancelled or skipped; times in Unix seconds."""

    state: str = "waiting"
    started: float = 0.0
    ended: float = 0.0
    summary: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass
class RunRecord:
    """State of one run: running, succeeded, failed or cancelled. `blessed` is None until the gate has spoken.

    `runner` is "viaduct" for a run of the command line, "airflow" for one of a DAG.
    """

    run_id: str
    project: str
    settings: dict[str, Any]
    fingerprint: str
    pid: int
    pid_started: str
    started: float
    ended: float = 0.0
    state: str = "running"
    blessed: bool | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    failed_gates: list[str] = field(default_factory=list)
    pushed: str = ""
    model: str = ""
    nodes: dict[str, NodeRecord] = field(default_factory=dict)
    runner: str = "viaduct"

    def write(self, folder: Path) -> None:
        """Replaces run.json in `folder`."""
        aside = folder / f".run.json.{os.getpid()}.tmp"
        aside.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        os.replace(aside, folder / "run.json")

    def stop(self, state: str, error: str = "") -> None:
        """Ends what had not ended: running nodes get `state`, waiting ones were never begun."""
        now = time.time()
        for node in self.nodes.values():
            if node.state == "running":
                node.state, node.error, node.ended = state, error, now
            elif node.state == "waiting":
                node.state = "skipped"

    def settle(self, name: str, summary: dict[str, Any] | None, error: str = "") -> None:
        """Writes down how node `name` ended: with a summary, or without one because of `error`."""
        node = self.nodes[name]
        node.ended = time.time()
        if summary is None:
            node.state, node.error = "failed", error
            return
        node.state, node.summary, node.error = "cached" if summary["cached"] else "done", summary, ""
        self.metrics.update(summary.get("metrics", {}))
        self.failed_gates = summary.get("failed_gates", self.failed_gates)
        if "blessed" in summary:
            self.blessed = summary["blessed"]
        if summary.get("pushed"):
            self.pushed = summary["pushed"]
        if name == "Trainer":
            self.model = next((o["uri"] for o in summary["outputs"] if o["type"] == "Model"), "")

    def alive(self) -> bool:
        """Whether who runs it is still there: a process (its start time tells it from a reused number), or Airflow.

        Airflow looks after its own dead runs and writes their end here.
        """
        if self.runner != "viaduct":
            return self.state == "running"
        return self.state == "running" and process_started(self.pid) == self.pid_started != ""


def new_run_id(project: str) -> str:
    """`<project>-<UTC time>-<4 random hex>`: unique in a metadata store that many projects share."""
    return f"{project}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


def begin(paths: Paths, settings: Settings, fingerprint: str) -> RunRecord:
    """A new record in a new folder under `paths.runs`."""
    run_id = new_run_id(paths.project)
    (paths.runs / run_id / "logs").mkdir(parents=True)
    return RunRecord(
        run_id=run_id,
        project=paths.project,
        settings=json.loads(settings.to_json()),
        fingerprint=fingerprint,
        pid=os.getpid(),
        pid_started=process_started(os.getpid()),
        started=time.time(),
    )


def process_started(pid: int) -> str:
    """The kernel's start time of process `pid` as text, '' if there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def read_all(paths: Paths) -> Iterator[RunRecord]:
    """Every readable record of the project, newest first; half-written ones are passed over."""
    # Sorted by start, not by name: runs of different runners name themselves differently.
    records = [record for file in paths.runs.glob("*/run.json") if (record := read(file)) is not None]
    yield from sorted(records, key=lambda record: record.started, reverse=True)


def read(file: Path) -> RunRecord | None:
    """The record in `file`, or None if it is missing or not whole."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        values["nodes"] = {name: NodeRecord(**node) for name, node in values["nodes"].items()}
        return RunRecord(**values)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def fingerprint(paths: Paths, settings: Settings, data: Path) -> str:
    """Everything a run's result depends on: settings, the project's code, schema and lock, the data's files.

    Data files count by name, size and modification time: reading 150 MB to find nothing changed would take
    longer than most of what it saves.
    """
    digest = hashlib.sha256(settings.to_json().encode())
    for module in ("pipeline", "features", "model", "report", "evaluate", "project"):
        if (paths.source / f"{module}.py").exists():
            digest.update(source_digest(f"pipelines.{paths.project}.{module}").encode())
    for file in (paths.schema, CHECKOUT / "requirements.lock"):
        digest.update(file.read_bytes() if file.exists() else b"")
    files = [data] if data.is_file() else sorted(path for path in data.rglob("*") if path.is_file())
    for file in files:
        state = file.stat()
        digest.update(f"{file}|{state.st_size}|{state.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
