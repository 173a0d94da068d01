"""The Trainer: takes up the played episodes, goes on playing, and exports what it thinks of a state.

`serving_default` takes what one sees now (`ram` [n, 128], or `frames` [n, 84, 84, 4], the newest last; uint8) and
answers the action, its name and the values of all nine. `serve_examples` takes episodes as tf.Examples and answers
for the middle of each.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components import progress
from pipelines.base import training, whole
from pipelines.base.errors import ProjectError
from pipelines.pacman import features, learning
from pipelines.pacman.agent import Agent
from pipelines.pacman.features import ACTIONS_KEY, LOST_KEY, NOOPS_KEY, REWARDS_KEY, SEED_KEY, xf
from pipelines.pacman.game import ACTIONS, RAM_BYTES, SIDE, Start
from pipelines.pacman.network import SEES

if TYPE_CHECKING:
    import tensorflow as tf

CURVE_FILE = "curve.json"


def run_fn(fn_args: Any) -> None:
    """Trains and exports; see the module. A training that was killed goes on from its last checkpoint."""
    run = training.Run.of(fn_args)
    parameters = run.parameters
    tune = starts(fn_args.eval_files, run.spec)
    folder = training.checkpoint_dir(fn_args)
    with learning.Training(parameters["variant"], parameters) as trained:
        if not trained.load(folder):
            learning.fill(trained.replay, episodes(fn_args.train_files, run.spec, trained.what))
        try:
            learning.run(trained, tune, folder, _tell)
        except ProjectError:
            # What was learned until then leads there again.
            shutil.rmtree(folder, ignore_errors=True)
            raise
        trained.agent.model.set_weights(trained.best)
        whole.write(run.folder / CURVE_FILE, json.dumps(asdict(trained.curve)))
        _log(run.folder, trained.curve)
        player = make_player(trained.agent, parameters["variant"])
        training.export(player, fn_args, signatures(player))
    shutil.rmtree(folder, ignore_errors=True)


def _tell(trained: learning.Training) -> None:
    last = [score for _, score in trained.curve.episodes[-20:]]
    score = float(np.mean(last)) if last else 0.0
    progress.report(trained.step, trained.steps, "steps", score=score)


def _log(folder: Path, curve: learning.Curve) -> None:
    """Score and loss for TensorBoard."""
    import tensorflow as tf

    with tf.summary.create_file_writer(str(folder / "train")).as_default():
        for name, points in (("epoch_score", curve.episodes), ("epoch_loss", curve.losses[::50])):
            for step, value in points:
                tf.summary.scalar(name, value, step)
    with tf.summary.create_file_writer(str(folder / "validation")).as_default():
        for step, value in curve.looks:
            tf.summary.scalar("epoch_score", value, step)


def episodes(files: Sequence[str], spec: Mapping[str, Any], what: str) -> Iterator[dict[str, np.ndarray]]:
    """Transformed rows as learning.fill takes them."""
    for rows in training.dataset(files, spec, None, 1):
        yield {
            "looks": features.unpacked(rows[xf(what)].numpy().ravel()[0], what),
            "actions": rows[xf(ACTIONS_KEY)].values.numpy(),
            "rewards": rows[xf(REWARDS_KEY)].values.numpy(),
            "lost": rows[xf(LOST_KEY)].values.numpy(),
        }


def starts(files: Sequence[str], spec: Mapping[str, Any]) -> list[Start]:
    """Where the episodes of transformed rows begin."""
    return [
        Start(int(rows[xf(SEED_KEY)].numpy().item()), int(rows[xf(NOOPS_KEY)].numpy().item()))
        for rows in training.dataset(files, spec, None, 1)
    ]


def make_player(agent: Agent, variant: str) -> tf.Module:
    """What is exported: `outputs(looks uint8 [n, depth, ...])`."""
    import tensorflow as tf

    class Player(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="player")
            self.network = agent.model
            self.what, self.depth = SEES[variant]

        def outputs(self, looks: tf.Tensor) -> dict[str, tf.Tensor]:
            values = self.network(looks)
            action = tf.argmax(values, axis=1)
            return {"action": action, "name": tf.gather(tf.constant(ACTIONS), action), "values": values}

    return Player()


def signatures(player: Any) -> dict[str, Any]:
    """The signatures of a player; see the module."""
    import tensorflow as tf

    if player.what == "ram":
        spec = tf.TensorSpec([None, RAM_BYTES], tf.uint8, name="ram")

        @tf.function(input_signature=[spec])
        def serving_default(ram: tf.Tensor) -> dict[str, tf.Tensor]:
            return player.outputs(tf.reshape(ram, [tf.shape(ram)[0], 1, RAM_BYTES]))
    else:
        spec = tf.TensorSpec([None, SIDE, SIDE, player.depth], tf.uint8, name="frames")

        @tf.function(input_signature=[spec])
        def serving_default(frames: tf.Tensor) -> dict[str, tf.Tensor]:
            told = tf.reshape(frames, [tf.shape(frames)[0], SIDE, SIDE, player.depth])
            return player.outputs(tf.transpose(told, (0, 3, 1, 2)))

    def of_rows(rows: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        packed = tf.reshape(rows[player.what], [-1])
        return player.outputs(features.middle(packed, player.what, player.depth))

    return {"serving_default": serving_default, "serve_examples": _of_examples(of_rows, player.what)}


def _of_examples(outputs: Any, what: str) -> Any:
    """From tf.Examples to `outputs` of what they hold of `what`: the rest of an episode is for those who learn."""
    import tensorflow as tf

    spec = {what: tf.io.FixedLenFeature([], tf.string)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return outputs(tf.io.parse_example(examples, spec))

    return serve_examples
