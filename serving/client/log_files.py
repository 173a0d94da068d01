"""The finished request-log files of one model: which they are, from when to when they were written, and what rate of
requests that makes. Records are read by `serving.client.request_logs`. Standard library only.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

# A file that was open for less says nothing of a rate.
SHORTEST_S = 1.0


class LogFile(NamedTuple):
    """`started` and `ended` are Unix seconds: of its name, and of its last write."""

    path: Path
    started: float
    ended: float


def log_files(directory: str | Path, model: str) -> list[LogFile]:
    """The finished files that a server wrote for `model`, in the order in which they were begun."""
    stem = re.escape(re.sub(r"[^A-Za-z0-9_.]", "_", model))
    pattern = re.compile(rf"{stem}-(\d{{8}}T\d{{6}}Z)-\d+-(\d+)\.tfrecord")
    found = []
    for path in Path(directory).glob("*.tfrecord"):
        match = pattern.fullmatch(path.name)
        if match:
            started = float(calendar.timegm(time.strptime(match[1], "%Y%m%dT%H%M%SZ")))
            try:
                found.append((started, int(match[2]), LogFile(path, started, path.stat().st_mtime)))
            except OSError:
                continue  # removed meanwhile
    return [file for *_, file in sorted(found)]


def rate_of(files: Sequence[LogFile], requests: float) -> float | None:
    """Requests a second over the time in which files were open; None where that is too short to say."""
    covered, end = 0.0, 0.0
    for file in files:
        covered += max(0.0, file.ended - max(file.started, end))
        end = max(end, file.ended)
    return requests / covered if covered >= SHORTEST_S and requests > 0 else None
