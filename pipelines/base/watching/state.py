"""What a watch remembers, in HOME/watch/<served name>/state.json: written whole, and naming the file of waiting rows.

One watch per model at a time: `alone` says whether this process is it. It judges nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.base import whole
from pipelines.base.watching import windows
from pipelines.base.watching.windows import Row

STATE = "state.json"
KEPT = 200


@dataclass
class State:
    """generation: of the waiting rows' file. done: log files that were read. streaks: by version, by feature.
    windows, alarms: the newest, for people. An alarm is of a `feature` that drifted or of a `metric` that got worse.
    quality: by version {'answers', 'outcomes', 'odd', 'metrics'}: answers with an id, those whose outcome is known, of
    these the ones that cannot be compared, and what quality.measure makes of the rest.
    started: when the last retraining was begun, Unix seconds; `reason` why.
    """

    generation: int = 0
    done: list[str] = field(default_factory=list)
    streaks: dict[str, dict[str, int]] = field(default_factory=dict)
    windows: list[dict[str, Any]] = field(default_factory=list)
    alarms: list[dict[str, Any]] = field(default_factory=list)
    quality: dict[str, dict[str, Any]] = field(default_factory=dict)
    started: float = 0.0
    reason: str = ""

    def drifted(self, version: int | None) -> tuple[str, ...]:
        """Features of a version with an alarm."""
        found = [a["feature"] for a in self.alarms if a["version"] == version and "feature" in a]
        return tuple(dict.fromkeys(found))

    def worse(self, version: int | None) -> tuple[str, ...]:
        """Metrics in which a version is shown to be worse than its evaluation said, as things stand."""
        known = self.quality.get(str(version), {}).get("metrics", [])
        return tuple(one["metric"] for one in known if one["worse"])


def load(folder: Path) -> State:
    """A fresh one where there is none that can be read."""
    try:
        told = json.loads((folder / STATE).read_text(encoding="utf-8"))
        known = {one.name for one in dataclasses.fields(State)}
        return State(**{name: value for name, value in told.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError):
        return State()


def waiting(folder: Path, state: State) -> list[Row]:
    return windows.kept(folder / f"waiting-{state.generation}.tfrecord")


def save(folder: Path, state: State, rows: list[Row] | None = None) -> None:
    """Writes the state; with `rows` those that wait, under the next generation."""
    folder.mkdir(parents=True, exist_ok=True)
    if rows is not None:
        state.generation += 1
        windows.keep(folder / f"waiting-{state.generation}.tfrecord", rows)
    state.windows, state.alarms = state.windows[-KEPT:], state.alarms[-KEPT:]
    whole.write(folder / STATE, json.dumps(dataclasses.asdict(state), indent=1))
    # Also those that a process left which was killed before this line.
    for file in folder.glob("waiting-*.tfrecord"):
        if file.name != f"waiting-{state.generation}.tfrecord":
            file.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Whether nobody else watches this model; the lock ends with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
