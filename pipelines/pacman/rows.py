"""From a plan of episodes to rows: each is played by its policy, and all that was seen and done is kept, packed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components import progress
from pipelines.base.errors import ProjectError
from pipelines.pacman import plan
from pipelines.pacman.actors import PROCESSES, Fleet
from pipelines.pacman.game import SHAPES

# Episodes that are played before they are handed on.
BATCH = 4 * PROCESSES


def read_rows(files: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(split, row) of every episode of the plans, in their order: episodes.random_episode and the policy's name.

    Raises ProjectError where there is none, or no game.
    """
    # Who names one file means that one, whatever its name.
    plans = files if len(files) == 1 else [file for file in files if file.name == plan.FILE]
    planned = [one for file in plans for one in plan.read(file)]
    if not planned:
        raise ProjectError(
            f"No episodes in {[file.name for file in files][:5]}; expected {plan.FILE}, as `viaduct data pacman` "
            "writes it."
        )
    with Fleet(PROCESSES, tuple(SHAPES)) as fleet:
        for begin in range(0, len(planned), BATCH):
            batch = planned[begin : begin + BATCH]
            episodes = fleet.random_episodes([one.start for one in batch])
            for one, episode in zip(batch, episodes, strict=True):
                yield one.split, {**episode, "policy": one.policy}
            progress.report(begin + len(batch), len(planned), "episodes")
