"""Runs a compiled pipeline on this machine: nodes side by side where the graph allows, each in a process of its own.

A run that nothing would change is not repeated; one that was killed or failed is resumed by starting it again,
because finished nodes come from ML Metadata's cache. A node that fails stops what depends on it and nothing else.
Ctrl-C, SIGTERM and SIGHUP end the processes and mark what they were doing as failed. Showing progress is live.py's,
calling a node callers.py's, what a node does node.py's. This process imports no TFX.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from pipelines.base import callers, ir, run_record
from pipelines.base.errors import ViaductError
from pipelines.base.paths import Paths, metadata_url, sqlite_file
from pipelines.base.run_folder import RunFolder
from pipelines.base.run_record import NodeRecord, RunRecord
from pipelines.base.settings import Settings

POLL_S = 0.1
DEFAULT_PARALLEL = max(2, min(4, (os.cpu_count() or 2)))
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Given back when the run ends, so that how it ended can be written down on a disk that its nodes have filled.
RESERVE_BYTES = 1 << 18


class View(Protocol):
    """Shows a run to a person."""

    def say(self, text: str) -> None: ...

    def update(self, record: RunRecord, folder: Path) -> None: ...


class Caller(Protocol):
    """What the runner needs of a `callers.Caller`."""

    def ready(self, say: Callable[[str], None]) -> None: ...

    def call(self, name: str, function: str, kwargs: dict[str, Any], limit_s: float | None = None) -> Any: ...

    def cancel(self) -> None: ...

    def settle(self, reason: str, node: str = "") -> str: ...


def up_to_date(paths: Paths, fingerprint: str) -> RunRecord | None:
    """The project's latest finished run, if its fingerprint is this one and what it made is still there.

    Its database is a part of that, where it is a file.
    """
    database = sqlite_file(metadata_url(paths.home))
    for record in run_record.read_all(paths):
        # A search trains no model to be pushed: a run before it stands or not as if there had been none.
        if record.state != "succeeded" or record.settings.get("search"):
            continue
        if record.fingerprint != fingerprint:
            return None
        kept = [record.model, *filter(None, [record.pushed, str(database or "")])]
        return record if all(path and Path(path).exists() for path in kept) else None
    return None


def warm(folder: RunFolder) -> Caller:
    """Nodes run in children of the fork server."""
    return callers.Caller(folder, callers.warm)


def fresh(folder: RunFolder) -> Caller:
    """Nodes run in fresh processes, which pay the imports themselves."""
    return callers.Caller(folder, callers.process)


def run(
    paths: Paths,
    settings: Settings,
    fingerprint: str,
    view: View,
    parallel: int = DEFAULT_PARALLEL,
    make_caller: Callable[[RunFolder], Caller] = warm,
    limit_s: float | None = None,
) -> RunRecord:
    """Runs every node of the project's pipeline; returns the record, whose `state` tells how it ended.

    A node that takes longer than `limit_s` seconds is ended and has failed. Raises ViaductError only for what went
    wrong before the first node (fork server, metadata, compilation, a full disk), after writing it to the record.
    Ctrl-C, SIGTERM and SIGHUP cancel the run and are not raised again: state 'cancelled'.
    """
    with _ending_signals(), _full_disk_told(paths.runs):
        record = run_record.begin(paths, settings, fingerprint)
        folder = RunFolder(paths, record.run_id)
        under_way = _Run(record, folder, make_caller(folder), view, parallel, limit_s)
        with under_way.recorded():
            try:
                graph = under_way.prepare(settings)
                under_way.schedule(graph)
                failed = any(node.state == "failed" for node in record.nodes.values())
                record.state = "failed" if failed else "succeeded"
            except KeyboardInterrupt:
                under_way.cancel()
    return record


class _Run:
    """One run under way. Its record is changed by the thread that runs it alone; nodes have threads that only wait."""

    def __init__(
        self,
        record: RunRecord,
        folder: RunFolder,
        caller: Caller,
        view: View,
        parallel: int,
        limit_s: float | None,
    ) -> None:
        self._record, self._folder, self._caller = record, folder, caller
        self._view, self._parallel, self._limit_s = view, parallel, limit_s
        self._outcomes: queue.Queue[tuple[str, Any, str]] = queue.Queue()
        self._cancelled = False

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Keeps the record on the disk while the block runs, and writes how it ended, on a full disk too."""
        reserve = self._folder.path / ".reserve"
        reserve.write_bytes(b"\0" * RESERVE_BYTES)
        self._folder.make()
        self._record.write(self._folder.path)
        try:
            yield
        except BaseException:
            self._record.state = "failed"
            self._record.stop("failed")
            raise
        finally:
            self._record.ended = time.time()
            reserve.unlink(missing_ok=True)
            self._record.write(self._folder.path)
            self._view.update(self._record, self._folder.path)

    def prepare(self, settings: Settings) -> list[ir.Node]:
        """Fork server, metadata tables, dead runs, compilation: what must be there before the first node."""
        paths = self._folder.paths
        home = {"project": paths.project, "home": str(paths.home)}
        self._caller.ready(self._view.say)
        target = {"settings": settings.to_json(), "target": str(self._folder.ir)}
        # Neither needs the other, and nothing else is to do meanwhile.
        beside = concurrent.futures.ThreadPoolExecutor(1, "compile")
        compiled = beside.submit(
            self._caller.call, "compile", "pipelines.base.jobs:compile_to", {**home, **target}
        )
        beside.shutdown(wait=False)
        dead = [
            other
            for other in run_record.read_all(paths)
            if other.state == "running" and other.run_id != self._record.run_id and not other.alive()
        ]
        self._caller.call("prepare", "pipelines.base.jobs:prepare", home)
        for other in dead:
            other.state, other.ended = "failed", time.time()
            other.stop("failed", "the process that ran it ended")
            other.write(paths.runs / other.run_id)
            self._view.say(
                f"Run {other.run_id} ended without saying so; its unfinished nodes are marked failed."
            )
        compiled.result()
        graph = ir.nodes(ir.load(self._folder.ir))
        self._record.nodes = {node.id: NodeRecord() for node in graph}
        return graph

    def schedule(self, graph: list[ir.Node]) -> None:
        """Starts each node when what it waits for is done, some side by side, until nothing can start."""
        states = self._record.nodes
        active = 0
        while True:
            for node in graph:
                ready = all(states[up].state in ("done", "cached") for up in node.upstream)
                if states[node.id].state == "waiting" and ready and active < self._parallel:
                    states[node.id].state, states[node.id].started = "running", time.time()
                    threading.Thread(target=self._run_node, args=(node.id,), daemon=True).start()
                    active += 1
            self._show(written=True)
            if active == 0:
                break
            while True:
                try:
                    name, summary, error = self._outcomes.get(timeout=POLL_S)
                    break
                except queue.Empty:
                    self._show()
            active -= 1
            self._record.settle(name, summary, error)
        for state in states.values():
            if state.state == "waiting":
                state.state = "skipped"

    def _show(self, *, written: bool = False) -> None:
        if written:
            # On a full disk the nodes fail and say so; the reserve holds the record's last state.
            with contextlib.suppress(OSError):
                self._record.write(self._folder.path)
        self._view.update(self._record, self._folder.path)

    def _run_node(self, name: str) -> None:
        kwargs = {
            "ir_file": str(self._folder.ir),
            "node_id": name,
            "run_id": self._folder.run_id,
            "home": str(self._folder.paths.home),
        }
        try:
            summary = self._caller.call(name, "pipelines.base.node:run_node", kwargs, self._limit_s)
            self._outcomes.put((name, summary, ""))
        except Exception as error:
            cause = str(error) if isinstance(error, ViaductError) else f"{type(error).__name__}: {error}"
            if not self._cancelled:
                self._caller.settle(cause, name)
            self._outcomes.put((name, None, cause))

    def cancel(self) -> None:
        """Ends the processes, then tells ML Metadata; a second Ctrl-C while this happens does not interrupt it."""
        self._record.state, self._cancelled = "cancelled", True
        with _ignored(ENDING_SIGNALS):
            active = [name for name, node in self._record.nodes.items() if node.state == "running"]
            self._say(f"Interrupted: ending {', '.join(active)} ..." if active else "Interrupted.")
            self._caller.cancel()
            self._record.stop("cancelled")
            untold = self._caller.settle("cancelled by the user") if active else ""
            if untold:
                self._say(f"The metadata could not be told ({untold}); the next run will.")

    def _say(self, text: str) -> None:
        # After SIGHUP there may be no terminal to say it to.
        with contextlib.suppress(OSError):
            self._view.say(text)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _ending_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP are Ctrl-C while the block runs; one that is ignored (nohup) stays so."""
    with _handled(
        {number: _interrupt for number in ENDING_SIGNALS if signal.getsignal(number) != signal.SIG_IGN}
    ):
        yield


def _ignored(numbers: tuple[signal.Signals, ...]) -> contextlib.AbstractContextManager[None]:
    return _handled(dict.fromkeys(numbers, signal.SIG_IGN))


@contextlib.contextmanager
def _handled(handlers: dict[signal.Signals, Any]) -> Iterator[None]:
    """Handlers of signals while the block runs; only the main thread may have any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _full_disk_told(folder: Path) -> Iterator[None]:
    """A disk that takes no more is said in a sentence, whoever meets it first."""
    try:
        yield
    except OSError as error:
        if error.errno not in callers.FULL:
            raise
        raise ViaductError(f"The disk of {folder} is full ({error}). Make room and run again.") from error
