"""Rows whose time is over: a card's `retention_days` goes before every root, and says which models learnt from them.

A span is as old as its day (cards with `spans="date"`), else as its folder's last change; Examples are as old as the
span that they were made of, or as themselves where that lies elsewhere. What goes is rows: span folders, and the
Examples of ExampleGens and Transform. Statistics and vocabularies stay, and so do models, which are named. Made-up
samples have no time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.base.housekeeping.ages import DAY_S
from pipelines.base.housekeeping.roots import UNDER_WAY, served_names
from pipelines.base.housekeeping.snapshot import Artifact, Snapshot
from pipelines.base.paths import Paths
from pipelines.base.project import Project

ROWS = "Examples"


@dataclass(frozen=True)
class Over:
    """Rows that have to go. `spans`: folders; `examples`: artifacts; `models` that learnt from them, named for people.

    `waiting` are examples that a run under way reads; spans wait for any run (`busy`). They go when it has ended.
    """

    spans: dict[Path, float]
    examples: dict[int, float]
    models: dict[int, list[str]]
    waiting: frozenset[int] = frozenset()
    busy: bool = False


def over(paths: Paths, card: Project | None, snapshot: Snapshot, marked: dict[int, str], now: float) -> Over:
    """What is older than the card allows at `now`; ages in seconds. Nothing where the card says nothing."""
    if card is None or card.retention_days is None:
        return Over({}, {}, {})
    limit = card.retention_days * DAY_S
    busy = any(why == UNDER_WAY for why in marked.values())
    spans = {
        folder: age
        for folder in sorted(paths.data.glob("span-*"))
        if (age := _span_age(card, _number(folder), folder, now)) is not None and age > limit
    }
    examples: dict[int, float] = {}
    models: dict[int, list[str]] = {}
    waiting = set()
    for artifact, age in _raw(paths, card, snapshot, now):
        if age <= limit:
            continue
        rows = [artifact, *(a for a in _made_of(snapshot, artifact.id) if a.type == ROWS)]
        learnt = [_named(snapshot, a) for a in _made_of(snapshot, artifact.id) if a.type == "Model"]
        for part in rows:
            if marked.get(part.id) == UNDER_WAY:
                waiting.add(part.id)
            elif part.state == "LIVE":
                examples[part.id], models[part.id] = age, learnt
    return Over(spans, examples, models, frozenset(waiting), busy)


def _raw(paths: Paths, card: Project, snapshot: Snapshot, now: float) -> Iterator[tuple[Artifact, float]]:
    """(Examples that an ExampleGen made of what is not made up, the age of their rows in seconds)."""
    for artifact in snapshot.artifacts.values():
        producer = snapshot.producer(artifact.id)
        if artifact.type != ROWS or producer is None or producer.inputs:
            continue
        base = Path(str(producer.config.get("input_base") or paths.data))
        if base.is_relative_to(paths.samples.parent):
            continue
        number = artifact.properties.get("span")
        folder = base / f"span-{number}" if number is not None else base
        age = _span_age(card, number, folder, now) if base.is_relative_to(paths.home) else None
        if age is None and card.spans == "date" and number:
            age = now - number * DAY_S
        yield artifact, now - artifact.made if age is None else age


def _span_age(card: Project, number: int | None, folder: Path, now: float) -> float | None:
    if card.spans == "date" and number is not None:
        return now - number * DAY_S
    try:
        return now - folder.stat().st_mtime
    except OSError:
        return None


def _number(folder: Path) -> int | None:
    match = re.fullmatch(r"span-(\d+)", folder.name)
    return int(match[1]) if match else None


def _made_of(snapshot: Snapshot, artifact: int) -> list[Artifact]:
    """Everything that was made of it, directly or not."""
    found: dict[int, Artifact] = {}
    waiting = [artifact]
    while waiting:
        current = waiting.pop()
        for reader in snapshot.readers(current):
            for _, made in reader.outputs:
                if made not in found and made in snapshot.artifacts:
                    found[made] = snapshot.artifacts[made]
                    waiting.append(made)
    return list(found.values())


def _named(snapshot: Snapshot, model: Artifact) -> str:
    pushed = [
        str(a.properties.get("pushed_destination"))
        for a in _made_of(snapshot, model.id)
        if a.type == "PushedModel" and a.properties.get("pushed_destination")
    ]
    if pushed:
        return "/".join(Path(pushed[-1]).parts[-2:])
    names = ", ".join(sorted(served_names(snapshot, model.id)))
    return f"model {model.id}" + (f" ({names})" if names else "")
