"""The registry of models, lineage as a picture and as text, and any single artifact."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from dashboards.drawing import svg
from dashboards.drawing.svg import Box, Edge
from dashboards.drawing.words import url
from dashboards.pages.numbers import whole_number
from dashboards.pages.site import Notes, Site
from dashboards.readers import ancestry
from dashboards.readers.files import Missing
from dashboards.readers.runs import parameters_of
from pipelines.base import production

# Files listed for one artifact, and models per project on the page of all.
MOST_FILES = 200
MOST_MODELS = 30
KINDS = {"Model": "ok", "PushedModel": "ok", "ModelBlessing": "cached", "Examples": "run", "Schema": "warn"}


def models(site: Site, query: dict[str, str]) -> str:
    """Versions of `project`, or the newest of every project; `run` leaves only the models of one run."""
    notes = Notes()
    known = site.projects()
    chosen = query.get("project", "")
    served = site.servers.served(site.served_names(known))
    rows: list[dict[str, Any]] = []
    most = 500 if chosen else MOST_MODELS
    # Oldest last, so that a model that later runs took from the cache belongs to the run that made it.
    runs = {row.model: row.run_id for row in site.runs.rows(chosen or None) if row.model}
    for name in [chosen] if chosen else known:
        known_models: list[ancestry.Model] = notes.get(
            functools.partial(ancestry.models, site.metadata, name, most, runs), []
        )
        rows += [_row(site, name, model, served) for model in known_models]
    rows.sort(key=lambda row: -row["model"].artifact.created)
    return site.render(
        "models.html", rows=rows, notes=notes, projects=known, chosen=chosen, servers=site.servers.addresses
    )


def _row(site: Site, project: str, model: ancestry.Model, served: dict[str, list[str]]) -> dict[str, Any]:
    parameters = parameters_of(model.parameters)
    label = " · ".join(str(parameters[key]) for key in ("variant", "profile") if key in parameters)
    try:
        size: int | None = site.parsed(model.artifact.uri, folder_size)
    except Missing:
        size = None
    return {
        "project": project,
        "model": model,
        "label": label,
        "parameters": {k: v for k, v in parameters.items() if k not in ("variant", "profile")},
        "size": size,
        "pushed": [production.told_version(name, version) for name, version in model.versions],
        "served": [
            production.told_version(name, version)
            for name, version in model.versions
            if version in served.get(name, ())
        ],
        "deleted": size is None,
    }


def folder_size(folder: Path) -> int:
    """Bytes of all files under `folder`."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def lineage(site: Site, query: dict[str, str]) -> str:
    """Around artifact `artifact`, or the model of `run`; `as=text` gives text."""
    artifact_id, run = query.get("artifact", ""), query.get("run", "")
    record = site.runs.record(run) if run else None
    if not artifact_id and record is not None:
        outputs = site.outputs(record, "Model") or site.outputs(record, "Examples")
        if not outputs:
            return site.render(
                "lineage.html", record=record, graph=None, tab="lineage", picture="", text="", centre=None
            )
        artifact_id = str(outputs[0]["id"])
    number = whole_number(artifact_id)
    if number is None:
        raise Missing(f"Artifact {artifact_id!r} is no number that an artifact may have.")
    graph = ancestry.around(site.metadata, number)
    return site.render(
        "lineage.html", record=record, graph=graph, tab="lineage", picture=lineage_picture(graph),
        text=ancestry.text(graph), centre=graph.artifacts[graph.centre],
    )  # fmt: skip


def lineage_picture(graph: ancestry.Neighbourhood, links: bool = True) -> Any:
    """Artifacts and executions as boxes; clicking an artifact makes it the centre, an execution opens its run."""
    boxes = []
    for artifact in graph.artifacts.values():
        kind = "centre" if artifact.id == graph.centre else KINDS.get(artifact.type, "idle")
        note = f"artifact {artifact.id}"
        if "span" in artifact.properties:
            note = f"span {artifact.properties['span']} · {note}"
        if artifact.gone:
            note = f"{artifact.gone} · {note}"
        href = url("/lineage", artifact=artifact.id) if links else ""
        boxes.append(Box(f"a{artifact.id}", artifact.type, note, kind, href, artifact.uri))
    for execution in graph.executions.values():
        run = graph.runs.get(execution.id, "")
        node = graph.nodes.get(execution.id, execution.type)
        href = url("/run", id=run) if run and links else ""
        boxes.append(
            Box(
                f"e{execution.id}",
                node,
                run[-20:],
                "step",
                href,
                f"{execution.state}{f' in {run}' if run else ''}",
            )
        )
    edges = []
    for step in graph.steps:
        ends = (f"a{step.artifact}", f"e{step.execution}")
        edges.append(Edge(*(ends[::-1] if step.output else ends), step.key, dashed=step.baseline))
    return svg.graph(boxes, edges, "Lineage")


def artifact(site: Site, query: dict[str, str]) -> str:
    """One artifact `id`: properties, files, who made it and who read it."""
    number = whole_number(query.get("id"))
    item = site.metadata.artifacts([number]).get(number) if number is not None else None
    if item is None:
        raise Missing(f"There is no artifact {query.get('id', '')!r}.")
    notes = Notes()
    files: list[tuple[str, int]] = notes.get(lambda: _files(site.files.inside(item.uri)), [])
    steps = site.metadata.steps(artifacts=[item.id])
    executions = site.metadata.executions({s.execution for s in steps})
    uses = []
    for step in steps[:100]:
        contexts = site.metadata.contexts(step.execution)
        uses.append(
            {"step": step, "execution": executions[step.execution], "run": contexts.get("pipeline_run", "")}
        )
    return site.render("artifact.html", artifact=item, files=files, uses=uses, notes=notes)


def _files(folder: Path) -> list[tuple[str, int]]:
    if folder.is_file():
        return [(folder.name, folder.stat().st_size)]
    listed = []
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            listed.append((str(file.relative_to(folder)), file.stat().st_size))
        if len(listed) >= MOST_FILES:
            break
    return listed
