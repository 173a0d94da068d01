"""Lineage around an artifact, and the registry of models, read from ML Metadata level by level.

Each level of the graph costs three calls however wide it is. Says what is recorded; files are not opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashboards.files import Missing
from dashboards.metadata import Artifact, Execution, Metadata, Step

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
    found = Neighbourhood(artifact_id, metadata.artifacts([artifact_id]))
    if artifact_id not in found.artifacts:
        raise Missing(f"There is no artifact {artifact_id}.")
    for upwards in (True, False):
        _walk(metadata, found, upwards)
    for execution in found.executions.values():
        contexts = metadata.contexts(execution.id)
        found.runs[execution.id] = contexts.get("pipeline_run", "")
        found.nodes[execution.id] = contexts.get("node", "").rpartition(".")[2] or execution.type
    return found


def _walk(metadata: Metadata, found: Neighbourhood, upwards: bool) -> None:
    frontier, seen = {found.centre}, {found.centre}
    known = {(s.artifact, s.execution, s.output) for s in found.steps}
    for _ in range(DEPTH):
        near = [s for s in metadata.steps(artifacts=frontier) if s.output == upwards]
        executions = metadata.executions({s.execution for s in near})
        if upwards:
            near = _producers(near, executions)
        else:
            near = [s for s in near if executions[s.execution].type != "Resolver"]
        fresh = {s.execution for s in near} - set(found.executions)
        found.executions.update({i: executions[i] for i in {s.execution for s in near}})
        far = [s for s in metadata.steps(executions=fresh) if s.output != upwards]
        for step in (*near, *far):
            if (step.artifact, step.execution, step.output) not in known:
                known.add((step.artifact, step.execution, step.output))
                found.steps.append(step)
        frontier = {s.artifact for s in far} - seen
        seen |= frontier
        found.artifacts.update(metadata.artifacts(frontier))
        if not frontier:
            return
        if len(found.artifacts) + len(found.executions) > MOST:
            found.cut = True
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
    """A trained model and what became of it. `versions` are the numbers it was pushed under."""

    artifact: Artifact
    run: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    blessed: bool | None = None
    versions: list[str] = field(default_factory=list)
    examples: list[int] = field(default_factory=list)
    evaluation: int | None = None


def models(metadata: Metadata, project: str, most: int, runs: Mapping[str, str]) -> list[Model]:
    """The newest `most` models of a project, newest first, in a dozen calls.

    `runs` names the run of a model by its uri; for others metadata is asked, one call each.
    """
    artifacts = metadata.project_artifacts(project, "Model")[::-1][:most]
    found = {a.id: Model(a) for a in artifacts}
    steps = metadata.steps(artifacts=found)
    executions = metadata.executions({s.execution for s in steps})
    made = _producers([s for s in steps if s.output], executions)
    for step in made:
        found[step.artifact].parameters = executions[step.execution].properties
        known = runs.get(found[step.artifact].artifact.uri)
        found[step.artifact].run = known or metadata.contexts(step.execution).get("pipeline_run", "")
    _verdicts(metadata, found, [s for s in steps if not s.output], executions)
    return list(found.values())


def _verdicts(
    metadata: Metadata, found: dict[int, Model], reads: list[Step], executions: dict[int, Execution]
) -> None:
    """Blessings, evaluations and pushes; a model that was only the baseline of an evaluation gets none of it."""
    judged = {s.execution: s.artifact for s in reads if s.key in ("model", "model_export", "")}
    written = [s for s in metadata.steps(executions=judged) if s.output]
    outputs = metadata.artifacts({s.artifact for s in written})
    for step in written:
        model, output = found.get(judged[step.execution]), outputs.get(step.artifact)
        if model is None or output is None:
            continue
        if output.type == "ModelBlessing":
            model.blessed = bool(output.properties.get("blessed"))
        elif output.type == "ModelEvaluation":
            model.evaluation = output.id
        elif output.type == "PushedModel" and output.properties.get("pushed"):
            version = Path(str(output.properties.get("pushed_destination") or "")).name
            if version and version not in model.versions:
                model.versions.append(version)


def text(found: Neighbourhood) -> str:
    """The way back from the artifact to the data, then what was made of it, as indented lines."""
    lines = [_line(found, found.centre), "", "made from"]
    _tree(found, found.centre, "  ", lines, {found.centre}, upwards=True)
    lines += ["", "used for"]
    _tree(found, found.centre, "  ", lines, {found.centre}, upwards=False)
    return "\n".join(lines)


def _line(found: Neighbourhood, artifact: int) -> str:
    item = found.artifacts[artifact]
    return f"{item.type} {item.id}  {item.uri}"


def _tree(
    found: Neighbourhood, artifact: int, indent: str, lines: list[str], seen: set[int], *, upwards: bool
) -> None:
    for near in [s for s in found.steps if s.artifact == artifact and s.output == upwards]:
        lines.append(
            f"{indent}{'by' if upwards else 'read by'} {found.nodes.get(near.execution, '?')} "
            f"in {found.runs.get(near.execution, '?')}"
        )
        for far in [s for s in found.steps if s.execution == near.execution and s.output != upwards]:
            if far.artifact in found.artifacts:
                again = far.artifact in seen
                lines.append(
                    f"{indent}  {far.key}: {_line(found, far.artifact)}{'  (above)' if again else ''}"
                )
                if not again:
                    seen.add(far.artifact)
                    _tree(found, far.artifact, indent + "    ", lines, seen, upwards=upwards)
