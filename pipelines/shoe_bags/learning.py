"""The training loop: batches of both domains, losses and picture grids in TensorBoard, a checkpoint every epoch.

A training that was killed goes on after its last whole epoch with the same batches it would have had. It knows no
files of examples and exports nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from components import progress
from pipelines.base import training, whole
from pipelines.shoe_bags import network
from pipelines.shoe_bags.network import Networks

SEED = 1
# Pictures of each domain in a grid, and those of the tune rows that the reconstruction is measured on.
SHOWN, WATCHED = 10, 200
GRIDS = "grids"


class Domains(NamedTuple):
    """Pictures of both domains, uint8 [n, side, side, channels] each; they are no pairs."""

    shoes: np.ndarray
    bags: np.ndarray


def fit(
    networks: Networks,
    parameters: Mapping[str, Any],
    train: Domains,
    tune: Domains,
    folder: Path,
    checkpoints: Path,
) -> None:
    """Trains for `epochs` of `steps` steps under a rate that falls to a twentieth; logs and grids go to `folder`.

    Raises ProjectError at the first epoch with a loss that is not finite.
    """
    import tensorflow as tf

    epochs, steps = int(parameters["epochs"]), int(parameters["steps"])
    optimizers = make_optimizers(float(parameters["learning_rate"]), epochs * steps)
    step = network.training_step(networks, optimizers, float(parameters["reconstruction_weight"]))
    done = tf.Variable(0, dtype=tf.int64, name="epochs_done")
    kept = tf.train.Checkpoint(networks=list(networks), optimizers=list(optimizers), done=done)
    manager = tf.train.CheckpointManager(kept, str(checkpoints), max_to_keep=1)
    manager.restore_or_initialize()
    writers = {run: tf.summary.create_file_writer(str(folder / run)) for run in ("train", "validation")}
    for epoch in range(int(done), epochs):
        losses: list[dict[str, Any]] = []
        for shoes, bags in batches(train, int(parameters["batch_size"]), steps, epoch):
            losses.append(step(tf.constant(shoes), tf.constant(bags)))
            progress.report(epoch * steps + len(losses), epochs * steps, "steps", epoch=epoch + 1)
        means = {name: float(np.mean([float(one[name]) for one in losses])) for name in losses[0]}
        for loss in means.values():
            training.check_loss(loss, f"epoch {epoch + 1}")
        _log(writers["train"], epoch, means)
        shown = watch(networks, tune)
        _log(writers["validation"], epoch, {"reconstruction": shown.error}, shown.grid)
        (folder / GRIDS).mkdir(exist_ok=True)
        whole.write(folder / GRIDS / f"{epoch + 1:04d}.png", _png(shown.grid))
        done.assign_add(1)
        manager.save()
        progress.report(
            (epoch + 1) * steps,
            epochs * steps,
            "steps",
            force=True,
            epoch=epoch + 1,
            loss=means["reconstruction"],
        )
    for writer in writers.values():
        writer.close()
    shutil.rmtree(checkpoints, ignore_errors=True)


def make_optimizers(rate: float, steps: int) -> tuple[Any, Any]:
    """Adam for translators and for critics, as DCGAN has it (Radford et al. 2016), under a rate that falls linearly."""
    import tf_keras as keras

    falling = keras.optimizers.schedules.PolynomialDecay(rate, max(1, steps), rate / 20)
    return keras.optimizers.Adam(falling, beta_1=0.5), keras.optimizers.Adam(falling, beta_1=0.5)


def batches(train: Domains, size: int, steps: int, epoch: int) -> Any:
    """`steps` random batches (shoes, bags) of an epoch; the same for the same epoch."""
    random = np.random.default_rng([SEED, epoch])
    for _ in range(steps):
        yield tuple(domain[random.integers(len(domain), size=size)] for domain in train)


class Shown(NamedTuple):
    """`error`: mean squared error of tune pictures there and back, of both domains together; `grid` uint8 [h, w, c]."""

    error: float
    grid: np.ndarray


def watch(networks: Networks, tune: Domains) -> Shown:
    """What the served translators make of tune pictures: rows of originals, translations and reconstructions."""
    import tensorflow as tf

    error, lines = 0.0, []
    ways = (
        (networks.served_to_bag, networks.served_to_shoe),
        (networks.served_to_shoe, networks.served_to_bag),
    )
    for domain, (there, back) in zip(tune, ways, strict=True):
        given = network.scaled(tf.constant(domain[:WATCHED]))
        made = there(given, training=False)
        found = back(made, training=False)
        error += float(tf.reduce_mean(tf.square(found - given)))
        lines += [
            np.concatenate(list(network.pixels(of[:SHOWN]).numpy()), axis=1) for of in (given, made, found)
        ]
    width = min(line.shape[1] for line in lines)
    return Shown(error, np.concatenate([line[:, :width] for line in lines]))


def _log(writer: Any, epoch: int, figures: Mapping[str, float], grid: np.ndarray | None = None) -> None:
    import tensorflow as tf

    with writer.as_default():
        for name, value in figures.items():
            tf.summary.scalar(f"epoch_{name}", value, step=epoch)
        if grid is not None:
            tf.summary.image("originals, translations, reconstructions", grid[None], step=epoch)
    writer.flush()


def _png(grid: np.ndarray) -> bytes:
    from components.image_example_gen.pictures import png_of

    return png_of(grid)
