"""The trained posterior as plain variables, and Monte Carlo prediction with it. No Keras, no Probability needed.

A draw is a whole network: weights drawn once and used for every picture of the request. Draws are numbered, and draw
7 is the same network in every request, process and machine (TensorFlow's stateless random numbers), so that an answer
depends on the picture and the number of draws alone, never on its neighbours in a batch or on what was asked before.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from pipelines.traffic_signs.features import CLASSES

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

# Mean, deviation and bias of each layer's weights.
Layers = Sequence[tuple["np.ndarray", "np.ndarray", "np.ndarray"]]
MAX_DRAWS = 1000


@cache
def _module() -> Any:
    """The class, made when TensorFlow is wanted: importing this file must not import it."""
    import tensorflow as tf

    class Posterior(tf.Module):
        """Variables `means`, `deviations` and `biases`, one of each per layer. Read-only: any number of threads."""

        def __init__(self, layers: Layers) -> None:
            super().__init__(name="posterior")
            for name, values in zip(
                ("means", "deviations", "biases"), zip(*layers, strict=True), strict=True
            ):
                setattr(self, name, [tf.Variable(value, trainable=False, name=name) for value in values])

        def logits(self, images: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
            """What network number `draw` (int32 scalar) says to equalised pictures [n, 32, 32]: [n, 43]."""
            hidden, last = images[..., None], len(self.means) - 1
            for number, bias in enumerate(self.biases):
                weights = self.weights(number, draw)
                if len(weights.shape) == 4:
                    hidden = tf.nn.relu(tf.nn.conv2d(hidden, weights, 1, "VALID") + bias)
                    hidden = tf.nn.max_pool2d(hidden, 2, 2, "VALID")
                else:
                    flat = tf.reshape(hidden, [-1, weights.shape[0]])
                    hidden = tf.matmul(flat, weights) + bias
                    hidden = hidden if number == last else tf.nn.relu(hidden)
            return hidden

        def weights(self, layer: int, draw: tf.Tensor) -> tf.Tensor:
            """The kernel of `layer` in network number `draw`."""
            mean, deviation = self.means[layer], self.deviations[layer]
            noise = tf.random.stateless_normal(mean.shape, tf.stack([draw, layer]))
            return mean + deviation * noise

        def predict(self, images: tf.Tensor, draws: tf.Tensor) -> dict[str, tf.Tensor]:
            """Equalised pictures [n, 32, 32] and each one's number of draws int32 [n] -> see `summarise`."""
            count = tf.shape(images)[0]

            def add(draw: tf.Tensor, total: tf.Tensor, doubts: tf.Tensor) -> tuple[tf.Tensor, ...]:
                probabilities = tf.nn.softmax(self.logits(images, draw))
                counted = tf.cast(draw < draws, tf.float32)
                return (
                    draw + 1,
                    total + counted[:, None] * probabilities,
                    doubts + counted * entropy(probabilities),
                )

            most = tf.reduce_max(draws)
            _, total, doubts = tf.while_loop(
                lambda draw, *_: draw < most,
                add,
                (tf.constant(0), tf.zeros([count, CLASSES]), tf.zeros([count])),
            )
            number = tf.cast(draws, tf.float32)
            return summarise(total / number[:, None], doubts / number)

        def draws(self, images: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
            """The probabilities of the first `count` networks, one by one: [n, count, 43]."""
            each = tf.map_fn(
                lambda draw: tf.nn.softmax(self.logits(images, draw)),
                tf.range(count),
                fn_output_signature=tf.TensorSpec([None, CLASSES], tf.float32),
            )
            return tf.transpose(each, [1, 0, 2])

    return Posterior


def make_posterior(layers: Layers) -> Any:
    """A Posterior with these values."""
    return _module()(layers)


def summarise(probabilities: tf.Tensor, mean_entropy: tf.Tensor) -> dict[str, tf.Tensor]:
    """Mean probabilities [n, 43] and the draws' mean entropy [n] -> what a signature answers, entropies in nats.

    `entropy` is of the mean probabilities (all doubt); `mutual_information` between label and weights is the part of
    it that more data of this kind would take away: entropy less mean entropy (Houlsby et al. 2011).
    """
    import tensorflow as tf

    total = entropy(probabilities)
    return {
        "probabilities": probabilities,
        "label": tf.argmax(probabilities, axis=1),
        "entropy": total,
        # Rounding may leave a difference of two equal numbers below zero.
        "mutual_information": tf.maximum(total - mean_entropy, 0.0),
    }


def entropy(probabilities: tf.Tensor) -> tf.Tensor:
    """Shannon's entropy of distributions [..., classes] in nats."""
    import tensorflow as tf

    return -tf.reduce_sum(tf.math.xlogy(probabilities, probabilities), axis=-1)
