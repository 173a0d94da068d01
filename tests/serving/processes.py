"""A model server as its users start it: a process of its own, on free ports of 127.0.0.1."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READY = re.compile(r"viaduct-serving ready grpc=(\S+) rest=(\S+)")


def until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Waits for what another thread or process brings about."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


class ServerProcess:
    """Starts `python -m serving.main` with free ports and waits for its ready line. Use in `with`."""

    def __init__(self, *flags: str, rest: bool = True, timeout_s: float = 120.0) -> None:
        ports = ["--port=0", *(["--rest_api_port=0"] if rest else [])]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "serving.main", *ports, *flags],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.grpc_address, self.rest_address = self._wait_ready(timeout_s)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._queue.put(line)
        self._queue.put(None)

    def _wait_ready(self, timeout_s: float) -> tuple[str, str]:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                line = self._queue.get(timeout=max(0.1, deadline - time.monotonic()))
            except queue.Empty:
                self.kill()
                raise TimeoutError("The server was not ready in time:\n" + self.output) from None
            if line is None:
                raise RuntimeError(f"The server ended with {self.process.wait()}:\n{self.output}")
            found = READY.search(line)
            if found:
                return found.group(1), found.group(2)

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    @property
    def url(self) -> str:
        return f"http://{self.rest_address}"

    def terminate(self, timeout_s: float = 60.0) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout_s)
        self._reader.join(timeout=10)
        return code

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.terminate()
        except subprocess.TimeoutExpired:
            self.kill()
            raise
