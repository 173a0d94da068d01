"""Tells whoever watches a node how far it is: one small JSON file, replaced as a whole.

The runner names the file in VIADUCT_PROGRESS before it starts a node; without it `report` does nothing, so the
same component runs under any other orchestrator. Never raises, for progress must not fail a node.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from pathlib import Path

from pipelines.base import whole

VARIABLE = "VIADUCT_PROGRESS"
MIN_INTERVAL_S = 0.2
_last_written = 0.0


def report(
    done: float, total: float | None = None, unit: str = "rows", *, force: bool = False, **figures: float
) -> None:
    """Says that `done` of `total` `unit` are through; `figures` (loss=0.2) are shown beside it.

    Written at most every 0.2 s unless `force`, so that it can be called from inner loops.
    """
    global _last_written
    path = os.environ.get(VARIABLE)
    now = time.monotonic()
    if not path or (now - _last_written < MIN_INTERVAL_S and not force):
        return
    _last_written = now
    state = {"done": done, "total": total, "unit": unit, "figures": {k: float(v) for k, v in figures.items()}}
    with contextlib.suppress(OSError):
        whole.write(Path(path), json.dumps(state))


class Counter:
    """Rows done in this process, shown while they come: to the runner, and as a log line every `step`. For all
    threads; made anew for each node."""

    def __init__(self, words: str, step: int) -> None:
        self._words, self._step = words, step
        self._lock = threading.Lock()
        self._rows = self._said = 0

    def add(self, rows: int, total: int | None) -> None:
        """`rows` more are done, of `total` where that is known."""
        from absl import logging

        with self._lock:
            self._rows += rows
            done, say = self._rows, self._rows - self._said >= self._step
            if say:
                self._said = done
        report(done, total, unit="rows")
        if say:
            logging.info("%s: %d%s", self._words, done, f" of {total}" if total else "")
