"""Where events come from: Retailrocket's events.csv, or a sample of the same layout.

The sample's statistics are described in sampling.py.
"""

from __future__ import annotations

import csv
from pathlib import Path

from pipelines.base.errors import ProjectError
from pipelines.recommendations import sampling
from pipelines.recommendations.project import PROJECT
from pipelines.recommendations.rows import COLUMNS, FILE


def fetch(folder: Path) -> None:
    """Kaggle gives the file to its members only, so this raises ProjectError with the command to type."""
    raise ProjectError(
        f"{PROJECT.name}: Kaggle asks for an account. Fetch it with `{PROJECT.data.command}` (Kaggle's own "
        f"client and key), then: viaduct run {PROJECT.name} --profile full --data FOLDER."
    )


def sample(folder: Path, rows: int, seed: int) -> None:
    """Writes `rows` made-up events to events.csv, see sampling.events; same seed, same bytes."""
    with (folder / FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(sampling.events(rows, seed))
