"""Whether a new model is to be trained now, and why: pure; and how much new data there is.

Reasons are drift, live quality, rows that no model has learnt from, and the time since the last training. A cooldown
after each start and a release in flight, or a run, hold all of them back. A clock that went back counts as time that
has passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.base.rollout import Watch


@dataclass(frozen=True)
class Facts:
    """now: Unix seconds. trained, started: when the last model was trained, and the last retraining begun (0: never).
    new_rows: that arrived since. drifted: features of the live version with an alarm. worse: metrics in which it is
    shown to be worse than in its evaluation. running: a run of the project is under way. releasing: a release is in
    flight, in words; "" for none.
    """

    now: float
    trained: float = 0.0
    started: float = 0.0
    new_rows: int = 0
    drifted: tuple[str, ...] = ()
    worse: tuple[str, ...] = ()
    running: bool = False
    releasing: str = ""


@dataclass(frozen=True)
class Due:
    """reason: why to train, "" where nothing asks for it. held: what holds it back, "" where nothing does."""

    reason: str = ""
    held: str = ""

    @property
    def now(self) -> bool:
        return bool(self.reason) and not self.held


def due(card: Watch, facts: Facts) -> Due:
    """The first reason that there is, and the first thing that holds it back."""
    reason = _reason(card, facts)
    return Due(reason, _held(card, facts) if reason else "")


def _reason(card: Watch, facts: Facts) -> str:
    if card.on_drift and facts.drifted:
        return f"drift: {', '.join(facts.drifted)}"
    if card.on_quality and facts.worse:
        return f"quality: {', '.join(facts.worse)}"
    if card.new_rows is not None and facts.new_rows >= card.new_rows:
        return f"data: {facts.new_rows} new rows, {card.new_rows} are enough"
    hours = (facts.now - facts.trained) / 3600
    if card.every_hours is not None and not 0 <= hours < card.every_hours:
        return f"schedule: every {card.every_hours:g} hours"
    return ""


def _held(card: Watch, facts: Facts) -> str:
    if facts.running:
        return "a run is under way"
    if facts.releasing:
        return facts.releasing
    hours = (facts.now - facts.started) / 3600
    if 0 <= hours < card.cooldown_hours:
        return f"the last retraining began {hours:.1f} h ago, the cooldown is {card.cooldown_hours:g} h"
    return ""


def rows_beyond(data: Path, span: int | None) -> int:
    """Rows in the spans after `span` (None: all of them): lines of CSV files without their heads; of others, files."""
    total = 0
    for folder in sorted(data.glob("span-*")):
        number = folder.name.removeprefix("span-")
        if not number.isdigit() or (span is not None and int(number) <= span):
            continue
        for file in (path for path in folder.rglob("*") if path.is_file() and path.name[:1] not in "._"):
            total += max(0, _lines(file) - 1) if file.suffix == ".csv" else 1
    return total


def _lines(file: Path) -> int:
    with file.open("rb") as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))
