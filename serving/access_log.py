"""One JSON line per request, where a flag asks for it. Written by a thread; lines are dropped and counted
rather than requests held up. It is no record of what was asked: see `serving.request_log` for that.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from typing import Any, TextIO


class AccessLog:
    """`path` "-" means standard output. Thread-safe."""

    def __init__(self, path: str, queue_size: int = 10_000) -> None:
        self._file: TextIO = sys.stdout if path == "-" else open(path, "a", encoding="utf-8")  # noqa: SIM115
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
        if self._file is not sys.stdout:
            self._file.close()

    def _run(self) -> None:
        while True:
            fields = self._queue.get()
            if fields is None:
                self._file.flush()
                return
            moment = fields.pop("time")
            stamp = (
                time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z"
            )
            line = {"time": stamp, **fields, "ms": round(fields.get("seconds", 0.0) * 1000, 3)}
            line.pop("seconds", None)
            try:
                self._file.write(json.dumps(line) + "\n")
                if self._queue.empty():
                    self._file.flush()
            except (OSError, ValueError):
                self.dropped += 1
