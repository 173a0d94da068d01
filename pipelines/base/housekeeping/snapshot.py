"""What ML Metadata knows of one project, read at one moment as plain values: the graph that roots are marked over.

Reads only. Artifacts of other pipelines are not in it, but who else reads one of ours is.
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.lineage import INPUT_EVENTS, OUTPUT_EVENTS
from pipelines.base.summary import custom_property, span_of

if TYPE_CHECKING:
    from ml_metadata import MetadataStore

OUTPUT = 4  # of metadata_store.proto: what an execution made itself, or took from the cache
ACTIVE = ("NEW", "RUNNING")
# SQL's IN lists have a limit.
AT_ONCE = 500


@dataclass(frozen=True)
class Artifact:
    """One artifact; `state` as ML Metadata calls it, times in Unix seconds, `served` what a Trainer was told."""

    id: int
    type: str
    uri: str
    state: str
    made: float
    properties: dict[str, Any] = field(hash=False)


@dataclass(frozen=True)
class Execution:
    """One execution, its run and node ('' where ML Metadata does not say), and artifacts by (key, id)."""

    id: int
    state: str
    run: str
    node: str
    config: dict[str, Any] = field(hash=False)
    inputs: tuple[tuple[str, int], ...] = ()
    outputs: tuple[tuple[str, int], ...] = ()
    resolved: tuple[tuple[str, int], ...] = ()  # what a Resolver handed on


@dataclass(frozen=True)
class Snapshot:
    """A project's graph. `runs` are run ids, the one whose first node came last first; `foreign` are artifacts that
    executions of other pipelines have to do with."""

    artifacts: dict[int, Artifact]
    executions: dict[int, Execution]
    runs: tuple[str, ...]
    foreign: frozenset[int]

    @functools.cached_property
    def _producers(self) -> dict[int, Execution]:
        made: dict[int, Execution] = {}
        for execution in sorted(self.executions.values(), key=lambda e: (e.state == "CACHED", e.id)):
            for _, artifact in execution.outputs:
                made.setdefault(artifact, execution)
        return made

    @functools.cached_property
    def _readers(self) -> dict[int, list[Execution]]:
        read: dict[int, list[Execution]] = defaultdict(list)
        for execution in sorted(self.executions.values(), key=lambda e: e.id):
            for artifact in dict.fromkeys(a for _, a in execution.inputs):
                read[artifact].append(execution)
        return read

    def producer(self, artifact: int) -> Execution | None:
        """Who computed it: the first execution that output it."""
        return self._producers.get(artifact)

    def readers(self, artifact: int) -> list[Execution]:
        """Executions that read it, under whatever key, oldest first."""
        return self._readers.get(artifact, [])


EMPTY = Snapshot({}, {}, (), frozenset())


def read(store: MetadataStore, project: str) -> Snapshot:
    """The project's graph as it is now; an empty one for a project that the store does not know."""
    context = store.get_context_by_type_and_name("pipeline", project)
    if context is None:
        return EMPTY
    artifacts = _artifacts(store, context.id)
    found = _listed(store.get_executions, context.id)
    runs, nodes = _names(store, found, project)
    events: dict[int, dict[str, list[tuple[str, int]]]] = defaultdict(lambda: defaultdict(list))
    for event in _events(store, [execution.id for execution in found]):
        key = event.path.steps[0].key if event.path.steps else ""
        kind = "inputs" if event.type in INPUT_EVENTS else "outputs" if event.type == OUTPUT else "resolved"
        if event.type in (*INPUT_EVENTS, *OUTPUT_EVENTS):
            events[event.execution_id][kind].append((key, event.artifact_id))
    executions = {
        e.id: Execution(
            e.id,
            type(e).State.Name(e.last_known_state),
            runs.get(e.id, ""),
            nodes.get(e.id, ""),
            _config(e),
            **{kind: tuple(found) for kind, found in events[e.id].items()},
        )
        for e in found
    }
    foreign = _foreign(store, artifacts, executions)
    return Snapshot(artifacts, executions, _in_order(executions.values()), foreign)


def _artifacts(store: MetadataStore, context: int) -> dict[int, Artifact]:
    kinds = {kind.id: kind.name for kind in store.get_artifact_types()}
    return {
        a.id: Artifact(
            a.id,
            a.type or kinds.get(a.type_id, "?"),
            a.uri,
            type(a).State.Name(a.state),
            (a.create_time_since_epoch or 0) / 1000,
            {**{name: custom_property(a, name) for name in a.custom_properties}, "span": span_of(a)},
        )
        for a in _listed(store.get_artifacts, context)
    }


def _listed(get: Any, context: int) -> list[Any]:
    """By id: see listings.py."""
    from ml_metadata import ListOptions, OrderByField

    query = f"contexts_0.id = {context}"
    return list(get(list_options=ListOptions(order_by=OrderByField.ID, is_asc=True, filter_query=query)))


def _names(store: MetadataStore, found: list[Any], project: str) -> tuple[dict[int, str], dict[int, str]]:
    """{execution: run id}, {execution: node} of the executions `found`."""
    ours = {execution.id for execution in found}
    runs: dict[int, str] = {}
    nodes: dict[int, str] = {}
    for kind, names, prefix in (("pipeline_run", runs, project), ("node", nodes, f"{project}.")):
        for context in store.get_contexts_by_type(kind):
            if context.name.startswith(prefix):
                for execution in store.get_executions_by_context(context.id):
                    if execution.id in ours:
                        names[execution.id] = context.name.removeprefix(
                            "" if kind == "pipeline_run" else prefix
                        )
    return runs, nodes


def _events(store: MetadataStore, executions: list[int]) -> Iterable[Any]:
    for start in range(0, len(executions), AT_ONCE):
        yield from store.get_events_by_execution_ids(executions[start : start + AT_ONCE])


def _foreign(
    store: MetadataStore, artifacts: dict[int, Artifact], executions: dict[int, Execution]
) -> frozenset[int]:
    found: set[int] = set()
    ids = list(artifacts)
    for start in range(0, len(ids), AT_ONCE):
        for event in store.get_events_by_artifact_ids(ids[start : start + AT_ONCE]):
            if event.execution_id not in executions and event.type in INPUT_EVENTS:
                found.add(event.artifact_id)
    return frozenset(found)


def _config(execution: Any) -> dict[str, Any]:
    try:
        read = json.loads(custom_property(execution, "custom_config") or "{}")
    except (ValueError, TypeError):
        return {}
    return {
        **(read if isinstance(read, dict) else {}),
        "input_base": custom_property(execution, "input_base"),
    }


def _in_order(executions: Iterable[Execution]) -> tuple[str, ...]:
    first: dict[str, int] = {}
    for execution in executions:
        if execution.run:
            first[execution.run] = min(execution.id, first.get(execution.run, execution.id))
    return tuple(sorted(first, key=lambda run: first[run], reverse=True))


def folder(artifact: Artifact) -> Path:
    """Where the artifact's files are."""
    return Path(artifact.uri.removeprefix("file://"))
