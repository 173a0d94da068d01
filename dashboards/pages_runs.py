"""Run: graph, waterfall, parameters, results, live while it runs. Log: one node's output."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from dashboards import drawing
from dashboards.drawing import Box
from dashboards.files import Missing
from dashboards.site import Notes, Site
from dashboards.words import duration, short, url
from pipelines.base import ir
from pipelines.base import live as live_view
from pipelines.base.project import ProjectError
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
    bars = []
    for bar in site.bars(record):
        value = record.metrics.get(bar.metric)
        bars.append({"bar": bar, "value": value, "met": value is not None and bar.met_by(value)})
    return {
        "record": record,
        "nodes": nodes,
        "picture": _picture(site, record, notes),
        "bars": bars,
        "reason": why(record, bars),
        "cost": _cost(record),
        "parameters": record.settings.get("parameters", {}),
        "settings": {
            k: v for k, v in record.settings.items() if k != "parameters" and v not in ("", None, [])
        },
        "ended": record.ended or time.time(),
        "previous": _previous(site, record),
    }


def why(record: RunRecord, bars: list[dict[str, Any]]) -> str:
    """One sentence on the verdict."""
    if record.state == "failed":
        failed = [name for name, node in record.nodes.items() if node.state == "failed"]
        return f"{', '.join(failed) or 'The run'} failed."
    if record.state == "dead":
        return "The process that ran it ended without saying so. The same command goes on from the finished nodes."
    if record.blessed is None:
        return "The model has not been judged." if record.state != "running" else ""
    missed = [
        f"{b['bar'].metric} is {short(b['value'])}, the bar is {b['bar']}" for b in bars if not b["met"]
    ]
    if record.blessed:
        return "Every bar was met." + (" Pushed." if record.pushed else " Not pushed.")
    gates = getattr(record, "failed_gates", ())
    if gates and isinstance(gates, list | tuple):
        return "Refused: " + "; ".join(str(gate) for gate in gates) + "."
    if missed:
        return "Missed: " + "; ".join(missed) + "."
    return (
        "Every bar is met over all rows; a slice or the comparison with the last blessed model failed a gate."
    )


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
        "error": node.error,
        "fall": drawing.timeline(
            node.started, ended, record.started, last, KINDS.get(node.state, "idle"), label
        ),
        "outputs": [o for o in node.summary.get("outputs", []) if isinstance(o, dict)],
        "log": _log_file(site, record, name) is not None,
        "done": progress.get("done"),
        "total": progress.get("total"),
    }


def _picture(site: Site, record: RunRecord, notes: Notes) -> Any:
    """The graph of the compiled pipeline; without one, the nodes side by side."""
    try:
        graph = ir.nodes(ir.load(site.files.inside(site.runs.run_folder(record) / "ir.json")))
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
    return drawing.graph(
        boxes, [(up, node.id) for node in graph for up in node.upstream], "Nodes of the pipeline"
    )


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
    older = [r for r in site.runs.rows(record.project) if r.started < record.started and r.metrics]
    return older[0].run_id if older else ""


def _log_file(site: Site, record: RunRecord, node: str) -> Path | None:
    if node not in record.nodes or "/" in node or node.startswith("."):
        return None
    try:
        return site.files.inside(site.runs.run_folder(record) / "logs" / f"{node}.log")
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
