"""From a model version back to its data: what ML Metadata knows, as one plain structure, a tree and JSON.

Reads the metadata store only (SQLite, PostgreSQL, MySQL); TFX is not imported. Metrics come from the run records,
because reading TFMA's files would import TensorFlow.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipelines.base import releases, run_record
from pipelines.base.errors import ProjectError, close_match
from pipelines.base.metadata import store
from pipelines.base.paths import Paths, metadata_url
from pipelines.base.summary import custom_property, span_of, tuned_in_words
from pipelines.base.watching import record as watches

OUTPUT_EVENTS = (4, 6, 7)  # OUTPUT, INTERNAL_OUTPUT, DECLARED_OUTPUT of metadata_store.proto
INPUT_EVENTS = (3, 5, 2)  # INPUT, INTERNAL_INPUT, DECLARED_INPUT


class Graph:
    """Artifacts and executions around a model, read once and kept. Not for several threads."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.store = store(metadata_url(paths.home))
        self._types = {kind.id: kind.name for kind in self.store.get_artifact_types()}
        self._execution_types = {kind.id: kind.name for kind in self.store.get_execution_types()}

    def artifact_type(self, artifact: Any) -> str:
        return artifact.type or self._types.get(artifact.type_id, "?")

    def node_type(self, execution: Any) -> str:
        name = execution.type or self._execution_types.get(execution.type_id, "?")
        return name.rpartition(".")[2]

    def context(self, execution: Any, kind: str) -> str:
        """The name of the execution's context of type `kind` ('pipeline_run', 'node', 'pipeline'), '' if none."""
        names = [c.name for c in self.store.get_contexts_by_execution(execution.id) if c.type == kind]
        return names[0] if names else ""

    def producer(self, artifact: Any) -> Any:
        """The execution that computed the artifact (not one that took it from the cache), None if unknown."""
        events = [e for e in self.store.get_events_by_artifact_ids([artifact.id]) if e.type in OUTPUT_EVENTS]
        executions = self.store.get_executions_by_id([e.execution_id for e in events]) if events else []
        return min(executions, key=lambda e: (e.last_known_state == e.CACHED, e.id), default=None)

    def inputs(self, execution: Any) -> list[tuple[str, Any]]:
        """(key, artifact) of everything the execution read."""
        events = [e for e in self.store.get_events_by_execution_ids([execution.id]) if e.type in INPUT_EVENTS]
        artifacts = (
            {a.id: a for a in self.store.get_artifacts_by_id([e.artifact_id for e in events])}
            if events
            else {}
        )
        return [
            (event.path.steps[0].key if event.path.steps else "", artifacts[event.artifact_id])
            for event in events
            if event.artifact_id in artifacts
        ]

    def outputs(self, execution: Any) -> list[Any]:
        events = [
            e for e in self.store.get_events_by_execution_ids([execution.id]) if e.type in OUTPUT_EVENTS
        ]
        return self.store.get_artifacts_by_id([e.artifact_id for e in events]) if events else []

    def readers(self, artifact: Any) -> list[Any]:
        """Executions that read the artifact, oldest first."""
        events = [e for e in self.store.get_events_by_artifact_ids([artifact.id]) if e.type in INPUT_EVENTS]
        executions = self.store.get_executions_by_id([e.execution_id for e in events]) if events else []
        return sorted(executions, key=lambda execution: execution.id)

    def models(self) -> list[Any]:
        """The project's Model artifacts, oldest first."""
        context = self.store.get_context_by_type_and_name("pipeline", self.paths.project)
        artifacts = self.store.get_artifacts_by_context(context.id) if context else []
        return sorted((a for a in artifacts if self.artifact_type(a) == "Model"), key=lambda a: a.id)


