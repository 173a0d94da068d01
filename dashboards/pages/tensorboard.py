"""Starts TensorBoard on the event files of chosen runs, tells how far it is, and ends it with the dashboard.

One for each choice, three at most (each is a process of its own with TensorFlow in it, `dashboards.board`). The page
posts here and is led to one that looks again each second until TensorBoard listens, and then to it. That is a page
and no redirect: browsers hold a redirect after a form to the policy `form-action 'self'`, and TensorBoard's port is
another origin.
"""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from dashboards.pages.site import Site
from dashboards.readers.files import Missing
from pipelines.base.paths import CHECKOUT
from pipelines.base.run_record import RunRecord

MOST = 3
MOST_RUNS = 20


@dataclass(frozen=True)
class Board:
    """A TensorBoard over `runs`, as a process that may not listen yet."""

    id: str
    runs: tuple[str, ...]
    process: subprocess.Popen[bytes]
    port: int
    said: IO[bytes]
    started: float

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def listens(self) -> bool:
        """Whether it can be opened. Raises Missing, with what it said last, if it has ended."""
        if self.process.poll() is not None:
            self.said.seek(0)
            lines = self.said.read().decode("utf-8", "replace").strip().splitlines()
            why = lines[-1] if lines else "it did not say why"
            raise Missing(
                f"TensorBoard ended with code {self.process.returncode}: {why}. Is the package tensorboard installed?"
            )
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.5).close()
        except OSError:
            return False
        return True


@dataclass
class Boards:
    """Running TensorBoards by their ids. Thread-safe; owned by the app."""

    running: dict[str, Board] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, folders: Mapping[str, str]) -> Board:
        """The TensorBoard on `folders` (event files by run), started if there is none."""
        key = hashlib.sha256(json.dumps(dict(folders), sort_keys=True).encode()).hexdigest()[:12]
        with self.lock:
            held = self.running.get(key)
            if held is None or held.process.poll() is not None:
                self.running.pop(key, None)
                while len(self.running) >= MOST:
                    self._end(next(iter(self.running)))
                self.running[key] = held = _start(key, folders)
        return held

    def find(self, key: str) -> Board:
        """The one with this id. Raises Missing."""
        with self.lock:
            if key not in self.running:
                raise Missing("This TensorBoard is not running. Open it from a run's training.")
            return self.running[key]

    def close(self) -> None:
        """Ends them all."""
        with self.lock:
            for key in list(self.running):
                self._end(key)

    def _end(self, key: str) -> None:
        process = self.running.pop(key).process
        assert process.stdin is not None
        # It takes its folder of links away when its input ends.
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start(key: str, folders: Mapping[str, str]) -> Board:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    said = tempfile.TemporaryFile()  # noqa: SIM115 - the board owns it
    command = [
        sys.executable,
        "-m",
        "dashboards.board",
        json.dumps({"port": port, "runs": dict(folders)}),
    ]
    process = subprocess.Popen(
        command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
    )
    return Board(key, tuple(folders), process, port, said, time.monotonic())


def start(boards: Boards, site: Site, runs: Sequence[str]) -> Board:
    """POST: a TensorBoard over `runs`; those without event files are left out. Raises Missing if none has any."""
    folders = {}
    for run_id in dict.fromkeys(runs[:MOST_RUNS]):
        outputs = site.outputs(site.runs.record(run_id), "ModelRun")
        if outputs:
            folders[run_id] = str(site.files.inside(outputs[0]["uri"]))
    if not folders:
        raise Missing(f"There are no event files of {', '.join(runs) or 'no run'}.")
    return boards.start(folders)


def page(boards: Boards, site: Site, query: dict[str, str]) -> str:
    """How far `board` is; when it listens, the page leads there."""
    board = boards.find(query.get("board", ""))
    waited = time.monotonic() - board.started
    return site.render("tensorboard.html", board=board, listens=board.listens(), waited=waited)


def choices(site: Site, record: RunRecord) -> list[dict[str, Any]]:
    """Other runs of the project that may have event files, newest first, for the form."""
    rows = [row for row in site.runs.rows(record.project) if row.run_id != record.run_id and row.model]
    return [
        {"run": row.run_id, "variant": row.variant, "profile": row.profile} for row in rows[: MOST_RUNS - 1]
    ]
