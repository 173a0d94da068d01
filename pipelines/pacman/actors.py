"""Games in processes of their own: `Fleet` steps many at once, and its caller works while they play.

An actor is a process without TensorFlow that runs `main` here, holds some of the games and speaks pickles over its
pipes; it ends when its standard input does, so it outlives no parent, however that ends. `multi-
processing` would fork a parent that has TensorFlow's threads, or import all that the parent's main module does.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from pipelines.base.errors import ProjectError
from pipelines.base.paths import CHECKOUT
from pipelines.pacman.episodes import random_episode
from pipelines.pacman.game import SHAPES, Game, Start

IDLE = -1
PROCESSES = 2
# By its name and not as `__main__`, so that its pickles name this module.
PROGRAM = "import sys; from pipelines.pacman import actors; actors.main(sys.argv[1:])"


class Steps(NamedTuple):
    """Of all games of a fleet: what is seen now, by kind, uint8 [n, ...], and what the last step gave [n]."""

    seen: dict[str, np.ndarray]
    rewards: np.ndarray
    lost: np.ndarray
    over: np.ndarray


class Fleet:
    """`size` games in `processes` actors, numbered in order. For one thread; to be closed, or used with `with`.

    `what` are keys of game.SHAPES. Raises ProjectError where a game cannot be started.
    """

    def __init__(self, size: int, what: Sequence[str], processes: int = PROCESSES) -> None:
        self.size = size
        counts = [len(part) for part in np.array_split(np.arange(size), min(processes, size))]
        self._ends = np.cumsum([0, *counts])
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._actors = [
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(count), *what],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=CHECKOUT,
                env=environment,
            )
            for count in counts
        ]

    def begin(self, starts: Mapping[int, Start]) -> dict[str, np.ndarray]:
        """Begins an episode in the games named; what all games show then."""
        self._send("begin", [{g - a: s for g, s in starts.items() if a <= g < b} for a, b in self._parts()])
        parts = self._receive()
        return {kind: np.concatenate([part[kind] for part in parts]) for kind in parts[0]}

    def send(self, actions: np.ndarray) -> None:
        """Lets every game take its action [size], but where that is IDLE. `receive` must follow."""
        self._send("step", [actions[a:b].tolist() for a, b in self._parts()])

    def receive(self) -> Steps:
        """What the actions sent have led to."""
        parts: list[Steps] = self._receive()
        seen = {kind: np.concatenate([part.seen[kind] for part in parts]) for kind in parts[0].seen}
        return Steps(seen, *(np.concatenate([part[n] for part in parts]) for n in (1, 2, 3)))

    def states(self) -> list[bytes]:
        """Of every game what `restore` takes, in this fleet or another."""
        self._send("state", [None] * len(self._actors))
        return [state for part in self._receive() for state in part]

    def restore(self, states: Sequence[bytes]) -> dict[str, np.ndarray]:
        """The inverse of `states`; what the games show then."""
        self._send("restore", [list(states[a:b]) for a, b in self._parts()])
        parts = self._receive()
        return {kind: np.concatenate([part[kind] for part in parts]) for kind in parts[0]}

    def random_episodes(self, starts: Sequence[Start]) -> list[dict[str, Any]]:
        """episodes.random_episode of each start, shared out among the actors."""
        shares = [list(starts[number :: len(self._actors)]) for number in range(len(self._actors))]
        self._send("random_episodes", shares)
        parts = self._receive()
        return [parts[n % len(parts)][n // len(parts)] for n in range(len(starts))]

    def close(self) -> None:
        """Ends the actors."""
        for actor in self._actors:
            assert actor.stdin is not None and actor.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                actor.stdin.close()
            actor.stdout.close()
        for actor in self._actors:
            actor.wait()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _parts(self) -> list[tuple[int, int]]:
        return [(int(a), int(b)) for a, b in zip(self._ends, self._ends[1:], strict=False)]

    def _send(self, order: str, given: Sequence[Any]) -> None:
        for actor, one in zip(self._actors, given, strict=True):
            assert actor.stdin is not None
            # Of one that has ended what it said before is still to be read.
            with contextlib.suppress(BrokenPipeError):
                pickle.dump((order, one), actor.stdin, protocol=5)
                actor.stdin.flush()

    def _receive(self) -> list[Any]:
        answers = []
        for actor in self._actors:
            assert actor.stdout is not None
            try:
                answers.append(pickle.load(actor.stdout))
            except (EOFError, pickle.UnpicklingError) as error:
                raise ProjectError(
                    f"pacman: a process that plays games ended with exit code {actor.wait()}; its own words stand in "
                    "the log before this."
                ) from error
            if isinstance(answers[-1], ProjectError):
                raise answers[-1]
        return answers


class _Table:
    """The games of one actor."""

    def __init__(self, count: int, what: Sequence[str]) -> None:
        self.games = [Game() for _ in range(count)]
        self.seen = {kind: np.zeros((count, *SHAPES[kind]), np.uint8) for kind in what}

    def look(self, number: int) -> None:
        for kind, looks in self.seen.items():
            looks[number] = self.games[number].look(kind)

    def begin(self, starts: Mapping[int, Start]) -> dict[str, np.ndarray]:
        for number, start in starts.items():
            self.games[number].start(start)
            self.look(number)
        return self.seen

    def step(self, actions: Sequence[int]) -> Steps:
        rewards = np.zeros(len(actions), np.float32)
        lost, over = np.zeros((2, len(actions)), bool)
        for number, action in enumerate(actions):
            if action != IDLE:
                rewards[number], lost[number], over[number] = self.games[number].step(action)
                self.look(number)
        return Steps(self.seen, rewards, lost, over)

    def random_episodes(self, starts: Sequence[Start]) -> list[dict[str, Any]]:
        return [random_episode(self.games[0], start, list(self.seen)) for start in starts]

    def state(self, _: None) -> list[bytes]:
        return [game.state() for game in self.games]

    def restore(self, states: Sequence[bytes]) -> dict[str, np.ndarray]:
        for number, state in enumerate(states):
            self.games[number].restore(state)
            self.look(number)
        return self.seen


def main(argv: Sequence[str]) -> None:
    """An actor: `argv` is the number of games and what is to be seen of them."""
    # What libraries print must not get among the pickles.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        table: _Table | ProjectError = _Table(int(argv[0]), argv[1:])
    except ProjectError as error:
        table = error
    while True:
        try:
            order, given = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        answer = table if isinstance(table, ProjectError) else getattr(table, order)(given)
        try:
            pickle.dump(answer, answers, protocol=5)
            answers.flush()
        except BrokenPipeError:
            return
