"""Run: graph, waterfall, parameters, results, live while it runs. Log: one node's output."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from dashboards.drawing import svg
from dashboards.drawing.layers import reduced
from dashboards.drawing.svg import Box
from dashboards.drawing.words import cause, duration, url
from dashboards.pages.bars import held
from dashboards.pages.reasons import why
from dashboards.pages.site import Notes, Site
from dashboards.readers.files import Missing
from pipelines.base import ir, run_folder
from pipelines.base import live as live_view
from pipelines.base.csv_reading import CsvReading
from pipelines.base.errors import ProjectError
from pipelines.base.run_record import RunRecord

LOG_BYTES = 150_000
KINDS = {
    "done": "ok",
    "cached": "cached",
    "failed": "bad",
    "running": "run",
    "cancelled": "warn",
    "dead": "bad",
}


def run(site: Site, query: dict[str, str]) -> str:
    """The page of run `id`."""
    record = site.runs.record(query.get("id", ""))
    notes = Notes()
    values = overview(site, record, notes)
    return site.render("run.html", tab="run", notes=notes, **values)


def live(site: Site, query: dict[str, str]) -> str:
    """The part of the page that changes while the run works; the page asks for it every second."""
    record = site.runs.record(query.get("id", ""))
    return site.render("_live.html", **overview(site, record, Notes()))


def overview(site: Site, record: RunRecord, notes: Notes) -> dict[str, Any]:
    """All that the run's page shows."""
    nodes = [_node(site, record, name) for name in record.nodes]
    bars = held(site.bars(record), record.metrics)
    return {
        "record": record,
        "nodes": nodes,
        "picture": _picture(site, record, notes),
        "bars": bars,
        "reason": why(site, record),
        "cost": _cost(record),
        "parameters": record.settings.get("parameters", {}),
        "settings": _settings(record),
        "ended": record.ended or time.time(),
        "previous": _previous(site, record),
    }


def _settings(record: RunRecord) -> dict[str, Any]:
    """What the run was asked besides its parameters; of how CSV is read, only what differs from the usual way."""
    asked = {k: v for k, v in record.settings.items() if k not in ("parameters", "csv")}
    try:
        reading = CsvReading.of(record.settings.get("csv", {})).changed()
    except (ProjectError, TypeError, AttributeError):
        reading = {}
    asked |= {f"csv {name}": value for name, value in reading.items()}
    return {
        name: ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
        for name, value in asked.items()
        if value not in ("", None, [], ())
    }


def _node(site: Site, record: RunRecord, name: str) -> dict[str, Any]:
    node = record.nodes[name]
    progress = {}
    folder = site.runs.run_folder(record)
    if node.state == "running":
        progress = live_view.progress_of(folder, name) if "/" not in name else {}
    ended = node.ended or (time.time() if node.state == "running" else node.started)
    took = ended - node.started if node.started else None
    last = record.ended or time.time()
    label = f"{name}: {node.state}, {duration(took)}"
    try:
        detail = live_view.detail(node, progress)
    except (KeyError, TypeError, ValueError, AttributeError):
        detail = ""
    return {
        "name": name,
        "state": node.state,
        "took": took,
        "detail": "" if node.state == "failed" else detail,
        "error": cause(node.error),
        "fall": svg.timeline(node.started, ended, record.started, last, KINDS.get(node.state, "idle"), label),
        "outputs": [o for o in node.summary.get("outputs", []) if isinstance(o, dict)],
        "log": _log_file(site, record, name) is not None,
        "done": progress.get("done"),
        "total": progress.get("total"),
    }


def _picture(site: Site, record: RunRecord, notes: Notes) -> Any:
    """The graph of the compiled pipeline, arrows that a longer way implies left out; without one, the nodes alone."""
    try:
        graph = ir.nodes(ir.load(site.files.inside(run_folder.ir_file(site.runs.run_folder(record)))))
    except (Missing, ProjectError, KeyError, TypeError):
        graph = [ir.Node(name, "", ()) for name in record.nodes]
        if record.nodes:
            notes.append(
                "The compiled pipeline (ir.json) of this run is not there, so the graph has no arrows."
            )
    boxes = []
    for node in graph:
        known = record.nodes.get(node.id)
        state = known.state if known else "waiting"
        took = known.ended - known.started if known and known.ended and known.started else None
        note = state + (f" · {duration(took)}" if took is not None and state != "skipped" else "")
        href = url("/log", run=record.run_id, node=node.id) if _log_file(site, record, node.id) else ""
        boxes.append(Box(node.id, node.id, note, KINDS.get(state, "idle"), href, node.type))
    known_nodes = {node.id for node in graph}
    order = [(up, node.id) for node in graph for up in node.upstream if up in known_nodes and up != node.id]
    return svg.graph(boxes, [svg.Edge(*pair) for pair in reduced(order)], "Nodes of the pipeline")


def _cost(record: RunRecord) -> dict[str, Any]:
    """Seconds of work, and how many nodes came from the cache."""
    spent = {
        n: v.ended - v.started
        for n, v in record.nodes.items()
        if v.ended and v.started and v.state != "skipped"
    }
    return {
        "wall": (record.ended or time.time()) - record.started if record.started else None,
        "work": sum(spent.values()),
        "dearest": max(spent, key=lambda name: spent[name], default=""),
        "dearest_s": max(spent.values(), default=0.0),
        "cached": sum(node.state == "cached" for node in record.nodes.values()),
        "nodes": len(record.nodes),
    }


def _previous(site: Site, record: RunRecord) -> str:
    """The project's finished run before this one, to compare with."""
    older = [
        r for r in site.runs.rows(record.project) if r.turn < (record.order, record.started) and r.metrics
    ]
    return older[0].run_id if older else ""


def _log_file(site: Site, record: RunRecord, node: str) -> Path | None:
    if node not in record.nodes or "/" in node or node.startswith("."):
        return None
    try:
        return site.files.inside(run_folder.log_file(site.runs.run_folder(record), node))
    except Missing:
        return None


def log(site: Site, query: dict[str, str]) -> str:
    """The end of a node's log: `run`, `node`."""
    record = site.runs.record(query.get("run", ""))
    node = query.get("node", "")
    if node not in record.nodes:
        raise Missing(
            f"Run {record.run_id} has no node {node!r}; it has {', '.join(record.nodes) or 'none'}."
        )
    file = _log_file(site, record, node)
    text, cut = "", False
    if file is not None:
        with file.open("rb") as stream:
            total = stream.seek(0, 2)
            stream.seek(max(0, total - LOG_BYTES))
            text, cut = stream.read().decode("utf-8", "replace"), total > LOG_BYTES
    return site.render(
        "log.html", record=record, node=_node(site, record, node), text=text, cut=cut, there=file is not None,
        path=str(file or ""), tab="run",
    )  # fmt: skip
