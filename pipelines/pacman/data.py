"""Where the data come from: nowhere but the game. What is written here is a plan of episodes (plan.py).

`viaduct data pacman` and the sample write plans with different seeds; rows.py plays them. Nothing is downloaded: the
game comes with the package ale-py.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.pacman import plan
from pipelines.pacman.project import PROJECT

OFFICIAL_SEED = 0


def fetch(folder: Path) -> None:
    """Writes the plan that production is trained and judged by."""
    plan.write(folder / plan.FILE, plan.made(PROJECT.full.sample_rows, OFFICIAL_SEED))


def sample(folder: Path, rows: int, seed: int) -> None:
    """Writes a plan of `rows` episodes whose seeds depend on `seed`; the official plan has none of them."""
    plan.write(folder / plan.FILE, plan.made(rows, 1 + seed))