def lineage(paths: Paths, version: str = "", served: str = "") -> dict[str, Any]:
    """Everything behind one model: `version` is a pushed version's number, a Model's id, or '' for the newest.

    With `served` only models count that were pushed under that name. Returns {'project', 'model', 'version', 'run',
    'trained', 'data', 'schema', 'code', 'hyperparameters', 'tuned', 'metrics', 'blessed', 'pushed', 'releases',
    'watch', 'tree'} as JSON can hold it; `releases` are the steps by which the model server gave it traffic, `watch`
    what was seen of its requests then; both are recorded first where they are not yet. Raises ProjectError for a
    version that is not there.
    """
    graph = Graph(paths)
    releases.record(graph.store, paths.project)
    watches.record(graph.store, paths)
    model = _find_model(graph, version, served)
    trainer = graph.producer(model)
    run_id = graph.context(trainer, "pipeline_run") if trainer is not None else ""
    ancestors = list(_ancestors(graph, model))
    later = _verdicts(graph, model)
    record = run_record.read(paths.runs / run_id / run_record.RECORD)
    config = _custom_config(trainer)
    parameters = config.get("parameters", {})
    return {
        "project": paths.project,
        "model": {"id": model.id, "uri": model.uri},
        "version": Path(later["pushed"]).name if later["pushed"] else None,
        "run": run_id,
        "trained": {"state": record.state, "started": record.started} if record else None,
        "data": [_data(a) for a in ancestors if _is_raw(graph, a)],
        "schema": [{"id": a.id, "uri": a.uri} for a in ancestors if graph.artifact_type(a) == "Schema"],
        "code": _code(graph, ancestors, model),
        "hyperparameters": parameters,
        "tuned": next(
            (_tuned(graph, a) for a in ancestors if graph.artifact_type(a) == "HyperParameters"), None
        ),
        "metrics": run_record.plain_numbers(later["metrics"]),
        "blessed": later["blessed"],
        "pushed": later["pushed"],
        "releases": releases.of_version(graph.store, paths.project, later["pushed"]),
        "watch": watches.of_version(graph.store, paths.project, later["pushed"]),
        "tree": _tree(graph, model, set()),
    }


def _find_model(graph: Graph, version: str, served: str) -> Any:
    models = graph.models()
    if served:
        models = [m for m in models if any(Path(p).parent.name == served for p in _pushes(graph, m))]
    if not models:
        raise ProjectError(
            f"{served or graph.paths.project} has no model yet. `viaduct run {graph.paths.project}` makes one."
        )
    by_version: dict[str, Any] = {}
    productions: dict[str, Any] = {}
    for model in models:
        by_version[str(model.id)] = model
        for pushed in map(Path, _pushes(graph, model)):
            if not served or pushed.parent.name == served:
                by_version[pushed.name] = model
            if pushed.parent.name == graph.paths.project:
                productions[pushed.name] = model
    # Two names may have a version of the same number; without a name production's is meant.
    by_version |= {} if served else productions
    if not version:
        return models[-1]
    if version not in by_version:
        raise ProjectError(close_match(f"{graph.paths.project}: model version", version, by_version))
    return by_version[version]


def _pushes(graph: Graph, model: Any) -> list[str]:
    destinations = [
        custom_property(output, "pushed_destination") or ""
        for reader in graph.readers(model)
        for output in graph.outputs(reader)
        if graph.artifact_type(output) == "PushedModel" and custom_property(output, "pushed")
    ]
    return [text for text in dict.fromkeys(destinations) if text]


def _verdicts(graph: Graph, model: Any) -> dict[str, Any]:
    """What was later said of the model: metrics and blessing (as the candidate, not as a baseline), pushes."""
    blessed: bool | None = None
    metrics: dict[str, float] = {}
    for reader in graph.readers(model):
        if not any(key == "model" and a.id == model.id for key, a in graph.inputs(reader)):
            continue
        for output in graph.outputs(reader):
            if graph.artifact_type(output) == "ModelBlessing":
                blessed = bool(custom_property(output, "blessed"))
        if graph.node_type(reader).endswith("Evaluator"):
            record = run_record.read(
                graph.paths.runs / graph.context(reader, "pipeline_run") / run_record.RECORD
            )
            metrics = record.metrics if record else metrics
    pushes = _pushes(graph, model)
    return {"blessed": blessed, "metrics": metrics, "pushed": pushes[-1] if pushes else ""}


def _ancestors(graph: Graph, artifact: Any) -> Iterable[Any]:
    seen, waiting = {artifact.id}, [artifact]
    while waiting:
        producer = graph.producer(waiting.pop())
        for _, parent in graph.inputs(producer) if producer is not None else ():
            if parent.id not in seen:
                seen.add(parent.id)
                waiting.append(parent)
                yield parent


def _is_raw(graph: Graph, artifact: Any) -> bool:
    """Whether it is what an ExampleGen wrote, not what Transform made of it."""
    producer = graph.producer(artifact) if graph.artifact_type(artifact) == "Examples" else None
    return producer is not None and graph.node_type(producer).endswith("ExampleGen")


