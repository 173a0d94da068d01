"""Layers of capsules: vectors whose length says whether something is there and whose direction how it is.

Squashing, routing by agreement and by self-attention, choosing one capsule, and the margin loss. Tensors are float32
[n, capsules, dimensions]. They know neither clothes nor networks.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

PRESENT, ABSENT, ABSENT_WEIGHT = 0.9, 0.1, 0.5
# Below the square of any length that matters; without it a zero vector has no finite slope.
TINY = 1e-7


def lengths(capsules: tf.Tensor) -> tf.Tensor:
    """The length of each capsule, [n, capsules]: its product with its direction, which 8-bit integers hold as well."""
    import tensorflow as tf

    return tf.reduce_sum(tf.math.l2_normalize(capsules, axis=-1, epsilon=TINY) * capsules, axis=-1)


def squash(vectors: tf.Tensor) -> tf.Tensor:
    """The same directions, lengths l brought to l² / (1 + l²) (Sabour, Frosst, Hinton 2017, equation 1)."""
    import tensorflow as tf

    square = tf.reduce_sum(tf.square(vectors), axis=-1, keepdims=True)
    return vectors * (square / (1 + square) * tf.math.rsqrt(square + TINY))


def squash_steeply(vectors: tf.Tensor) -> tf.Tensor:
    """The same directions, lengths l brought to 1 - exp(-l): not flat near zero (Mazzia et al. 2021, equation 4).

    Written without squares, for 8-bit integers.
    """
    import tensorflow as tf

    unit = tf.math.l2_normalize(vectors, axis=-1, epsilon=TINY)
    return unit * (1 - tf.exp(-tf.reduce_sum(unit * vectors, axis=-1, keepdims=True)))


def margin_loss(labels: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """[n] from labels [n] or [n, 1] and lengths [n, classes] (Sabour et al. 2017, equation 4).

    A class that is there should be 0.9 long or more, any other at most 0.1, which counts half.
    """
    import tensorflow as tf

    there = tf.one_hot(tf.reshape(tf.cast(labels, tf.int32), [-1]), length.shape[-1])
    short = there * tf.square(tf.maximum(0.0, PRESENT - length))
    long = (1 - there) * tf.square(tf.maximum(0.0, length - ABSENT))
    return tf.reduce_sum(short + ABSENT_WEIGHT * long, axis=1)


def only(capsules: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
    """[n, capsules, d] with all but the capsule `chosen` [n] (or [n, 1]) of each row set to zero."""
    import tensorflow as tf

    mask = tf.one_hot(tf.reshape(tf.cast(chosen, tf.int32), [-1]), capsules.shape[1])
    return capsules * mask[..., None]


def predictions(capsules: tf.Tensor, matrices: tf.Tensor, count: int) -> tf.Tensor:
    """What each capsule [n, i, d] says of each of the next `count`, by `matrices` [i, d, j * e]: votes [n, i, j, e].

    Sizes are static and axes added by name: TensorFlow Lite has no other way to say it.
    """
    import tensorflow as tf

    before, _, both = matrices.shape
    told = tf.matmul(tf.expand_dims(capsules, 2), matrices)
    return tf.reshape(told, [-1, before, count, both // count])


def by_agreement(votes: tf.Tensor, rounds: int) -> tf.Tensor:
    """Dynamic routing of votes [n, i, j, e] to capsules [n, j, e] (Sabour et al. 2017, procedure 1).

    Shares are the softmax over j of how far each vote agreed with what came out so far. Only the last round has slopes:
    the rounds before choose shares, and what chose them is not learned through.
    """
    import tensorflow as tf

    still = tf.stop_gradient(votes)
    agreed = tf.zeros_like(still[..., 0])
    for _ in range(rounds - 1):
        out = squash(tf.einsum("nij,nije->nje", tf.nn.softmax(agreed, axis=2), still))
        agreed += tf.einsum("nije,nje->nij", still, out)
    return squash(tf.einsum("nij,nije->nje", tf.nn.softmax(agreed, axis=2), votes))


def by_attention(votes: tf.Tensor, prior: tf.Tensor) -> tf.Tensor:
    """Self-attention routing of votes [n, i, j, e] to capsules [n, j, e] (Mazzia et al. 2021, section 3.3).

    One pass: the share of a vote is the softmax over j of its scaled products with all votes for j, plus a learned
    `prior` [i, j].
    """
    import tensorflow as tf

    together = tf.reduce_sum(votes, axis=1, keepdims=True)
    agreed = tf.reduce_sum(votes * together, axis=-1) / float(votes.shape[-1]) ** 0.5
    share = tf.nn.softmax(agreed, axis=-1) + prior
    return squash_steeply(tf.reduce_sum(votes * tf.expand_dims(share, -1), axis=1))


@cache
def _layer() -> Any:
    import tf_keras as keras

    class Capsules(keras.layers.Layer):
        """A layer of `count` capsules of `size` numbers from all capsules [n, i, d] of the one before.

        `rounds` of routing by agreement, or 0 for routing by self-attention.
        """

        def __init__(self, count: int, size: int, rounds: int, **options: Any) -> None:
            super().__init__(**options)
            self.count, self.size, self.rounds = count, size, rounds

        def build(self, shape: Any) -> None:
            _, before, given = shape
            # Glorot's deviation for one pair of capsules; all votes together then have about the length 1.
            deviation = (2 / (given + self.size)) ** 0.5 if self.rounds == 0 else 0.1
            self.matrices = self.add_weight(
                "matrices",
                (before, given, self.count * self.size),
                initializer=keras.initializers.TruncatedNormal(stddev=deviation),
            )
            if self.rounds == 0:
                self.prior = self.add_weight("prior", (before, self.count), initializer="zeros")

        def call(self, capsules: Any) -> Any:
            votes = predictions(capsules, self.matrices, self.count)
            return by_agreement(votes, self.rounds) if self.rounds else by_attention(votes, self.prior)

        def get_config(self) -> dict[str, Any]:
            mine = {"count": self.count, "size": self.size, "rounds": self.rounds}
            return {**super().get_config(), **mine}

    return Capsules


def layer(count: int, size: int, *, rounds: int, name: str) -> Any:
    """A Keras layer of capsules; see the class. The class is made when Keras is wanted."""
    return _layer()(count, size, rounds, name=name)
