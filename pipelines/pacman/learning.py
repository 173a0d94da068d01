"""A training: games go on while what was played is learned from, and all of it can be put down and taken up again.

The actors play one step while the networks learn from the steps before; which step is learned from when depends on
numbers alone, not on who is faster, so two trainings with the same parameters are the same, and so is one that was
killed and taken up from its last checkpoint: that holds the networks, the optimizer, the whole replay, the random
numbers and the console of every game.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.base import training, whole
from pipelines.pacman import plan
from pipelines.pacman.actors import Fleet
from pipelines.pacman.agent import Agent, told
from pipelines.pacman.game import ACTIONS, Start
from pipelines.pacman.network import SEES
from pipelines.pacman.playing import Policy, Recent, play
from pipelines.pacman.replay import CUT, LOST, ON, Replay

Parameters = Mapping[str, Any]
# Seeds and a game's own number of looks are the same for all trainings.
SEED = 4


@dataclass
class Curve:
    """What is told of a training: a score per episode played, the loss, and looks at starts never trained on."""

    episodes: list[tuple[int, float]] = field(default_factory=list)
    losses: list[tuple[int, float]] = field(default_factory=list)
    looks: list[tuple[int, float]] = field(default_factory=list)


class Training:
    """One training; `run` makes it end. For one thread; with `with`, so that its games end too."""

    def __init__(self, variant: str, parameters: Parameters) -> None:
        import tf_keras as keras

        keras.utils.set_random_seed(SEED)
        self.parameters = parameters
        self.what, self.depth = SEES[variant]
        self.agent = Agent(variant, parameters)
        self.random = np.random.default_rng(SEED)
        games = int(parameters["games"])
        self.fleet = Fleet(games, [self.what], int(parameters["processes"]))
        self.replay = make_replay(variant, parameters)
        self.step = 0
        self.curve = Curve()
        self.best: list[np.ndarray] = []
        self.begun = np.zeros(games, np.int64)
        self.scores = np.zeros(games)
        self.fresh = np.ones(games, bool)
        self._credit = 0.0
        first = self.fleet.begin({game: self._next_start(game) for game in range(games)})
        self.recent = Recent(self.depth, first)

    def __enter__(self) -> Training:
        return self

    def __exit__(self, *_: object) -> None:
        self.fleet.close()

    def _next_start(self, game: int) -> Start:
        self.begun[game] += 1
        return plan.training_start(game, int(self.begun[game]))

    @property
    def steps(self) -> int:
        """How many steps of all games the training has."""
        return int(self.parameters["steps"])

    def epsilon(self) -> float:
        """The share of actions that are drawn: falls evenly, then stays."""
        parameters = self.parameters
        done = min(1.0, self.step / (parameters["epsilon_share"] * self.steps))
        return float(
            parameters["epsilon_first"] + done * (parameters["epsilon_last"] - parameters["epsilon_first"])
        )

    def advance(self) -> None:
        """One step of every game, and the updates that go with it."""
        looks = self.recent.looks[self.what]
        drawn = self.random.random(len(looks)) < self.epsilon()
        anything = self.random.integers(0, len(ACTIONS), len(looks))
        actions = np.where(drawn, anything, self.agent.act(looks))
        self.fleet.send(actions)
        self._learn(len(looks))
        step = self.fleet.receive()
        # A life lost ends what is expected; a game that was cut leaves open what would have come.
        ends = np.where(step.lost, LOST, np.where(step.over, CUT, ON))
        self.replay.add(looks[:, -1], actions, told(step.rewards), ends, self.fresh)
        self.step += len(looks)
        self.scores += step.rewards
        self.fresh = step.over.copy()
        self.recent.add(step.seen)
        over = np.flatnonzero(step.over).tolist()
        if over:
            self.curve.episodes += [(self.step, float(self.scores[game])) for game in over]
            self.scores[over] = 0
            self.recent.begin(self.fleet.begin({game: self._next_start(game) for game in over}), over)

    def _learn(self, steps: int) -> None:
        self._credit += steps * self.parameters["updates_per_step"]
        at_once = int(self.parameters["updates_at_once"])
        while self._credit >= at_once and self.replay.tree.total > 0:
            self._credit -= at_once
            size = int(self.parameters["batch_size"])
            batches = [self.replay.draw(size, self.random) for _ in range(at_once)]
            errors, loss = self.agent.learn(batches)
            training.check_loss(loss, f"step {self.step}")
            for batch, error in zip(batches, errors, strict=True):
                self.replay.update(batch.places, error)
            self.curve.losses.append((self.step, loss))

    def look(self, starts: Sequence[Start]) -> None:
        """Plays `starts` without chance, and keeps the exported network if it never did better."""
        episodes = play(starts, greedy(self.agent, self.what), [self.what], depth=self.depth)
        score = float(np.mean([episode.score for episode in episodes]))
        if not self.curve.looks or score >= max(before for _, before in self.curve.looks):
            self.best = self.agent.model.get_weights()
        self.curve.looks.append((self.step, score))

    def save(self, folder: Path) -> None:
        """A checkpoint of now in `folder`, whole; earlier ones go when it stands."""
        with whole.folder(folder / f"{self.step:09d}", replace=True) as aside:
            np.savez(aside / "agent.npz", **self.agent.state())
            np.savez(aside / "replay.npz", **self.replay.state())
            np.savez(aside / "best.npz", *self.best)
            looks, games = self.recent.looks[self.what], np.array(self.fleet.states(), dtype=object)
            np.savez(
                aside / "games.npz",
                looks=looks,
                states=games,
                scores=self.scores,
                begun=self.begun,
                fresh=self.fresh,
            )
            facts = {
                "step": self.step,
                "credit": self._credit,
                "random": self.random.bit_generator.state,
                "curve": vars(self.curve),
            }
            (aside / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
        for other in checkpoints(folder)[:-1]:
            shutil.rmtree(other)

    def load(self, folder: Path) -> bool:
        """Takes up the newest checkpoint in `folder`; False where there is none."""
        found = checkpoints(folder)
        if not found:
            return False
        newest = found[-1]
        facts = json.loads((newest / "facts.json").read_text(encoding="utf-8"))
        self.step, self._credit = facts["step"], facts["credit"]
        self.random.bit_generator.state = facts["random"]
        self.curve = Curve(
            **{name: [tuple(pair) for pair in pairs] for name, pairs in facts["curve"].items()}
        )
        self.agent.restore(np.load(newest / "agent.npz"))
        self.replay.restore(np.load(newest / "replay.npz"))
        best = np.load(newest / "best.npz")
        self.best = [best[name] for name in best.files]
        games = np.load(newest / "games.npz", allow_pickle=True)
        self.scores, self.begun, self.fresh = games["scores"], games["begun"], games["fresh"]
        self.fleet.restore(games["states"].tolist())
        self.recent.looks[self.what][:] = games["looks"]
        return True


def checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints in `folder`, oldest first."""
    return sorted(path for path in folder.glob("*") if path.name.isdecimal())


