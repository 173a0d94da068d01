"""How a trial tells of its steps while it trains, and learns that it may stop: lines in its folder, and an answer.

The trial's side (`report`) and the tuner's (`Reader`). A training outside of a trial reports to nobody. Standard
library only; whether a trial falls behind is the study's to say.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.base import whole

LINES, ANSWER = "steps.jsonl", "answer.json"
POLL_S = 0.02
# A tuner that does not answer for so long is busy or hangs; the trial goes on, and is told later.
PATIENCE_S = 60.0


class Pruned(BaseException):
    """The trial has fallen behind and is ended. No Exception, so that no model's code takes it for a failure."""


@dataclass
class _Trial:
    folder: Path
    watch: str
    told: int


_trial: _Trial | None = None


def watched() -> str:
    """The figure of an epoch that the trial in this process is watched by; '' in none, and in one that is not."""
    return _trial.watch if _trial is not None else ""


@contextlib.contextmanager
def trial(folder: Path, watch: str) -> Iterator[None]:
    """This process is the trial of `folder` while the block runs."""
    global _trial
    _trial = _Trial(folder, watch, len(whole_lines(folder)))
    try:
        yield
    finally:
        _trial = None


def whole_lines(folder: Path) -> list[str]:
    """The lines told so far; one that a killed process left unfinished is cut off."""
    file = folder / LINES
    if not file.exists():
        return []
    data = file.read_bytes()
    kept = data[: data.rfind(b"\n") + 1]
    if len(kept) != len(data):
        whole.write(file, kept)
    return kept.decode().splitlines()


def report(step: int, value: float) -> None:
    """Says what is watched after `step` (1, 2, ...), and waits for the answer. Raises Pruned where that is to stop."""
    if _trial is None:
        return
    with (_trial.folder / LINES).open("a", encoding="utf-8") as lines:
        lines.write(json.dumps([step, value if math.isfinite(value) else str(value)]) + "\n")
    _trial.told += 1
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        answered, stop = _answer(_trial.folder)
        if answered >= _trial.told:
            if stop:
                raise Pruned
            return
        time.sleep(POLL_S)


def _answer(folder: Path) -> tuple[int, bool]:
    try:
        answered, stop = json.loads((folder / ANSWER).read_text(encoding="utf-8"))
        return int(answered), bool(stop)
    except (OSError, ValueError, TypeError):
        return 0, False


class Reader:
    """The tuner's side of one trial's steps."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._read = folder, 0
        (folder / ANSWER).unlink(missing_ok=True)

    def fresh(self) -> list[tuple[int, float]]:
        """(step, value) of what was told since the last call."""
        file = self._folder / LINES
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()[self._read :]
        self._read += len(lines)
        return [(int(step), float(value)) for step, value in map(json.loads, lines)]

    def answer(self, *, stop: bool) -> None:
        """Lets the trial go on after what was read, or ends it."""
        whole.write(self._folder / ANSWER, json.dumps([self._read, stop]))
