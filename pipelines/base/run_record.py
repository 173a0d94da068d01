"""The record of one run: HOME/runs/<project>/<run_id>/run.json, replaced as a whole at every change.

What the runner knows and ML Metadata does not: who runs it (so that a dead run can be told from a live one), the
settings, each node's state, time and summary, and a fingerprint of everything the result depends on.
Standard library only; the dashboards read it too.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipelines.base import data_state, whole
from pipelines.base.digest import project_digest
from pipelines.base.paths import Paths, lock, metadata_url, without_password
from pipelines.base.settings import Settings

RECORD = "run.json"
NOT_FINITE = ("inf", "-inf", "nan")


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

    `runner` is "viaduct" for a run of the command line, "airflow" for one of a DAG. `order` counts the project's
    runs from 1 on: it tells the later of two where the clock has gone back. Earlier versions wrote none: 0.
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
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    pushed: str = ""
    model: str = ""
    nodes: dict[str, NodeRecord] = field(default_factory=dict)
    runner: str = "viaduct"
    order: int = 0

    def write(self, folder: Path) -> None:
        """Replaces run.json in `folder`."""
        whole.write(folder / RECORD, json.dumps(self.plain(), indent=1))

    def plain(self) -> dict[str, Any]:
        """All of it as JSON can hold it."""
        return {**asdict(self), "metrics": plain_numbers(self.metrics)}

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
        self.metrics.update({name: float(value) for name, value in summary.get("metrics", {}).items()})
        self.failed_gates = summary.get("failed_gates", self.failed_gates)
        self.verdicts = summary.get("verdicts", self.verdicts)
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
        return self.state == "running" and whole.process_started(self.pid) == self.pid_started != ""


def plain_numbers(metrics: Mapping[str, float]) -> dict[str, float | str]:
    """Metrics for JSON, which has no infinities and no NaN: those as 'inf', '-inf' or 'nan', which float() reads."""
    return {name: value if math.isfinite(value) else str(value) for name, value in metrics.items()}


def new_run_id(project: str) -> str:
    """`<project>-<UTC time>-<4 random hex>`: unique in a metadata store that many projects share."""
    return f"{project}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


def begin(paths: Paths, settings: Settings, fingerprint: str) -> RunRecord:
    """A new record in a new folder under `paths.runs`."""
    run_id = new_run_id(paths.project)
    (paths.runs / run_id).mkdir(parents=True)
    return RunRecord(
        run_id=run_id,
        project=paths.project,
        settings=json.loads(settings.to_json()),
        fingerprint=fingerprint,
        pid=os.getpid(),
        pid_started=whole.process_started(os.getpid()),
        started=time.time(),
        order=next_order(paths),
    )


def next_order(paths: Paths) -> int:
    """The `order` of a run that begins now. Two that begin in the same moment may get the same."""
    return 1 + max((record.order for record in _records(paths)), default=0)


def read_all(paths: Paths) -> Iterator[RunRecord]:
    """Every readable record of the project, the one begun last first; half-written ones are passed over."""
    # Not by name, which runs of different runners choose differently, and by start only between equals.
    yield from sorted(_records(paths), key=lambda record: (record.order, record.started), reverse=True)


def _records(paths: Paths) -> list[RunRecord]:
    return [record for file in paths.runs.glob(f"*/{RECORD}") if (record := read(file)) is not None]


def read(file: Path) -> RunRecord | None:
    """The record in `file`, or None if it is missing or not whole."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        # As they are, but for the texts of what JSON cannot hold.
        values["metrics"] = {
            name: float(value) if value in NOT_FINITE else value
            for name, value in values.get("metrics", {}).items()
        }
        values["nodes"] = {name: NodeRecord(**node) for name, node in values["nodes"].items()}
        return RunRecord(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def fingerprint(paths: Paths, settings: Settings, data: Path) -> str:
    """Everything a run's result depends on: settings, the project's code, schema and lock, the data's files.

    The metadata store counts too, without its password: another one knows nothing of the runs of this one.

    Data files count by name and content (see data_state), which is read once and then remembered under HOME.
    """
    digest = hashlib.sha256(settings.to_json().encode())
    digest.update(without_password(metadata_url(paths.home)).encode())
    digest.update(project_digest(paths.project).encode())
    for file in (paths.schema, lock()):
        digest.update(file.read_bytes() if file.exists() else b"")
    digest.update(data_state.of(data, paths.home / data_state.MEMO).encode())
    return digest.hexdigest()[:16]
