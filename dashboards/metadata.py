"""Reads ML Metadata (SQLite, PostgreSQL, MySQL) in batches: whole lists of ids in one call, never one by one.

Opens SQLite read-only and never creates a database. One lock guards the connection, which is not made for
several threads. Everything raises Missing, with a text for people, instead of the store's own errors.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashboards.files import Missing
from pipelines.base.lineage import INPUT_EVENTS, OUTPUT_EVENTS

ATTEMPTS = 4
# How long lists are kept where the database has no file whose change could be seen.
KEPT_S = 2.0


@dataclass(frozen=True)
class Artifact:
    """An artifact as pages show it. `properties` joins both kinds; created in Unix seconds."""

    id: int
    type: str
    uri: str
    state: str
    created: float
    properties: dict[str, Any]


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
        self._lock = threading.RLock()
        self._store: Any = None
        self._kinds: dict[str, dict[int, str]] = {}
        self._kept: dict[Any, tuple[Any, Any]] = {}

    def stamp(self) -> Any:
        """Changes when the database may have: the file's size and time, else the clock in steps of KEPT_S."""
        if not self.url.startswith("sqlite:"):
            return int(time.monotonic() / KEPT_S)
        file = Path(self.url.partition("://")[2])
        stats = [p.stat() for p in (file, file.with_name(file.name + "-wal")) if p.exists()]
        return tuple((s.st_mtime_ns, s.st_size, s.st_ino) for s in stats)

    def kept(self, key: Any, read: Callable[[], Any]) -> Any:
        """`read()`, kept until the database changes. For lists that many pages need."""
        stamp = self.stamp()
        found = self._kept.get(key)
        if found is not None and found[0] == stamp:
            return found[1]
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
        contexts = self._call(lambda s: s.get_contexts_by_type("pipeline_run"))
        return [(c.name, c.id, c.create_time_since_epoch / 1000) for c in contexts]

    def run(self, context_id: int) -> RunMetadata:
        """Everything of one run, in three calls and one per execution for its node's name."""
        executions = self._executions(self._call(lambda s: s.get_executions_by_context(context_id)))
        steps = self.steps(executions=[e.id for e in executions])
        names = {}
        for execution in executions:
            node = self.contexts(execution.id).get("node", "")
            names[execution.id] = node.rpartition(".")[2] or execution.type
        return RunMetadata(executions, steps, self.artifacts({s.artifact for s in steps}), names)

    def context_id(self, kind: str, name: str) -> int | None:
        context = self._call(lambda s: s.get_context_by_type_and_name(kind, name))
        return None if context is None else context.id

    def project_artifacts(self, project: str, kind: str) -> list[Artifact]:
        """The project's artifacts of a type, oldest first."""
        return [a for a in self.kept(("artifacts", project), lambda: self._of(project)) if a.type == kind]

    def _of(self, project: str) -> list[Artifact]:
        context = self.context_id("pipeline", project)
        if context is None:
            return []
        return sorted(
            self._artifacts(self._call(lambda s: s.get_artifacts_by_context(context))), key=lambda a: a.id
        )

    def artifacts(self, ids: Iterable[int]) -> dict[int, Artifact]:
        wanted = sorted(set(ids))
        found = self._call(lambda s: s.get_artifacts_by_id(wanted)) if wanted else []
        return {a.id: a for a in self._artifacts(found)}

    def executions(self, ids: Iterable[int]) -> dict[int, Execution]:
        wanted = sorted(set(ids))
        found = self._call(lambda s: s.get_executions_by_id(wanted)) if wanted else []
        return {e.id: e for e in self._executions(found)}

    def steps(self, *, artifacts: Iterable[int] = (), executions: Iterable[int] = ()) -> list[Step]:
        """All events of the artifacts or of the executions."""
        of_artifacts, of_executions = sorted(set(artifacts)), sorted(set(executions))
        events = []
        if of_artifacts:
            events += self._call(lambda s: s.get_events_by_artifact_ids(of_artifacts))
        if of_executions:
            events += self._call(lambda s: s.get_events_by_execution_ids(of_executions))
        known = (*INPUT_EVENTS, *OUTPUT_EVENTS)
        return [
            Step(e.artifact_id, e.execution_id, e.type in OUTPUT_EVENTS, _key(e))
            for e in events
            if e.type in known
        ]

    def contexts(self, execution: int) -> dict[str, str]:
        """Context names of one execution by type."""
        return {c.type: c.name for c in self._call(lambda s: s.get_contexts_by_execution(execution))}

    # ---- the store --------------------------------------------------------------------------------------

    def _executions(self, found: Iterable[Any]) -> list[Execution]:
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
            for e in found
        ]

    def _artifacts(self, found: Iterable[Any]) -> list[Artifact]:
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
            for a in found
        ]

    def _kind(self, what: str, item: Any) -> str:
        if item.type:
            return item.type
        if item.type_id not in self._kinds.get(what, {}):
            kinds = self._call(
                lambda s: s.get_artifact_types() if what == "artifact" else s.get_execution_types()
            )
            self._kinds[what] = {kind.id: kind.name for kind in kinds}
        return self._kinds[what].get(item.type_id, "?")

    def _call(self, ask: Callable[[Any], Any]) -> Any:
        """Asks the store; waits a little where a writer holds the database, opens it again where it was lost."""
        from ml_metadata import errors

        from pipelines.base.project import ProjectError

        for attempt in range(ATTEMPTS):
            try:
                with self._lock:
                    return ask(self._opened())
            except (errors.StatusError, RuntimeError, ProjectError) as error:
                with self._lock:
                    self._store = None
                if attempt == ATTEMPTS - 1:
                    raise Missing(
                        f"ML Metadata cannot be read: {type(error).__name__}: {error}"[:500]
                    ) from error
                time.sleep(0.05 * 2**attempt)
        raise AssertionError("unreachable")

    def _opened(self) -> Any:
        if self._store is None:
            from ml_metadata import MetadataStore
            from ml_metadata.proto import metadata_store_pb2

            from pipelines.base.metadata import connection_config

            config = connection_config(self.url)
            if config.HasField("sqlite"):
                if not Path(config.sqlite.filename_uri).exists():
                    raise Missing("There is no ML Metadata database yet; the first run makes it.")
                config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
            self._store = MetadataStore(config)
        return self._store


def _key(event: Any) -> str:
    return event.path.steps[0].key if event.path.steps else ""


def _properties(item: Any) -> dict[str, Any]:
    """Both kinds of properties, protos as nested plain values."""
    from google.protobuf import json_format

    found = {}
    for name, value in (*item.properties.items(), *item.custom_properties.items()):
        kind = value.WhichOneof("value")
        plain = getattr(value, kind) if kind else None
        found[name] = json_format.MessageToDict(plain) if hasattr(plain, "DESCRIPTOR") else plain
    return found
