"""Environment steps and updates per second of pacman's training against a plain loop over the same games.

Both sides play the same number of games, learn from batches of the same size as often, and use the same networks,
replay and console. Ours is `learning.Training.advance`: games in processes of their own, which play while the networks
learn. Theirs is the loop as one would write it: act, step every game, learn, in one process, one after the other.
`throughput_ratio` is environment steps per second, ours / theirs; updates keep the same relation to steps.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import pipelines  # noqa: F401  (sets what TensorFlow must find in the environment)
from benchmarks.report import arguments, finish, interleave, median, median_ratio, spread, table

WARM_STEPS = 640


def ours(trained: Any, steps: int) -> float:
    """Steps per second of a training that is under way."""
    goal, start, begun = trained.step + steps, time.perf_counter(), trained.step
    while trained.step < goal:
        trained.advance()
    return (trained.step - begun) / (time.perf_counter() - start)


class Plain:
    """The same training as a loop in one process."""

    def __init__(self, variant: str, parameters: dict[str, Any]) -> None:
        import numpy as np

        from pipelines.pacman import learning, plan
        from pipelines.pacman.agent import Agent
        from pipelines.pacman.game import Game
        from pipelines.pacman.network import SEES
        from pipelines.pacman.playing import Recent

        self.parameters, self.plan = parameters, plan
        self.what, depth = SEES[variant]
        self.agent = Agent(variant, parameters)
        self.replay = learning.make_replay(variant, parameters)
        self.random = np.random.default_rng(0)
        self.games = [Game() for _ in range(parameters["games"])]
        self.begun = [0] * len(self.games)
        for number, game in enumerate(self.games):
            game.start(plan.training_start(number, 0))
        self.recent = Recent(depth, {self.what: self._looks()})
        self.fresh = np.ones(len(self.games), bool)
        self.credit = 0.0

    def _looks(self) -> Any:
        import numpy as np

        return np.stack([game.look(self.what) for game in self.games])

    def run(self, steps: int) -> float:
        """Steps per second."""
        import numpy as np

        from pipelines.pacman.agent import told
        from pipelines.pacman.replay import LOST, ON

        done, start, size = 0, time.perf_counter(), self.parameters["batch_size"]
        while done < steps:
            looks = self.recent.looks[self.what]
            chance = self.random.random(len(looks)) < self.parameters["epsilon_first"]
            actions = np.where(chance, self.random.integers(0, 9, len(looks)), self.agent.act(looks))
            taken = [game.step(int(action)) for game, action in zip(self.games, actions, strict=True)]
            rewards = told(np.array([step.reward for step in taken]))
            ends = np.array([LOST if step.lost else ON for step in taken])
            self.replay.add(looks[:, -1], actions, rewards, ends, self.fresh)
            self.fresh = np.array([step.over for step in taken])
            for number in np.flatnonzero(self.fresh):
                self.begun[number] += 1
                self.games[number].start(self.plan.training_start(int(number), self.begun[number]))
            seen = {self.what: self._looks()}
            self.recent.add(seen)
            self.recent.begin(seen, np.flatnonzero(self.fresh).tolist())
            self._learn(len(looks), size)
            done += len(looks)
        return done / (time.perf_counter() - start)

    def _learn(self, steps: int, size: int) -> None:
        self.credit += steps * self.parameters["updates_per_step"]
        at_once = self.parameters["updates_at_once"]
        while self.credit >= at_once and self.replay.tree.total > 0:
            self.credit -= at_once
            batches = [self.replay.draw(size, self.random) for _ in range(at_once)]
            errors, _ = self.agent.learn(batches)
            for batch, error in zip(batches, errors, strict=True):
                self.replay.update(batch.places, error)


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--variant", default="mlp", help="mlp or conv")
    options = parser.parse_args()
    from pipelines.base.settings import Settings
    from pipelines.pacman.learning import Training
    from pipelines.pacman.project import PROJECT

    settings = Settings.of(PROJECT, options.variant, "quick")
    parameters: dict[str, Any] = dict(settings.parameters)
    steps = 3_200 if options.quick else 16_000
    rounds = options.rounds or (3 if options.quick else 5)
    with Training(settings.variant, parameters) as trained:
        plain = Plain(settings.variant, parameters)
        # Replays that have something to draw, and functions that are traced.
        ours(trained, WARM_STEPS)
        plain.run(WARM_STEPS)
        sides = {"ours": lambda: ours(trained, steps), "plain loop": lambda: plain.run(steps)}
        samples = interleave(sides, rounds, warm=False)
    share = parameters["updates_per_step"]
    table(
        ["side", "steps/s", "updates/s", "median (lowest .. highest)"],
        [[name, median(v), median(v) * share, spread(v)] for name, v in samples.items()],
        title=f"{parameters['games']} games, {steps:,} steps, {rounds} rounds, variant {settings.variant}",
    )
    figures = {f"{name.replace(' ', '_')}_steps_s": median(values) for name, values in samples.items()}
    finish("rl", {"throughput_ratio": median_ratio(samples["ours"], samples["plain loop"]), **figures})


if __name__ == "__main__":
    main()
