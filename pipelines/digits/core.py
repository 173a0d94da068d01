"""Softmax regression in TensorFlow's core operations: variables, matrix products, and a training step by hand.

No Keras and no automatic gradient: the derivative of the cross entropy of a softmax is short enough to write
down. It is the variant to read when one wants to see what a framework does.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import progress
from pipelines.base import training
from pipelines.digits.features import CLASSES, SIDE

if TYPE_CHECKING:
    import tensorflow as tf

INPUTS = SIDE * SIDE


@cache
def _module() -> Any:
    """The class, made when TensorFlow is wanted: importing this file must not import it."""
    import tensorflow as tf

    class SoftmaxRegression(tf.Module):
        """`logits(pixels)` and `train_step(pixels, labels, rate, momentum)`. One thread at a time trains."""

        def __init__(self) -> None:
            super().__init__(name="softmax_regression")
            self.weights = tf.Variable(tf.zeros([INPUTS, CLASSES]), name="weights")
            self.bias = tf.Variable(tf.zeros([CLASSES]), name="bias")
            self._weights_speed = tf.Variable(tf.zeros([INPUTS, CLASSES]), trainable=False)
            self._bias_speed = tf.Variable(tf.zeros([CLASSES]), trainable=False)

        def logits(self, pixels: tf.Tensor) -> tf.Tensor:
            """Pixels [n, 28, 28] 0..255 -> scores before softmax [n, 10]."""
            return tf.matmul(self._inputs(pixels), self.weights) + self.bias

        __call__ = logits

        @tf.function
        def train_step(
            self, pixels: tf.Tensor, labels: tf.Tensor, rate: tf.Tensor, momentum: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            """One step of gradient descent with momentum on labels [n] int64; returns (loss, accuracy)."""
            inputs = self._inputs(pixels)
            logits = tf.matmul(inputs, self.weights) + self.bias
            wanted = tf.one_hot(labels, CLASSES)
            loss = -tf.reduce_mean(tf.reduce_sum(wanted * tf.nn.log_softmax(logits), axis=1))
            # d loss / d logits of a softmax cross entropy is (probability - wanted) / n.
            slope = (tf.nn.softmax(logits) - wanted) / tf.cast(tf.shape(labels)[0], tf.float32)
            self._weights_speed.assign(
                momentum * self._weights_speed - rate * tf.matmul(inputs, slope, transpose_a=True)
            )
            self._bias_speed.assign(momentum * self._bias_speed - rate * tf.reduce_sum(slope, axis=0))
            self.weights.assign_add(self._weights_speed)
            self.bias.assign_add(self._bias_speed)
            return loss, tf.reduce_mean(tf.cast(tf.argmax(logits, axis=1) == labels, tf.float32))

        @staticmethod
        def _inputs(pixels: tf.Tensor) -> tf.Tensor:
            return tf.reshape(pixels, [-1, INPUTS]) / 255.0

    return SoftmaxRegression


def build() -> Any:
    """A new SoftmaxRegression with zero weights (a convex problem needs no other start)."""
    return _module()()


def fit(
    model: Any,
    train: tf.data.Dataset,
    evaluation: tf.data.Dataset,
    epochs: int,
    rate: float,
    momentum: float,
    steps_per_epoch: int,
    log_dir: str,
    checkpoints: Path,
) -> list[float]:
    """Trains with a rate that falls linearly to zero; TensorBoard logs with the step's graph in `log_dir`.

    `train` and `evaluation` give (pixels [n, 28, 28], labels [n]). Weights and momentum go to `checkpoints` after
    every epoch; a training that was killed continues from there, and the folder goes when it ends. Returns the
    evaluation accuracy of each epoch run here.
    """
    import tensorflow as tf

    done = tf.Variable(0, dtype=tf.int64, name="epochs_done")
    saved = tf.train.Checkpoint(model=model, done=done)
    manager = tf.train.CheckpointManager(saved, str(checkpoints), max_to_keep=1)
    manager.restore_or_initialize()
    first = int(done) * steps_per_epoch
    total, step, accuracies = epochs * steps_per_epoch, first, []
    # Keras's layout of folders and tags, so that TensorBoard and the report show every variant alike.
    writers = {name: tf.summary.create_file_writer(f"{log_dir}/{name}") for name in ("train", "validation")}
    for epoch in range(int(done), epochs):
        seen = []
        for pixels, labels in train:
            falling = tf.constant(rate * max(0.0, 1 - step / total), tf.float32)
            with _traced(writers["train"]) if step == first else contextlib.nullcontext():
                seen.append(model.train_step(pixels, labels, falling, tf.constant(momentum)))
            step += 1
            loss = float(seen[-1][0])
            training.check_loss(loss, f"epoch {epoch + 1}, step {len(seen)}")
            progress.report(step, total, "steps", epoch=epoch + 1, loss=loss)
        _write(writers["train"], epoch, *(float(tf.reduce_mean(part)) for part in zip(*seen, strict=True)))
        loss, accuracy = evaluate(model, evaluation)
        _write(writers["validation"], epoch, loss, accuracy)
        accuracies.append(accuracy)
        done.assign_add(1)
        manager.save()
        progress.report(step, total, "steps", force=True, epoch=epoch + 1, loss=float(seen[-1][0]))
    for writer in writers.values():
        writer.close()
    shutil.rmtree(checkpoints, ignore_errors=True)
    return accuracies


def evaluate(model: Any, rows: tf.data.Dataset) -> tuple[float, float]:
    """Mean cross entropy and accuracy over all rows of (pixels, labels) batches."""
    import tensorflow as tf

    count, loss, hits = 0, 0.0, 0.0
    for pixels, labels in rows:
        logits = model.logits(pixels)
        count += len(labels)
        loss += float(tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)))
        hits += float(tf.reduce_sum(tf.cast(tf.argmax(logits, axis=1) == labels, tf.float32)))
    return loss / count, hits / count


def _write(writer: Any, epoch: int, loss: float, accuracy: float) -> None:
    import tensorflow as tf

    with writer.as_default():
        tf.summary.scalar("epoch_loss", loss, step=epoch)
        tf.summary.scalar("epoch_accuracy", accuracy, step=epoch)


@contextlib.contextmanager
def _traced(writer: Any) -> Iterator[None]:
    """Records the graph of what runs inside, for TensorBoard's graph page."""
    import tensorflow as tf

    tf.summary.trace_on(graph=True, profiler=False)
    yield
    with writer.as_default():
        tf.summary.trace_export("train_step", step=0)
