"""The trained posterior as plain variables, and Monte Carlo prediction with it. No Keras, no Probability needed.

A draw is a whole network: weights drawn once and used for every picture of the request. Draws are numbered, and draw
7 is the same network in every request, process and machine (TensorFlow's stateless random numbers), so that an answer
depends on the picture and the number of draws alone, never on its neighbours in a batch or on what was asked before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipelines.traffic_signs.features import CLASSES

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

# Mean, deviation and bias of each layer's weights.
Layers = Sequence[tuple["np.ndarray", "np.ndarray", "np.ndarray"]]
# Of requests that do not say. The error of a mean over draws halves with four times as many.
DEFAULT_DRAWS, MAX_DRAWS = 32, 1000


def make_posterior(layers: Layers) -> tf.Module:
    """A module with the variables `means`, `deviations` and `biases`, one of each per layer, and `most_doubt`.

    That is the entropy above which a picture is called no sign: infinite until somebody assigns another.
    """
    import tensorflow as tf

    posterior = tf.Module(name="posterior")
    for name, values in zip(("means", "deviations", "biases"), zip(*layers, strict=True), strict=True):
        setattr(posterior, name, [tf.Variable(value, trainable=False, name=name) for value in values])
    posterior.most_doubt = tf.Variable(math.inf, trainable=False, dtype=tf.float32, name="most_doubt")
    return posterior


def weights(posterior: Any, layer: int, draw: tf.Tensor) -> tf.Tensor:
    """The kernel of `layer` in network number `draw` (int32 scalar)."""
    import tensorflow as tf

    mean, deviation = posterior.means[layer], posterior.deviations[layer]
    return mean + deviation * tf.random.stateless_normal(mean.shape, tf.stack([draw, layer]))


def logits(posterior: Any, images: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
    """What network number `draw` says to equalised pictures [n, 32, 32]: [n, 43]. The flow of network.build_model."""
    import tensorflow as tf

    hidden, last = images[..., None], len(posterior.biases) - 1
    for layer, bias in enumerate(posterior.biases):
        kernel = weights(posterior, layer, draw)
        if len(kernel.shape) == 4:
            hidden = tf.nn.relu(tf.nn.conv2d(hidden, kernel, 1, "VALID") + bias)
            hidden = tf.nn.max_pool2d(hidden, 2, 2, "VALID")
        else:
            hidden = tf.matmul(tf.reshape(hidden, [-1, kernel.shape[0]]), kernel) + bias
            hidden = hidden if layer == last else tf.nn.relu(hidden)
    return hidden


def predict(posterior: Any, images: tf.Tensor, draws: tf.Tensor) -> dict[str, tf.Tensor]:
    """Equalised pictures [n, 32, 32] and each one's number of draws int32 [n] -> see `summarise`."""
    import tensorflow as tf

    def add(draw: tf.Tensor, total: tf.Tensor, doubts: tf.Tensor) -> tuple[tf.Tensor, ...]:
        probabilities = tf.nn.softmax(logits(posterior, images, draw))
        counted = tf.cast(draw < draws, tf.float32)
        return draw + 1, total + counted[:, None] * probabilities, doubts + counted * entropy(probabilities)

    count, most = tf.shape(images)[0], tf.reduce_max(draws)
    _, total, doubts = tf.while_loop(
        lambda draw, *_: draw < most,
        add,
        (tf.constant(0), tf.zeros([count, CLASSES]), tf.zeros([count])),
    )
    number = tf.cast(draws, tf.float32)
    return summarise(total / number[:, None], doubts / number, posterior.most_doubt)


def opinions(posterior: Any, images: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The probabilities that the first `count` networks give, one by one: [n, count, 43]."""
    import tensorflow as tf

    each = tf.map_fn(
        lambda draw: tf.nn.softmax(logits(posterior, images, draw)),
        tf.range(count),
        fn_output_signature=tf.TensorSpec([None, CLASSES], tf.float32),
    )
    return tf.transpose(each, [1, 0, 2])


def summarise(
    probabilities: tf.Tensor, mean_entropy: tf.Tensor, most_doubt: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Mean probabilities [n, 43] and the draws' mean entropy [n] -> what a signature answers, entropies in nats.

    `entropy` is of the mean probabilities (all doubt); `mutual_information` between label and weights is the part of
    it that more data of this kind would take away: entropy less mean entropy (Houlsby et al. 2011). `is_sign` is 0
    where the entropy is above `most_doubt`: not a sign, whatever the label.
    """
    import tensorflow as tf

    total = entropy(probabilities)
    return {
        "probabilities": probabilities,
        "label": tf.argmax(probabilities, axis=1),
        "is_sign": tf.cast(total <= most_doubt, tf.int64),
        "entropy": total,
        # Rounding may leave a difference of two equal numbers below zero.
        "mutual_information": tf.maximum(total - mean_entropy, 0.0),
    }


def entropy(probabilities: tf.Tensor) -> tf.Tensor:
    """Shannon's entropy of distributions [..., classes] in nats."""
    import tensorflow as tf

    return -tf.reduce_sum(tf.math.xlogy(probabilities, probabilities), axis=-1)