def make_replay(variant: str, parameters: Parameters) -> Replay:
    """The replay of a training: `replay` steps of all games together."""
    from pipelines.pacman.game import SHAPES

    what, depth = SEES[variant]
    games = int(parameters["games"])
    return Replay(
        max(int(parameters["replay"]) // games, depth + int(parameters["returns"]) + 1),
        games,
        SHAPES[what],
        depth=depth,
        returns=int(parameters["returns"]),
        discount=float(parameters["discount"]),
    )


def greedy(agent: Agent, what: str) -> Policy:
    """What the exported network thinks best."""
    return lambda seen, numbers: agent.act(seen[what], smooth=True)


def fill(replay: Replay, episodes: Iterator[Mapping[str, np.ndarray]]) -> None:
    """Puts whole episodes (looks, actions, rewards, lost [steps]) into the streams, one behind the other.

    A stream goes on with an episode from its middle where another one's end was reached; steps that are too many to
    fill all streams evenly are left out.
    """
    columns: dict[str, list[np.ndarray]] = {
        "looks": [],
        "actions": [],
        "rewards": [],
        "ends": [],
        "begins": [],
    }
    for episode in episodes:
        ends = np.where(episode["lost"].astype(bool), LOST, ON)
        ends[-1] = ends[-1] or CUT
        begins = np.zeros(len(ends), bool)
        begins[0] = True
        given = {**episode, "ends": ends, "begins": begins, "rewards": told(episode["rewards"])}
        for name, column in columns.items():
            column.append(given[name])
    whole_columns = {name: np.concatenate(column) for name, column in columns.items()}
    length = min(len(whole_columns["ends"]) // replay.streams, replay.length - 1)
    for step in range(length):
        rows = step + length * np.arange(replay.streams)
        now = {name: column[rows] for name, column in whole_columns.items()}
        if step == length - 1:
            now["ends"] = np.where(now["ends"] == LOST, LOST, CUT)
        now["begins"] = now["begins"] | (step == 0)
        replay.add(now["looks"], now["actions"], now["rewards"], now["ends"], now["begins"])


def run(
    trained: Training,
    tune: Sequence[Start],
    folder: Path | None,
    told_of: Callable[[Training], None] = lambda trained: None,
) -> None:
    """Trains to the end, from where `trained` stands; checkpoints go to `folder`, if there is one."""
    steps, parameters = trained.steps, trained.parameters
    games = trained.fleet.size
    every, looks = int(parameters["checkpoint_steps"]), int(parameters["looks"])
    # Looks are at even parts of the last two thirds of the training, the last one at its end.
    due = [round(steps * (1 / 3 + 2 / 3 * (n + 1) / looks)) for n in range(looks)]
    while trained.step < steps:
        before = trained.step
        trained.advance()
        if any(before < at <= trained.step for at in due):
            trained.look(tune)
        if folder is not None and before // every != trained.step // every:
            trained.save(folder)
        if before // (64 * games) != trained.step // (64 * games):
            told_of(trained)
    told_of(trained)
