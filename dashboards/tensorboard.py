"""Starts TensorBoard on a run's event files, on loopback, and ends it with the dashboard.

One per folder, three at most (each is a process of its own with TensorFlow in it). The page posts here; the
answer leads the browser to TensorBoard as soon as it listens. That answer is a page and no redirect: browsers
hold a redirect after a form to the policy `form-action 'self'`, and TensorBoard's port is another origin.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from dashboards.files import Missing
from dashboards.site import Site

MOST = 3
START_S = 60.0
# The pipe on its standard input closes with the dashboard, however that ends; TensorBoard then ends too.
PROGRAM = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
from tensorboard.main import run_main
run_main()
"""


@dataclass
class Boards:
    """Running TensorBoards by folder. Thread-safe; owned by the app."""

    running: dict[str, tuple[Any, int]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def port(self, folder: str) -> int:
        """The port of a TensorBoard on `folder`, started if there is none. Raises Missing if it does not start."""
        with self.lock:
            held = self.running.get(folder)
            if held is None or held[0].poll() is not None:
                while len(self.running) >= MOST:
                    self._end(next(iter(self.running)))
                self.running[folder] = held = _start(folder)
        process, port = held
        _wait(process, port)
        return port

    def close(self) -> None:
        """Ends them all."""
        with self.lock:
            for folder in list(self.running):
                self._end(folder)

    def _end(self, folder: str) -> None:
        process, _ = self.running.pop(folder)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def _start(folder: str) -> tuple[Any, int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        "--logdir",
        folder,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet), port


def _wait(process: Any, port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Missing(
                f"TensorBoard ended with code {process.returncode}. Is the package tensorboard installed?"
            )
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise Missing(f"TensorBoard did not listen within {START_S:.0f} s.")


def start(boards: Boards, site: Site, form: dict[str, str]) -> str:
    """POST: TensorBoard on the event files of `run`; a page that leads there."""
    record = site.runs.record(form.get("run", ""))
    outputs = site.outputs(record, "ModelRun")
    if not outputs:
        raise Missing(f"Run {record.run_id} has no event files.")
    port = boards.port(str(site.files.inside(outputs[0]["uri"])))
    return site.render("tensorboard.html", record=record, address=f"http://127.0.0.1:{port}/")
