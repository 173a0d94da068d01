"""Reads ML Metadata (SQLite, PostgreSQL, MySQL) in batches: whole lists of ids in one call, never one by one.

The store is in another process (`readers.store`). What it answers within LIMIT_S is remembered, and given again, with
its age in `trouble`, while it does not answer (`readers.patience`). Everything raises Missing, with a text for people,
instead of the store's own errors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dashboards.readers.files import Missing
from dashboards.readers.patience import Busy, Patient
from dashboards.readers.store import Late, StoreProcess
from pipelines.base.lineage import INPUT_EVENTS, OUTPUT_EVENTS
from pipelines.base.paths import sqlite_file

# How long a page waits for one answer of the store, which itself waits over a minute for a lock; and how long after
# that no page tries again.
LIMIT_S = 3.0
PAUSE_S = 10.0
# The input of TFX's Evaluator that is the last blessed model.
BASELINE_KEY = "baseline"
# How long lists are kept where the database has no file whose change could be seen.
KEPT_S = 2.0
T = TypeVar("T")
# States of artifacts whose files nobody should look for.
GONE = ("deleted", "abandoned")


@dataclass(frozen=True)
class Artifact:
    """An artifact as pages show it. `properties` joins both kinds; created in Unix seconds."""

    id: int
    type: str
    uri: str
    state: str
    created: float
    properties: dict[str, Any]

    @property
    def gone(self) -> str:
        """ "deleted" or "abandoned" where its files are no longer meant to be there, else empty."""
        return {"marked_for_deletion": "deleted"}.get(self.state, self.state if self.state in GONE else "")


@dataclass(frozen=True)
class Execution:
    """An execution of a node. `state` is MLMD's name in lower case; times in Unix seconds."""

    id: int
    type: str
    state: str
    created: float
    updated: float
    properties: dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One end of an event: an artifact read or written by an execution under `key`."""

    artifact: int
    execution: int
    output: bool
    key: str

    @property
    def baseline(self) -> bool:
        """Whether the artifact was read only to be compared with: what the execution wrote does not descend from it."""
        return not self.output and self.key.startswith(BASELINE_KEY)


@dataclass
class RunMetadata:
    """All that one `pipeline_run` context holds; `nodes` names each execution's node."""

    executions: list[Execution] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    artifacts: dict[int, Artifact] = field(default_factory=dict)
    nodes: dict[int, str] = field(default_factory=dict)


