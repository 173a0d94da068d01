"""Lineage around an artifact, and the registry of models, read from ML Metadata level by level.

Each level of the graph costs three calls however wide it is. Says what is recorded; files are not opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashboards.readers.files import Missing
from dashboards.readers.metadata import Artifact, Execution, Metadata, Step

# Levels up and down; a pipeline of ours is about six deep. A node cap keeps the picture readable.
DEPTH = 12
MOST = 150


@dataclass
class Neighbourhood:
    """Artifacts and executions around `centre`; `steps` are the arrows between them."""

    centre: int
    artifacts: dict[int, Artifact] = field(default_factory=dict)
    executions: dict[int, Execution] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    runs: dict[int, str] = field(default_factory=dict)
    nodes: dict[int, str] = field(default_factory=dict)
    cut: bool = False


def around(metadata: Metadata, artifact_id: int) -> Neighbourhood:
    """Everything the artifact was made from and everything made of it. Raises Missing for an unknown id."""
    graph = Neighbourhood(artifact_id, metadata.artifacts([artifact_id]))
    if artifact_id not in graph.artifacts:
        raise Missing(f"There is no artifact {artifact_id}.")
    for upwards in (True, False):
        _walk(metadata, graph, upwards)
    for execution in graph.executions.values():
        contexts = metadata.contexts(execution.id)
        graph.runs[execution.id] = contexts.get("pipeline_run", "")
        graph.nodes[execution.id] = contexts.get("node", "").rpartition(".")[2] or execution.type
    return graph


def _walk(metadata: Metadata, graph: Neighbourhood, upwards: bool) -> None:
    frontier, seen = {graph.centre}, {graph.centre}
    walked: set[int] = set()
    known = {(s.artifact, s.execution, s.output, s.key) for s in graph.steps}
    for _ in range(DEPTH):
        near = [s for s in metadata.steps(artifacts=frontier) if s.output == upwards]
        executions = metadata.executions({s.execution for s in near})
        if upwards:
            near = _producers(near, executions)
        else:
            near = [s for s in near if executions[s.execution].type != "Resolver"]
        graph.executions.update({i: executions[i] for i in {s.execution for s in near}})
        # A comparison is shown, and leads no further: neither to what was made nor to what the other was made of.
        fresh = {s.execution for s in near if not s.baseline} - walked
        walked |= fresh
        # Downwards what a node compared with belongs to it, too: it tells what a verdict was relative to.
        far = [s for s in metadata.steps(executions=fresh) if s.output != upwards or s.baseline]
        for step in (*near, *far):
            if (step.artifact, step.execution, step.output, step.key) not in known:
                known.add((step.artifact, step.execution, step.output, step.key))
                graph.steps.append(step)
        graph.artifacts.update(metadata.artifacts({s.artifact for s in far} - set(graph.artifacts)))
        frontier = {s.artifact for s in far if not s.baseline} - seen
        seen |= frontier
        if not frontier:
            return
        if len(graph.artifacts) + len(graph.executions) > MOST:
            graph.cut = True
            return


def _producers(near: list[Step], executions: dict[int, Execution]) -> list[Step]:
    """For each artifact the execution that computed it rather than those that took it from the cache."""
    best: dict[int, Step] = {}
    for step in near:
        held = best.get(step.artifact)
        rank = (executions[step.execution].state == "cached", step.execution)
        if held is None or rank < (executions[held.execution].state == "cached", held.execution):
            best[step.artifact] = step
    return list(best.values())


@dataclass
class Model:
    """A trained model and what became of it. `versions` are the (served name, number) it was pushed as."""

    artifact: Artifact
    run: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    blessed: bool | None = None
    versions: list[tuple[str, str]] = field(default_factory=list)
    examples: list[int] = field(default_factory=list)
    evaluation: int | None = None


def models(metadata: Metadata, project: str, most: int, runs: Mapping[str, str]) -> list[Model]:
    """The newest `most` models of a project, newest first, in a dozen calls.

    `runs` names the run of a model by its uri; for others metadata is asked, one call each.
    """
    artifacts = metadata.project_artifacts(project, "Model")[::-1][:most]
    by_id = {a.id: Model(a) for a in artifacts}
    steps = metadata.steps(artifacts=by_id)
    executions = metadata.executions({s.execution for s in steps})
    made = _producers([s for s in steps if s.output], executions)
    for step in made:
        by_id[step.artifact].parameters = executions[step.execution].properties
        known = runs.get(by_id[step.artifact].artifact.uri)
        by_id[step.artifact].run = known or metadata.contexts(step.execution).get("pipeline_run", "")
    _verdicts(metadata, by_id, [s for s in steps if not s.output], executions)
    return list(by_id.values())


def _verdicts(
    metadata: Metadata, by_id: dict[int, Model], reads: list[Step], executions: dict[int, Execution]
) -> None:
    """Blessings, evaluations and pushes; a model that was only the baseline of an evaluation gets none of it."""
    judged = {s.execution: s.artifact for s in reads if s.key in ("model", "model_export", "")}
    written = [s for s in metadata.steps(executions=judged) if s.output]
    outputs = metadata.artifacts({s.artifact for s in written})
    for step in written:
        model, output = by_id.get(judged[step.execution]), outputs.get(step.artifact)
        if model is None or output is None:
            continue
        if output.type == "ModelBlessing":
            model.blessed = bool(output.properties.get("blessed"))
        elif output.type == "ModelEvaluation":
            model.evaluation = output.id
        elif output.type == "PushedModel" and output.properties.get("pushed"):
            pushed = Path(str(output.properties.get("pushed_destination") or ""))
            if pushed.name and (pushed.parent.name, pushed.name) not in model.versions:
                model.versions.append((pushed.parent.name, pushed.name))


def text(graph: Neighbourhood) -> str:
    """The way back from the artifact to the data, then what was made of it, as indented lines."""
    lines = [_line(graph, graph.centre), "", "made from"]
    _tree(graph, graph.centre, "  ", lines, {graph.centre}, upwards=True)
    lines += ["", "used for"]
    _tree(graph, graph.centre, "  ", lines, {graph.centre}, upwards=False)
    return "\n".join(lines)


def _line(graph: Neighbourhood, artifact: int) -> str:
    item = graph.artifacts[artifact]
    return f"{item.type} {item.id}  {item.uri}" + (f"  ({item.gone})" if item.gone else "")


def _tree(
    graph: Neighbourhood, artifact: int, indent: str, lines: list[str], seen: set[int], *, upwards: bool
) -> None:
    for near in [s for s in graph.steps if s.artifact == artifact and s.output == upwards]:
        how = "by" if upwards else "compared with by" if near.baseline else "read by"
        node, run = graph.nodes.get(near.execution, "?"), graph.runs.get(near.execution, "?")
        # What releases and watches record is no part of a run.
        lines.append(f"{indent}{how} {node}" + (f" in {run}" if run else ""))
        if near.baseline:
            continue
        others = [s for s in graph.steps if s.execution == near.execution and s is not near]
        for far in [s for s in others if s.output != upwards or s.baseline]:
            if far.artifact in graph.artifacts:
                ends = (
                    "  (only compared with)" if far.baseline else "  (above)" if far.artifact in seen else ""
                )
                lines.append(f"{indent}  {far.key}: {_line(graph, far.artifact)}{ends}")
                if not ends:
                    seen.add(far.artifact)
                    _tree(graph, far.artifact, indent + "    ", lines, seen, upwards=upwards)
