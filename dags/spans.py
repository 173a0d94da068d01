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
    events: Mapping[str, Any] | None = None,
) -> int | None:
    """The span of a run; None means the latest. `asked` (the DAG param) wins, then the delivery in `events`."""
    if asked is not None:
        return asked
    delivered = [
        int(event.extra["span"])
        for batch in (events or {}).values()
        for event in batch
        if "span" in (getattr(event, "extra", None) or {})
    ]
    if delivered:
        return max(delivered)
    if not is_dated(card, run_type):
        return None
    return number_of(day) if card.spans == "date" else (day - datetime.date.fromisoformat(card.start)).days


def folder(paths: Paths, data: str, span: int) -> Path:
    """Where span N of a run lies: below its data path, else below HOME/data/<project>."""
    return (Path(data) if data else paths.data) / f"span-{span}"


def present(root: Path) -> list[int]:
    """Numbers of the spans under `root`, sorted; a folder that is still being written has another name."""
    found = (path.name.removeprefix("span-") for path in root.glob("span-*") if path.is_dir())
    return sorted(int(number) for number in found if number.isdigit())
