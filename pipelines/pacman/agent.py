"""Double deep Q-learning: values learned from drawn transitions, with a second network that follows slowly.

Online network chooses the next action, the target network says what it is worth (van Hasselt and others, 2016). Points
are taken as log2(1 + points / 10): a dot 1, a power pill 2.6, ghosts 4.4 to 7.3; so values stay within a few dozens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.pacman import network
from pipelines.pacman.replay import Drawn

if TYPE_CHECKING:
    import tf_keras as keras

CLIP_NORM = 10.0


def told(rewards: np.ndarray) -> np.ndarray:
    """Points as the agent is told of them."""
    return np.log2(1 + np.maximum(rewards, 0) / 10).astype(np.float32)


class Agent:
    """Two networks of one variant and an optimizer. `model`, the target network and the smoother one, is exported."""

    def __init__(self, variant: str, parameters: Mapping[str, Any]) -> None:
        import tensorflow as tf
        import tf_keras as keras

        self.online: keras.Model = network.build(variant, parameters)
        self.model: keras.Model = network.build(variant, parameters)
        self.model.set_weights(self.online.get_weights())
        self.optimizer = keras.optimizers.legacy.Adam(parameters["learning_rate"], epsilon=1e-4)
        self.optimizer._create_all_weights(self.online.trainable_variables)
        self._follow = float(parameters["follow"])
        shape = tf.TensorSpec(self.online.input_shape, tf.uint8)
        self._values = tf.function(self.online, input_signature=[shape])
        self._smooth = tf.function(self.model, input_signature=[shape])
        self._learn = tf.function(self._steps)

    def act(self, seen: np.ndarray, *, smooth: bool = False) -> np.ndarray:
        """The best actions [n] for uint8 [n, depth, ...], of the online network, or of the one that is exported."""
        values = self._smooth(seen) if smooth else self._values(seen)
        return np.argmax(values.numpy(), axis=1)

    def learn(self, batches: Sequence[Drawn]) -> tuple[np.ndarray, float]:
        """A step on each batch, all of one size: how far values were off [batches, n], and the mean loss."""
        columns = [np.stack(column) for column in list(zip(*batches, strict=True))[1:]]
        errors, loss = self._learn(*columns)
        return errors.numpy(), float(loss)

    def _steps(
        self, seen: Any, actions: Any, returns: Any, discounts: Any, after: Any, weights: Any
    ) -> tuple[Any, Any]:
        import tensorflow as tf

        count = tf.shape(seen)[0]
        errors, total = tf.TensorArray(tf.float32, count), tf.constant(0.0)
        for n in tf.range(count):
            best = tf.argmax(self.online(after[n]), axis=1, output_type=tf.int32)
            worth = tf.gather(self.model(after[n]), best, axis=1, batch_dims=1)
            wanted = returns[n] + discounts[n] * worth
            with tf.GradientTape() as tape:
                value = tf.gather(self.online(seen[n]), actions[n], axis=1, batch_dims=1)
                error = wanted - value
                size = tf.abs(error)
                loss = tf.reduce_mean(weights[n] * tf.where(size < 1, 0.5 * error**2, size - 0.5))
            variables = self.online.trainable_variables
            gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), CLIP_NORM)
            self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
            for slow, fast in zip(self.model.variables, self.online.variables, strict=True):
                slow.assign_add(self._follow * (fast - slow))
            errors = errors.write(n, error)
            total += loss
        return errors.stack(), total / tf.cast(count, tf.float32)

    def state(self) -> dict[str, np.ndarray]:
        """Both networks' weights and the optimizer's, as arrays that `restore` takes."""
        return {str(number): variable.numpy() for number, variable in enumerate(self._variables())}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """The inverse of `state`."""
        for number, variable in enumerate(self._variables()):
            variable.assign(state[str(number)])

    def _variables(self) -> list[Any]:
        return [*self.online.variables, *self.model.variables, *self.optimizer.variables()]