def _data(artifact: Any) -> dict[str, Any]:
    rows = custom_property(artifact, "num_rows")
    return {
        "id": artifact.id,
        "uri": artifact.uri,
        "span": span_of(artifact),
        "rows": json.loads(rows) if isinstance(rows, str) and rows else rows,
        "fingerprint": custom_property(artifact, "input_fingerprint"),
    }


def _tuned(graph: Graph, artifact: Any) -> dict[str, Any]:
    """Of parameters that a Tuner chose: by what, and in which run."""
    producer = graph.producer(artifact)
    return {
        "id": artifact.id,
        "uri": artifact.uri,
        "run": graph.context(producer, "pipeline_run") if producer is not None else "",
        "told": tuned_in_words(artifact),
    }


def _custom_config(execution: Any) -> dict[str, Any]:
    try:
        return json.loads(custom_property(execution, "custom_config") or "{}") or {}
    except (ValueError, AttributeError):
        return {}


def _code(graph: Graph, ancestors: list[Any], model: Any) -> dict[str, str]:
    digests = {}
    for artifact in [model, *ancestors]:
        producer = graph.producer(artifact)
        digest = _custom_config(producer).get("code") if producer is not None else None
        if digest:
            digests[graph.node_type(producer)] = digest
    return digests


def _tree(graph: Graph, artifact: Any, seen: set[int]) -> dict[str, Any]:
    """The artifact, who made it, and the same for what that read; an artifact met before is only named."""
    node: dict[str, Any] = {"artifact": graph.artifact_type(artifact), "id": artifact.id, "uri": artifact.uri}
    if artifact.state == artifact.DELETED:
        node["deleted"] = True
    if artifact.id in seen:
        node["again"] = True
        return node
    seen.add(artifact.id)
    producer = graph.producer(artifact)
    if producer is not None:
        node["made_by"] = {
            "node": graph.context(producer, "node").rpartition(".")[2] or graph.node_type(producer),
            "execution": producer.id,
            "run": graph.context(producer, "pipeline_run"),
        }
        node["from"] = [_tree(graph, parent, seen) for _, parent in graph.inputs(producer)]
    return node


def text(ancestry: dict[str, Any]) -> str:
    """The lineage for a terminal: the facts, then the tree."""
    facts = [
        ("version", ancestry["version"] or "not pushed"),
        ("run", ancestry["run"]),
        *(("data", f"span {d['span']}, rows {_counts(d['rows'])}, {d['uri']}") for d in ancestry["data"]),
        *(("schema", s["uri"]) for s in ancestry["schema"][:1]),
        ("code", ", ".join(f"{node} {digest}" for node, digest in ancestry["code"].items())),
        ("parameters", ", ".join(f"{k}={v}" for k, v in sorted(ancestry["hyperparameters"].items()))),
        *(("tuned", f"{tuned['told']} ({tuned['run']})") for tuned in filter(None, [ancestry["tuned"]])),
        ("metrics", ", ".join(f"{k} {float(v):.4g}" for k, v in sorted(ancestry["metrics"].items()))),
        ("blessed", {True: "yes", False: "no", None: "not evaluated"}[ancestry["blessed"]]),
        ("pushed", ancestry["pushed"] or "no"),
        *(("release", line) for line in releases.lines(ancestry["releases"])),
        *(("watch", line) for line in watches.lines(ancestry["watch"])),
    ]
    lines = [f"{ancestry['project']} model {ancestry['model']['id']}"]
    lines += [f"  {name:<11} {value}" for name, value in facts]
    lines += ["", *_tree_lines(ancestry["tree"], "")]
    return "\n".join(lines)


def _counts(rows: Any) -> str:
    return ", ".join(f"{k} {v:,}" for k, v in rows.items()) if isinstance(rows, dict) else str(rows)


def _tree_lines(node: dict[str, Any], indent: str) -> list[str]:
    made = node.get("made_by")
    by = f" <- {made['node']} ({made['run']})" if made else " (see above)" if node.get("again") else ""
    gone = " (deleted)" if node.get("deleted") else ""
    lines = [f"{indent}{node['artifact']} {node['id']}{gone}{by}"]
    for child in node.get("from", []):
        lines += _tree_lines(child, indent + "   ")
    return lines
