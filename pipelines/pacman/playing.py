"""Whole episodes: a policy plays a list of starts, many at a time, and what it did is kept.

A policy is given what the games show and the numbers of their episodes, and answers an action for each. What it
answers for one game must not depend on which others are asked about at the same time; then an episode is the same
however many run beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipelines.pacman.actors import IDLE, Fleet
from pipelines.pacman.game import Start

# (what is seen by kind [n, depth, ...], numbers of the episodes [n]) -> actions [n].
Policy = Callable[[Mapping[str, np.ndarray], np.ndarray], np.ndarray]
AT_ONCE = 24


@dataclass
class Episode:
    """One that was played: an action and a reward for each step."""

    start: Start
    actions: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    @property
    def score(self) -> float:
        """Points in all."""
        return float(sum(self.rewards))


def play(
    starts: Sequence[Start],
    policy: Policy,
    what: Sequence[str],
    *,
    depth: int = 1,
    fleet: Fleet | None = None,
    done: Callable[[int], None] = lambda count: None,
) -> list[Episode]:
    """The episodes of `starts`, in that order. The policy sees the last `depth` looks [n, depth, ...], the newest last.

    `done(count)` is called as episodes end. A `fleet` that is given stays open.
    """
    if fleet is None:
        with Fleet(min(AT_ONCE, len(starts)), what) as made:
            return play(starts, policy, what, depth=depth, fleet=made, done=done)
    episodes = [Episode(start) for start in starts]
    waiting: Iterator[int] = iter(range(len(starts)))
    playing = dict(zip(range(fleet.size), waiting, strict=False))
    seen = Recent(depth, fleet.begin({game: starts[number] for game, number in playing.items()}))
    ended = 0
    while playing:
        games, numbers = np.array(list(playing)), np.array(list(playing.values()))
        chosen = policy({kind: looks[games] for kind, looks in seen.looks.items()}, numbers)
        actions = np.full(fleet.size, IDLE)
        actions[games] = chosen
        fleet.send(actions)
        step = fleet.receive()
        for game, number in list(playing.items()):
            episode = episodes[number]
            episode.actions.append(int(actions[game]))
            episode.rewards.append(float(step.rewards[game]))
            if step.over[game]:
                ended += 1
                done(ended)
                del playing[game]
        seen.add(step.seen)
        free = [game for game in range(fleet.size) if game not in playing]
        begun = dict(zip(free, waiting, strict=False))
        if begun:
            playing |= begun
            seen.begin(fleet.begin({game: starts[number] for game, number in begun.items()}), list(begun))
    return episodes


class Recent:
    """The last `depth` looks at every game, by kind uint8 [n, depth, ...]; an episode's first look stands for those
    before it.
    """

    def __init__(self, depth: int, first: Mapping[str, np.ndarray]) -> None:
        self.looks = {kind: np.repeat(seen[:, None], depth, axis=1) for kind, seen in first.items()}

    def add(self, seen: Mapping[str, np.ndarray]) -> None:
        """What all games show after a step."""
        for kind, looks in self.looks.items():
            looks[:, :-1] = looks[:, 1:]
            looks[:, -1] = seen[kind]

    def begin(self, seen: Mapping[str, np.ndarray], games: Sequence[int]) -> None:
        """`games` have begun an episode."""
        for kind, looks in self.looks.items():
            looks[games] = seen[kind][games][:, None]


def as_served(looks: np.ndarray) -> np.ndarray:
    """Looks [n, depth, ...] as served models take them: memories [n, 128], screens [n, 84, 84, depth]."""
    return looks[:, -1] if looks.ndim == 3 else np.moveaxis(looks, 1, -1)
