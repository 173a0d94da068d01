"""What was played, bounded in memory, drawn by how wrong the values were: prioritised replay with n-step returns.

Priorities follow Schaul and others (2016), proportional variant, in a sum tree. Several games are kept side by side as
streams; a step is stored once, whatever the depth of looks and the length of returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

# How a step ends: the game goes on; a life is lost, after which nothing more is expected; or what came next is not
# known, because the episode was cut or its stream goes on with another one.
ON, LOST, CUT = 0, 1, 2
LEAST_PRIORITY = 1e-3


class SumTree:
    """Weights >= 0 of `leaves` things; drawing one in proportion and changing one cost log2(leaves)."""

    def __init__(self, leaves: int) -> None:
        self.size = 1 << max(leaves - 1, 1).bit_length()
        self.nodes = np.zeros(2 * self.size)

    @property
    def total(self) -> float:
        """The sum of all weights."""
        return float(self.nodes[1])

    def __getitem__(self, leaf: np.ndarray) -> np.ndarray:
        return self.nodes[leaf + self.size]

    def __setitem__(self, leaf: np.ndarray, weight: np.ndarray | float) -> None:
        node = leaf + self.size
        self.nodes[node] = weight
        while node[0] > 1:
            node = node >> 1
            self.nodes[node] = self.nodes[2 * node] + self.nodes[2 * node + 1]

    def find(self, height: np.ndarray) -> np.ndarray:
        """The leaves in whose part of [0, total) the heights lie."""
        node = np.ones(len(height), np.int64)
        height = height.copy()
        while node[0] < self.size:
            left = self.nodes[2 * node]
            right = height >= left
            height -= left * right
            node = 2 * node + right
        return node - self.size


class Drawn(NamedTuple):
    """Transitions [n]: where they are, what was seen and done, the n-step return, its discount for what was seen
    afterwards (0 where a life was lost), and weights that undo the preference, at most 1.
    """

    places: np.ndarray
    seen: np.ndarray
    actions: np.ndarray
    returns: np.ndarray
    discounts: np.ndarray
    after: np.ndarray
    weights: np.ndarray


class Replay:
    """The last `length` steps of each of `streams` games; looks are uint8 of `shape`.

    For one thread. `memory` says how many bytes it takes, from the beginning on.
    """

    def __init__(
        self, length: int, streams: int, shape: tuple[int, ...], *, depth: int, returns: int, discount: float,
        alpha: float = 0.5, beta: float = 0.5,
    ) -> None:  # fmt: skip
        if length <= depth + returns:
            raise ValueError(f"length is {length}; expected more than depth and returns, {depth + returns}")
        self.length, self.streams = length, streams
        self.depth, self.returns, self.discount, self.alpha, self.beta = depth, returns, discount, alpha, beta
        self.looks = np.zeros((length, streams, *shape), np.uint8)
        self.actions = np.zeros((length, streams), np.uint8)
        self.rewards = np.zeros((length, streams), np.float32)
        self.ends = np.zeros((length, streams), np.uint8)
        # Steps since the episode began, as far as they matter.
        self.ages = np.zeros((length, streams), np.uint8)
        self.tree = SumTree(length * streams)
        self.added = 0
        self.largest = 1.0

    def __len__(self) -> int:
        return min(self.added, self.length) * self.streams

    @property
    def memory(self) -> int:
        """Bytes of all that is kept."""
        return sum(array.nbytes for array in self._arrays().values()) + self.tree.nodes.nbytes

    def _arrays(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name) for name in ("looks", "actions", "rewards", "ends", "ages")}

    def add(
        self,
        looks: np.ndarray,
        actions: np.ndarray,
        rewards: np.ndarray,
        ends: np.ndarray,
        begins: np.ndarray,
    ) -> None:
        """A step of each stream [streams]: what was seen before it, what it gave, whether it was an episode's first."""
        slot, before = self.added % self.length, (self.added - 1) % self.length
        self.looks[slot], self.actions[slot] = looks, actions
        self.rewards[slot], self.ends[slot] = rewards, ends
        aged = np.minimum(self.ages[before].astype(int) + 1, 255) if self.added else 0
        self.ages[slot] = np.where(begins, 0, aged)
        if self.added >= self.length:
            # The oldest steps lose the looks before them.
            self.tree[self._places((slot + np.arange(self.depth)) % self.length)] = 0.0
        if self.added >= self.returns:
            begun = (self.added - self.returns) % self.length
            known = self._known(begun)
            if known.any():
                self.tree[begun * self.streams + np.flatnonzero(known)] = self.largest
        self.added += 1

    def _places(self, slots: np.ndarray) -> np.ndarray:
        return (slots[:, None] * self.streams + np.arange(self.streams)).ravel()

    def _known(self, slot: int) -> np.ndarray:
        """[streams] whether the return that begins there is known: no cut before a life is lost."""
        slots = (slot + np.arange(self.returns)) % self.length
        ends = self.ends[slots]
        alive = np.cumsum(ends == LOST, axis=0) - (ends == LOST) == 0
        return ~((ends == CUT) & alive).any(axis=0)

    def draw(self, count: int, random: np.random.Generator) -> Drawn:
        """`count` transitions, in proportion to their priorities."""
        total = self.tree.total
        places = self.tree.find((np.arange(count) + random.random(count)) / count * total)
        chance = self.tree[places] / total
        if not chance.all():
            # Rounding may point at what is not to be drawn.
            places = np.where(chance > 0, places, places[np.argmax(chance)])
            chance = self.tree[places] / total
        weights = (len(self) * chance) ** -self.beta
        slots, streams = places // self.streams, places % self.streams
        returns, discounts = self._returns(slots, streams)
        after = (slots + self.returns) % self.length
        return Drawn(
            places,
            self._stack(slots, streams),
            self.actions[slots, streams].astype(np.int32),
            returns,
            discounts,
            self._stack(after, streams),
            (weights / weights.max()).astype(np.float32),
        )

    def _returns(self, slots: np.ndarray, streams: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total = np.zeros(len(slots), np.float32)
        discount = np.ones(len(slots), np.float32)
        for step in range(self.returns):
            slot = (slots + step) % self.length
            total += discount * self.rewards[slot, streams]
            discount = np.where(self.ends[slot, streams] == LOST, 0, discount * self.discount)
        return total, discount.astype(np.float32)

    def _stack(self, slots: np.ndarray, streams: np.ndarray) -> np.ndarray:
        """[n, depth, ...] the looks up to these, the newest last; an episode's first stands for those before it."""
        back = np.minimum(np.arange(self.depth)[::-1], self.ages[slots, streams][:, None])
        return self.looks[(slots[:, None] - back) % self.length, streams[:, None]]

    def update(self, places: np.ndarray, errors: np.ndarray) -> None:
        """Priorities from how far the values were from what `draw` gave."""
        priorities = (np.abs(errors) + LEAST_PRIORITY) ** self.alpha
        self.largest = max(self.largest, float(priorities.max()))
        self.tree[places] = priorities

    def state(self) -> dict[str, np.ndarray]:
        """All there is, as arrays that `restore` takes; what was never filled is left out."""
        filled = min(self.added, self.length)
        arrays = {name: array[:filled] for name, array in self._arrays().items()}
        leaves = self.tree.nodes[self.tree.size : self.tree.size + self.length * self.streams]
        return {**arrays, "leaves": leaves, "counts": np.array([self.added, self.largest])}

    def restore(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`, for a Replay of the same measures."""
        self.added, self.largest = int(state["counts"][0]), float(state["counts"][1])
        for name, array in self._arrays().items():
            array[: len(state[name])] = state[name]
        self.tree[np.arange(self.length * self.streams)] = state["leaves"]
