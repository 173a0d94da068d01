"""Runs a compiled pipeline on this machine: nodes in warm children, side by side where the graph allows.

A run that nothing would change is not repeated; one that was killed or failed is resumed by starting it again,
because finished nodes come from ML Metadata's cache. Ctrl-C ends the children and marks what they were doing as
failed. Showing progress is live.py's; what a node does is node.py's. This process imports no TFX.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pipelines.base import host_client, ir, run_record
from pipelines.base.host_client import Call, CallError, Request
from pipelines.base.paths import Paths
from pipelines.base.project import ProjectError, Settings
from pipelines.base.run_record import NodeRecord, RunRecord

POLL_S = 0.1
DEFAULT_PARALLEL = max(2, min(4, (os.cpu_count() or 2)))


class View(Protocol):
    """Shows a run to a person."""

    def say(self, text: str) -> None: ...

    def update(self, record: RunRecord, folder: Path) -> None: ...


@dataclass
class _Running:
    calls: dict[str, Call] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


def up_to_date(paths: Paths, fingerprint: str) -> RunRecord | None:
    """The project's latest finished run, if its fingerprint is this one and what it made is still there."""
    for record in run_record.read_all(paths):
        if record.state != "succeeded":
            continue
        if record.fingerprint != fingerprint:
            return None
        kept = [record.model] + ([record.pushed] if record.pushed else [])
        return record if all(path and Path(path).exists() for path in kept) else None
    return None


def run(
    paths: Paths,
    settings: Settings,
    fingerprint: str,
    view: View,
    parallel: int = DEFAULT_PARALLEL,
    use_host: bool = True,
) -> RunRecord:
    """Runs every node of the project's pipeline; returns the record, whose `state` tells how it ended.

    Raises ProjectError only for what went wrong before the first node (host, metadata, compilation), after
    writing it to the record. KeyboardInterrupt cancels the run and is not raised again: state 'cancelled'.
    """
    record = run_record.begin(paths, settings, fingerprint)
    folder = paths.runs / record.run_id
    record.write(folder)
    running = _Running()
    try:
        graph = _prepare(paths, settings, record, folder, view, use_host)
        _schedule(graph, record, folder, paths, view, parallel, running, use_host)
        failed = any(node.state == "failed" for node in record.nodes.values())
        record.state = "failed" if failed else "succeeded"
    except KeyboardInterrupt:
        _cancel(record, folder, paths, running, view, use_host)
    except BaseException:
        record.state = "failed"
        raise
    finally:
        record.ended = time.time()
        record.write(folder)
        view.update(record, folder)
    return record


def _prepare(
    paths: Paths, settings: Settings, record: RunRecord, folder: Path, view: View, use_host: bool
) -> list[ir.Node]:
    """Metadata tables, dead runs, compilation: what must be there before the first node."""
    if use_host:
        told = False

        def waiting(seconds: float) -> None:
            nonlocal told
            if not told and seconds > 1:
                view.say("Warming up: importing TFX, TensorFlow and Beam once (10-20 s) ...")
                told = True

        host_client.ensure(paths.home, waiting)
    dead = [
        other
        for other in run_record.read_all(paths)
        if other.state == "running" and other.run_id != record.run_id and not other.alive()
    ]
    call = _caller(paths, folder, use_host)
    call(
        "prepare",
        "pipelines.base.node:prepare",
        {"home": str(paths.home), "dead_runs": [r.run_id for r in dead]},
    )
    for other in dead:
        other.state, other.ended = "failed", time.time()
        other.stop("failed", "the process that ran it ended")
        other.write(paths.runs / other.run_id)
        view.say(f"Run {other.run_id} ended without saying so; its unfinished nodes are marked failed.")
    target = folder / "ir.json"
    call(
        "compile",
        "pipelines.base.node:compile_to",
        {
            "project": paths.project,
            "settings": settings.to_json(),
            "home": str(paths.home),
            "target": str(target),
        },
    )
    graph = ir.nodes(ir.load(target))
    record.nodes = {node.id: NodeRecord() for node in graph}
    record.write(folder)
    return graph


