"""Which delivery of data a DAG run is about, and whether it has arrived. Standard library only.

A span is a folder `span-N` (seam 1). With `spans="date"` N is the number of days from 1970-01-01 to the day that
the run is about (the start of its data interval). With `spans="counter"` deliveries have no dates: a run takes
the one that set it off, else the latest; in a backfill the n-th day since the card's `start` takes span n.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.base import registry
from pipelines.base.paths import Paths
from pipelines.base.project import Project

EPOCH = datetime.date(1970, 1, 1)
DATED_RUNS = ("scheduled", "backfill")


def number_of(day: datetime.date) -> int:
    """The span that holds the data of `day`: days since 1970-01-01."""
    return (day - EPOCH).days


def day_of(span: int) -> datetime.date:
    """The inverse of `number_of`."""
    return EPOCH + datetime.timedelta(days=span)


def is_dated(card: Project, run_type: str) -> bool:
    """Whether a run of this type is about exactly one day's data and must take its turn."""
    return run_type in DATED_RUNS and (
        card.spans == "date" or (card.spans == "counter" and run_type == "backfill")
    )


def for_run(
    card: Project,
    run_type: str,
    day: datetime.date,
    asked: int | None,
    events: Mapping[Any, Any] | None = None,
) -> int | None:
    """The span of a run; None means the latest. `asked` (the DAG param) wins, then the delivery in `events`."""
    if asked is not None:
        return asked
    delivered = [
        span
        for batch in (events or {}).values()
        for event in batch
        for span in told_by(getattr(event, "extra", None))
    ]
    if delivered:
        return max(delivered)
    if not is_dated(card, run_type):
        return None
    return number_of(day) if card.spans == "date" else (day - datetime.date.fromisoformat(card.start)).days


def told_by(extra: Any) -> list[int]:
    """The span that an asset's event is about: as our command says it, or as a watcher does, in its payload."""
    told = extra or {}
    told = told.get("payload", told) if isinstance(told, Mapping) else {}
    return [int(told["span"])] if isinstance(told, Mapping) and "span" in told else []


def folder(paths: Paths, data: str, span: int) -> Path:
    """Where span N of a run lies: below its data path, else below HOME/data/<project>."""
    return (Path(data) if data else paths.data) / f"span-{span}"


def nothing_to_train_on(paths: Paths, data: str, *, sample: bool) -> str:
    """Why a run has no data and what to do, '' if it has some: nobody trains on a made-up sample unasked."""
    if data or sample or any(paths.data.glob("span-*")) or registry.get(paths.project).data.database:
        return ""
    name = paths.project
    return (
        f"{name}: there is no data in {paths.data}. Fetch the official set (`viaduct data {name}`), name your own "
        f"(param `data`, --data PATH), or ask for a made-up sample (param `sample`, --sample)."
    )


def present(root: Path) -> list[int]:
    """Numbers of the spans under `root`, sorted; a folder that is still being written has another name."""
    suffixes = (path.name.removeprefix("span-") for path in root.glob("span-*") if path.is_dir())
    return sorted(int(number) for number in suffixes if number.isdigit())
