"""Whole episodes of the random policy, packed as rows have them; an actor plays them alone, without being asked.

What was seen is packed by zlib, which finds what stays the same from one look to the next.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.pacman.game import ACTIONS, Game, Start


def random_episode(game: Game, start: Start, kinds: Sequence[str]) -> dict[str, Any]:
    """The episode of `start` in which every action is drawn evenly, by a seed of its own.

    Of each step what was seen before it (kinds of game.SHAPES, each as zlib's packing of uint8 [steps, ...]), the
    action, the reward and whether a life was lost.
    """
    random = np.random.default_rng(start)
    seen: dict[str, list[bytes]] = {kind: [] for kind in kinds}
    actions, rewards, lost = [], [], []
    game.start(start)
    while True:
        for kind, looks in seen.items():
            looks.append(game.look(kind).tobytes())
        actions.append(int(random.integers(len(ACTIONS))))
        step = game.step(actions[-1])
        rewards.append(step.reward)
        lost.append(int(step.lost))
        if step.over:
            break
    packed = {kind: zlib.compress(b"".join(looks), 6) for kind, looks in seen.items()}
    return {
        "seed": start.seed,
        "noops": start.noops,
        "steps": len(actions),
        "score": sum(rewards),
        "actions": actions,
        "rewards": rewards,
        "lost": lost,
        **packed,
    }
