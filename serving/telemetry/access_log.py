"""One JSON line per request, where a flag asks for it. Written by a thread; lines are dropped and counted
rather than requests held up. Several processes may write to one file: what goes to it at a time is whole lines,
appended in one piece. It is no record of what was asked: see `serving.telemetry.request_log` for that.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from typing import Any

# As much as a pipe takes in one piece.
PIECE_BYTES = 2048


class AccessLog:
    """`path` "-" means standard output. Thread-safe."""

    def __init__(self, path: str, queue_size: int = 10_000) -> None:
        self._ours = path != "-"
        if self._ours:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        else:
            self._file = sys.stdout.fileno()
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue(queue_size)
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def write(self, **fields: Any) -> None:
        """Keys as given, with the time and `ms` added."""
        fields["time"] = time.time()
        try:
            self._queue.put_nowait(fields)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join(timeout=5)
        if self._ours and not self._thread.is_alive():
            os.close(self._file)

    def _run(self) -> None:
        lines: list[str] = []
        size = 0
        while (fields := self._queue.get()) is not None:
            lines.append(_line(fields))
            size += len(lines[-1])
            if self._queue.empty() or size >= PIECE_BYTES:
                self._append(lines)
                lines, size = [], 0
        self._append(lines)

    def _append(self, lines: list[str]) -> None:
        try:
            data = "".join(lines).encode()
            while data:
                data = data[os.write(self._file, data) :]
        except OSError:
            self.dropped += len(lines)


def _line(fields: dict[str, Any]) -> str:
    moment = fields.pop("time")
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z"
    line = {"time": stamp, **fields, "ms": round(fields.get("seconds", 0.0) * 1000, 3)}
    line.pop("seconds", None)
    return json.dumps(line) + "\n"