class Metadata:
    """One store. Thread-safe."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._store = StoreProcess(url)
        self._patient = Patient(Late, PAUSE_S)
        self._kinds: dict[str, dict[int, str]] = {}
        self._kept: dict[Any, tuple[Any, Any]] = {}

    def trouble(self) -> tuple[float, float | None] | None:
        """While the store does not answer: for how many seconds, and how old the oldest answer is that was given."""
        waited = self._patient.waiting()
        return None if waited is None else (waited, self._patient.age())

    def stamp(self) -> Any:
        """Changes when the database may have: the file's size and time, else the clock in steps of KEPT_S."""
        file = sqlite_file(self.url)
        if file is None:
            return int(time.monotonic() / KEPT_S)
        stats = [p.stat() for p in (file, file.with_name(file.name + "-wal")) if p.exists()]
        return tuple((s.st_mtime_ns, s.st_size, s.st_ino) for s in stats)

    def kept(self, key: Any, read: Callable[[], T]) -> T:
        """`read()`, kept until the database changes. For lists that many pages need."""
        stamp = self.stamp()
        known = self._kept.get(key)
        if known is not None and known[0] == stamp:
            held: T = known[1]
            return held
        value = read()
        if len(self._kept) > 64:
            self._kept.clear()
        self._kept[key] = (stamp, value)
        return value

    # ---- what pages ask ---------------------------------------------------------------------------------

    def runs(self) -> list[tuple[str, int, float]]:
        """(name, context id, created) of every run, oldest first."""
        return self.kept("runs", self._read_runs)

    def _read_runs(self) -> list[tuple[str, int, float]]:
        contexts = self._call("get_contexts_by_type", "pipeline_run")
        return [(c.name, c.id, c.create_time_since_epoch / 1000) for c in contexts]

    def run(self, context_id: int) -> RunMetadata:
        """Everything of one run, in three calls and one per execution for its node's name."""
        executions = self._executions(self._call("get_executions_by_context", context_id))
        steps = self.steps(executions=[e.id for e in executions])
        names = {}
        for execution in executions:
            node = self.contexts(execution.id).get("node", "")
            names[execution.id] = node.rpartition(".")[2] or execution.type
        return RunMetadata(executions, steps, self.artifacts({s.artifact for s in steps}), names)

    def context_id(self, kind: str, name: str) -> int | None:
        context = self._call("get_context_by_type_and_name", kind, name)
        return None if context is None else context.id

    def project_artifacts(self, project: str, kind: str) -> list[Artifact]:
        """The project's artifacts of a type, oldest first."""
        return [a for a in self.kept(("artifacts", project), lambda: self._of(project)) if a.type == kind]

    def _of(self, project: str) -> list[Artifact]:
        context = self.context_id("pipeline", project)
        if context is None:
            return []
        protos = self._call("get_artifacts_by_context", context)
        return sorted(self._artifacts(protos), key=lambda a: a.id)

    def artifacts(self, ids: Iterable[int]) -> dict[int, Artifact]:
        wanted = sorted(set(ids))
        protos = self._call("get_artifacts_by_id", wanted) if wanted else []
        return {a.id: a for a in self._artifacts(protos)}

    def executions(self, ids: Iterable[int]) -> dict[int, Execution]:
        wanted = sorted(set(ids))
        protos = self._call("get_executions_by_id", wanted) if wanted else []
        return {e.id: e for e in self._executions(protos)}

    def steps(self, *, artifacts: Iterable[int] = (), executions: Iterable[int] = ()) -> list[Step]:
        """All events of the artifacts or of the executions."""
        of_artifacts, of_executions = sorted(set(artifacts)), sorted(set(executions))
        events = []
        if of_artifacts:
            events += self._call("get_events_by_artifact_ids", of_artifacts)
        if of_executions:
            events += self._call("get_events_by_execution_ids", of_executions)
        known = (*INPUT_EVENTS, *OUTPUT_EVENTS)
        return [
            Step(e.artifact_id, e.execution_id, e.type in OUTPUT_EVENTS, _key(e))
            for e in events
            if e.type in known
        ]

    def contexts(self, execution: int) -> dict[str, str]:
        """Context names of one execution by type."""
        return {c.type: c.name for c in self._call("get_contexts_by_execution", execution)}

    # ---- the store --------------------------------------------------------------------------------------

    def _executions(self, protos: Iterable[Any]) -> list[Execution]:
        from ml_metadata.proto import metadata_store_pb2 as pb

        return [
            Execution(
                e.id,
                self._kind("execution", e).rpartition(".")[2],
                pb.Execution.State.Name(e.last_known_state).lower(),
                e.create_time_since_epoch / 1000,
                e.last_update_time_since_epoch / 1000,
                _properties(e),
            )
            for e in protos
        ]

    def _artifacts(self, protos: Iterable[Any]) -> list[Artifact]:
        from ml_metadata.proto import metadata_store_pb2 as pb

        return [
            Artifact(
                a.id,
                self._kind("artifact", a),
                a.uri,
                pb.Artifact.State.Name(a.state).lower(),
                a.create_time_since_epoch / 1000,
                _properties(a),
            )
            for a in protos
        ]

    def _kind(self, what: str, item: Any) -> str:
        if item.type:
            return str(item.type)
        if item.type_id not in self._kinds.get(what, {}):
            kinds = self._call(f"get_{what}_types")
            self._kinds[what] = {kind.id: kind.name for kind in kinds}
        return self._kinds[what].get(item.type_id, "?")

    def _call(self, method: str, *given: Any) -> Any:
        """What the store's method returns, or returned before where it does not answer. Raises Missing."""
        try:
            return self._patient.get((method, repr(given)), lambda: self._store.call(LIMIT_S, method, *given))
        except Busy as busy:
            raise Missing("ML Metadata does not answer; another process may hold its lock.") from busy


def _key(event: Any) -> str:
    return event.path.steps[0].key if event.path.steps else ""


def _properties(item: Any) -> dict[str, Any]:
    """Both kinds of properties, protos as nested plain values."""
    from google.protobuf import json_format

    properties = {}
    for name, value in (*item.properties.items(), *item.custom_properties.items()):
        kind = value.WhichOneof("value")
        plain = getattr(value, kind) if kind else None
        properties[name] = json_format.MessageToDict(plain) if hasattr(plain, "DESCRIPTOR") else plain
    return properties
