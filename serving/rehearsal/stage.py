"""A model server of its own for one version: a child process on free ports of 127.0.0.1, and what memory it takes.

Contract: `Stage` is a context; however it is left, the child has ended. It sends no requests.
"""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from serving.client import Client, Signature
from serving.errors import ServingError

READY = re.compile(r"viaduct-serving ready grpc=(\S+)")
END_S = 10.0


class StageError(Exception):
    """A version that did not come to answer: it ended its server, hung, or could not be loaded."""


class Stage:
    """The version in `folder`, served as version 1 of `model`. Raises StageError on entering."""

    def __init__(self, model: str, folder: str | Path, load_s: float) -> None:
        self._model, self._folder, self._load_s = model, Path(folder).resolve(), load_s
        self._temporary = tempfile.TemporaryDirectory(prefix="rehearsal-")
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._said: list[str] = []
        self.address = ""
        self.peak = 0

    def __enter__(self) -> Stage:
        try:
            base = Path(self._temporary.name) / "model"
            base.mkdir()
            (base / "1").symlink_to(self._folder, target_is_directory=True)
            self._start(base)
            self._wait()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def signatures(self) -> dict[str, Signature]:
        with Client(self.address, timeout=self._load_s) as client:
            return dict(client.metadata(self._model).signatures)

    def look(self) -> None:
        """Keeps the most memory that the server has had, in bytes."""
        if self._process is not None:
            self.peak = max(self.peak, _largest(self._process.pid))

    def ended(self) -> str:
        """How the server ended by itself; "" while it lives."""
        code = None if self._process is None else self._process.poll()
        return "" if code is None else f"its server ended with {code}"

    def _start(self, base: Path) -> None:
        command = [sys.executable, "-m", "serving.main", "--host=127.0.0.1", "--port=0", "--rest_api_port=0"]
        command += ["--max_num_load_retries=0", "--drain_seconds=1"]
        self._process = subprocess.Popen(
            [*command, f"--model_name={self._model}", f"--model_base_path={base}"],
            cwd=Path(__file__).resolve().parents[2],
            env={name: value for name, value in os.environ.items() if not name.startswith("TF_")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            self._said = [*self._said[-40:], line.rstrip()]
            if READY.search(line):
                self._lines.put(line)
        self._lines.put(None)

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self._load_s
        try:
            line = self._lines.get(timeout=self._load_s)
        except queue.Empty:
            raise StageError(f"it did not load within {self._load_s:g} s") from None
        found = READY.search(line or "")
        if found is None:
            last = next((text for text in reversed(self._said) if text), "")
            raise StageError(f"its server ended with {self._process.wait()} while it loaded: {last}")
        self.address = found[1]
        with Client(self.address, timeout=10) as client:
            while True:
                try:
                    (state,) = client.status(self._model)
                    if state.state == "AVAILABLE":
                        return
                    told = f"{state.state} {state.error}".strip()
                    if state.state == "END":
                        raise StageError(f"it does not load: {told}")
                except (ServingError, ValueError) as error:
                    told = str(error)
                if time.monotonic() > deadline:
                    raise StageError(f"it did not load within {self._load_s:g} s: {told}")
                time.sleep(0.05)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._temporary.cleanup()


def _largest(pid: int) -> int:
    """The largest resident set a process has had, in bytes; 0 where it has gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:")), 0)
    except OSError:
        return 0
