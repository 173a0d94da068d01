"""Tells whoever watches a node how far it is: one small JSON file, replaced as a whole.

The runner names the file in VIADUCT_PROGRESS before it starts a node; without it `report` does nothing, so the
same component runs under any other orchestrator. Standard library only; never raises, for progress must not
fail a node.
"""

from __future__ import annotations

import contextlib
import json
import os
import time

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
        aside = f"{path}.{os.getpid()}.tmp"
        with open(aside, "w", encoding="utf-8") as file:
            json.dump(state, file)
        os.replace(aside, path)