def _request(paths: Paths, folder: Path, name: str, function: str, kwargs: dict[str, Any]) -> Request:
    progress = folder / f"{name}.progress.json"
    env = {**os.environ, "VIADUCT_PROGRESS": str(progress), "VIADUCT_HOME": str(paths.home)}
    return Request(function, kwargs, folder / "logs" / f"{name}.log", folder / f"{name}.result.json", env)


def _caller(paths: Paths, folder: Path, use_host: bool) -> Callable[[str, str, dict[str, Any]], Any]:
    def call(name: str, function: str, kwargs: dict[str, Any]) -> Any:
        request = _request(paths, folder, name, function, kwargs)
        if not use_host:
            return host_client.direct(request)
        return Call(host_client.socket_path(paths.home), request).wait()

    return call


def _schedule(
    graph: list[ir.Node],
    record: RunRecord,
    folder: Path,
    paths: Paths,
    view: View,
    parallel: int,
    running: _Running,
    use_host: bool,
) -> None:
    """Starts each node when what it waits for is done, at most `parallel` at once, until nothing can start."""
    outcomes: queue.Queue[tuple[str, Any, str]] = queue.Queue()
    states = record.nodes
    active = 0
    while True:
        failed = any(node.state == "failed" for node in states.values())
        for node in graph:
            ready = all(states[up].state in ("done", "cached") for up in node.upstream)
            if states[node.id].state == "waiting" and ready and active < parallel and not failed:
                states[node.id].state, states[node.id].started = "running", time.time()
                record.write(folder)
                threading.Thread(
                    target=_run_one,
                    args=(node.id, record, folder, paths, running, outcomes, use_host),
                    daemon=True,
                ).start()
                active += 1
        if active == 0:
            break
        try:
            name, summary, error = outcomes.get(timeout=POLL_S)
        except queue.Empty:
            view.update(record, folder)
            continue
        active -= 1
        record.settle(name, summary, error)
        record.write(folder)
        view.update(record, folder)
    for state in states.values():
        if state.state == "waiting":
            state.state = "skipped"


def _run_one(
    name: str,
    record: RunRecord,
    folder: Path,
    paths: Paths,
    running: _Running,
    outcomes: queue.Queue[tuple[str, Any, str]],
    use_host: bool,
) -> None:
    kwargs = {
        "ir_file": str(folder / "ir.json"),
        "node_id": name,
        "run_id": record.run_id,
        "home": str(paths.home),
    }
    request = _request(paths, folder, name, "pipelines.base.node:run_node", kwargs)
    try:
        if use_host:
            call = Call(host_client.socket_path(paths.home), request)
            with running.lock:
                running.calls[name] = call
            outcomes.put((name, call.wait(), ""))
        else:
            outcomes.put((name, host_client.direct(request), ""))
    except CallError as error:
        outcomes.put((name, None, error.cause))
    except Exception as error:
        outcomes.put((name, None, f"{type(error).__name__}: {error}"))


def _cancel(
    record: RunRecord, folder: Path, paths: Paths, running: _Running, view: View, use_host: bool
) -> None:
    """Ends the children, then tells ML Metadata; a second Ctrl-C while this happens does not interrupt it."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    record.state = "cancelled"
    active = [name for name, node in record.nodes.items() if node.state == "running"]
    view.say(f"Interrupted: ending {', '.join(active) or 'nothing that runs'} ...")
    with running.lock:
        for call in running.calls.values():
            call.cancel()
    record.stop("cancelled")
    try:
        kwargs = {"home": str(paths.home), "run_id": record.run_id, "reason": "cancelled by the user"}
        _caller(paths, folder, use_host)("cancel", "pipelines.base.node:fail_active", kwargs)
    except ProjectError as error:
        view.say(f"The metadata could not be told ({error}); the next run will.")
    signal.signal(signal.SIGINT, signal.default_int_handler)
