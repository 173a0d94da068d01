"""The registry of models, lineage as a picture and as text, and any single artifact."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from dashboards import ancestry, drawing
from dashboards.drawing import Box
from dashboards.files import Missing
from dashboards.runs import parameters_of
from dashboards.site import Notes, Site
from dashboards.words import url

# Files listed for one artifact, and models per project on the page of all.
MOST_FILES = 200
MOST_MODELS = 30
KINDS = {"Model": "ok", "PushedModel": "ok", "ModelBlessing": "cached", "Examples": "run", "Schema": "warn"}


def models(site: Site, query: dict[str, str]) -> str:
    """Versions of `project`, or the newest of every project; `run` leaves only the models of one run."""
    notes = Notes()
    known = site.projects()
    chosen = query.get("project", "")
    served = site.servers.served(known)
    rows: list[dict[str, Any]] = []
    most = 500 if chosen else MOST_MODELS
    # Oldest last, so that a model that later runs took from the cache belongs to the run that made it.
    runs = {row.model: row.run_id for row in site.runs.rows(chosen or None) if row.model}
    for name in [chosen] if chosen else known:
        found = notes.get(functools.partial(ancestry.models, site.metadata, name, most, runs), [])
        rows += [_row(site, name, model, served.get(name, [])) for model in found]
    rows.sort(key=lambda row: -row["model"].artifact.created)
    return site.render(
        "models.html", rows=rows, notes=notes, projects=known, chosen=chosen, servers=site.servers.addresses
    )


def _row(site: Site, project: str, model: ancestry.Model, served: list[str]) -> dict[str, Any]:
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
        "served": [v for v in model.versions if v in served],
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
                "lineage.html", record=record, found=None, tab="lineage", picture="", text="", centre=None
            )
        artifact_id = str(outputs[0]["id"])
    if not artifact_id.isdigit():
        raise Missing(f"Artifact {artifact_id!r} is no number.")
    found = ancestry.around(site.metadata, int(artifact_id))
    return site.render(
        "lineage.html", record=record, found=found, tab="lineage", picture=lineage_picture(found),
        text=ancestry.text(found), centre=found.artifacts[found.centre],
    )  # fmt: skip


def lineage_picture(found: ancestry.Neighbourhood, links: bool = True) -> Any:
    """Artifacts and executions as boxes; clicking an artifact makes it the centre, an execution opens its run."""
    boxes = []
    for artifact in found.artifacts.values():
        kind = "centre" if artifact.id == found.centre else KINDS.get(artifact.type, "idle")
        note = f"artifact {artifact.id}"
        if "span" in artifact.properties:
            note = f"span {artifact.properties['span']} · {note}"
        href = url("/lineage", artifact=artifact.id) if links else ""
        boxes.append(Box(f"a{artifact.id}", artifact.type, note, kind, href, artifact.uri))
    for execution in found.executions.values():
        run = found.runs.get(execution.id, "")
        node = found.nodes.get(execution.id, execution.type)
        href = url("/run", id=run) if run and links else ""
        boxes.append(Box(f"e{execution.id}", node, run[-20:], "step", href, f"{execution.state} in {run}"))
    edges = [
        (f"e{s.execution}", f"a{s.artifact}") if s.output else (f"a{s.artifact}", f"e{s.execution}")
        for s in found.steps
    ]
    return drawing.graph(boxes, edges, "Lineage")


def artifact(site: Site, query: dict[str, str]) -> str:
    """One artifact `id`: properties, files, who made it and who read it."""
    number = query.get("id", "")
    found = site.metadata.artifacts([int(number)]).get(int(number)) if number.isdigit() else None
    if found is None:
        raise Missing(f"There is no artifact {number!r}.")
    notes = Notes()
    files = notes.get(lambda: _files(site.files.inside(found.uri)), [])
    steps = site.metadata.steps(artifacts=[found.id])
    executions = site.metadata.executions({s.execution for s in steps})
    uses = []
    for step in steps[:100]:
        contexts = site.metadata.contexts(step.execution)
        uses.append(
            {"step": step, "execution": executions[step.execution], "run": contexts.get("pipeline_run", "")}
        )
    return site.render("artifact.html", found=found, files=files, uses=uses, notes=notes)


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
