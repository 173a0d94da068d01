"""A network on concatenated embeddings: of what was seen, of what was seen last, and of the item to judge.

The seed's network concatenates a visitor's and an item's embedding. Here the visitor's is made of the items seen, so
that a visitor who comes after the training has one too (as in Covington et al., 2016), and the product of the two
goes beside the layers (He et al., 2017). Embeddings start from the factorisation's; from random numbers the network
learned the visitors by heart. A softmax over the visitor's item and a few hundred others teaches it to tell them
apart; how often an item is among the others is subtracted from its logit (Bengio and Senecal, 2008).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from scipy import sparse

from components import progress
from pipelines.recommendations import factors
from pipelines.recommendations.events import Pairs, trend

# Items of a visitor that the network looks at, the latest ones.
CONTEXT = 20
# Logit at the start where the factorisation scores 1, as it does what was seen.
START_LOGIT = 12.0


class NetworkScorer(tf.Module):
    """Scores items for visitors. All is trained but `lift`."""

    def __init__(self, seen: np.ndarray, item: np.ndarray, lift: np.ndarray, hidden: int, seed: int) -> None:
        """`seen` and `item` [items, f]: the embeddings to begin with; `lift` [items] is added to what is served."""
        super().__init__(name="neural")
        items, width = item.shape
        glorot = keras.initializers.GlorotUniform(seed)
        self.lift = tf.Variable(lift.astype(np.float32), trainable=False)
        self.seen = tf.Variable(seen, name="seen")
        self.item = tf.Variable(item, name="item")
        self.bias = tf.Variable(tf.zeros([items]), name="bias")
        self.of_visitor = tf.Variable(glorot([2 * width, hidden]), name="of_visitor")
        self.of_item = tf.Variable(glorot([width, hidden]), name="of_item")
        self.of_both = tf.Variable(glorot([width, hidden]), name="of_both")
        self.offset = tf.Variable(tf.zeros([hidden]), name="offset")
        self.inner = tf.Variable(glorot([hidden, hidden // 2]), name="inner")
        self.inner_offset = tf.Variable(tf.zeros([hidden // 2]), name="inner_offset")
        self.out = tf.Variable(glorot([hidden // 2, 1]), name="out")

    def visitor(self, seen: tf.Tensor) -> tf.Tensor:
        """[n, 2 f]: of the items seen [n, m] (latest first, -1 for none) the summed embedding and the last one's."""
        seen = seen[:, :CONTEXT]
        there = tf.cast(seen >= 0, tf.float32)[..., None]
        each = tf.gather(self.seen, tf.maximum(seen, 0)) * there
        whole = tf.reduce_sum(each, 1) / tf.sqrt(tf.maximum(tf.reduce_sum(there, 1), 1.0))
        return tf.concat([whole, each[:, 0]], 1)

    def judge(self, visitor: tf.Tensor, item: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
        """Logits [n, k] of items [k, f] or [n, k, f], with bias [k] or [n, k], for visitors [n, 2 f].

        A layer on a concatenation is the sum of a layer on each part.
        """
        both = visitor[:, None, : item.shape[-1]] * item
        first = tf.nn.relu(
            tf.matmul(visitor, self.of_visitor)[:, None]
            + tf.tensordot(item, self.of_item, 1)
            + tf.tensordot(both, self.of_both, 1)
            + self.offset
        )
        second = tf.nn.relu(tf.tensordot(first, self.inner, 1) + self.inner_offset)
        return tf.tensordot(second, self.out, 1)[..., 0] + tf.reduce_sum(both, -1) + bias

    def __call__(self, seen: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
        # The latest of the items known: unknown ones leave gaps.
        order = tf.argsort(tf.cast(seen < 0, tf.int32), axis=1, stable=True)
        seen = tf.gather(seen, order, batch_dims=1)
        # One visitor at a time: the hidden layer of a whole catalogue is large.
        return tf.map_fn(
            lambda one: self.judge(one[None], self.item, self.bias + self.lift)[0],
            self.visitor(tf.pad(seen, [[0, 0], [0, 1]], constant_values=-1)),
            fn_output_signature=tf.float32,
        )


def learn(
    seen: Pairs, items: int, parameters: Mapping[str, Any], seed: int
) -> Iterator[tuple[NetworkScorer, float]]:
    """After each epoch the network and its mean loss in nats. Raises ValueError where no visitor saw two items."""
    context, target = lessons(seen)
    if not len(target):
        raise ValueError(
            "No visitor saw two items, so nothing tells which items go together. Give it more data."
        )
    tf.random.set_seed(seed)  # negatives and dropout
    lift = parameters["trend"] * np.log(trend(seen, items, parameters["half_life"]))
    network = NetworkScorer(
        *first_embeddings(seen, items, parameters, seed), lift, parameters["hidden"], seed
    )
    batch, epochs = min(parameters["batch_size"], len(target)), parameters["epochs"]
    steps = len(target) // batch
    falling = keras.optimizers.schedules.CosineDecay(parameters["learning_rate"], steps * epochs, 0.05)
    optimizer = keras.optimizers.AdamW(falling, weight_decay=parameters["weight_decay"])
    step = make_step(network, optimizer, seen, parameters)
    random = np.random.default_rng(seed)
    for epoch in range(epochs):
        order, losses = random.permutation(len(target)), []
        for number in range(steps):
            some = order[number * batch : (number + 1) * batch]
            losses.append(step(tf.constant(context[some]), tf.constant(target[some])))
            progress.report(epoch * steps + number, epochs * steps, "steps", epoch=epoch + 1)
        yield network, float(np.mean(losses))


def first_embeddings(
    known: Pairs, items: int, parameters: Mapping[str, Any], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings [items, f] of an item seen and of an item to judge, equally long: their product times START_LOGIT is
    what the factorisation gives the second for a visitor who has seen the first only."""
    *_, (item, _) = factors.alternate(known, items, parameters, seed)
    alone = sparse.identity(items, np.float32, "csr") * np.float32(parameters["confidence"])
    seen = factors.solve(alone, item, parameters["regularisation"])
    balance = np.sqrt(np.linalg.norm(seen) / np.linalg.norm(item))
    return (np.sqrt(START_LOGIT) / balance * seen), (np.sqrt(START_LOGIT) * balance * item)


def lessons(seen: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """For each item [n] of visitors with two or more: their other items [n, CONTEXT], latest first, -1 behind."""
    counts = seen.counts[seen.visitor]
    target = np.flatnonzero(counts >= 2)
    at = seen.start[seen.visitor[target]][:, None] + np.arange(CONTEXT)
    # The target's own place is passed over.
    at += at >= target[:, None]
    there = np.arange(CONTEXT) < counts[target][:, None] - 1
    return np.where(there, seen.item[np.where(there, at, 0)], -1), seen.item[target]


def make_step(
    network: NetworkScorer,
    optimizer: keras.optimizers.Optimizer,
    seen: Pairs,
    parameters: Mapping[str, Any],
) -> Any:
    """A training step (context [n, CONTEXT], target [n]) -> loss, with other items drawn for each batch.

    They are drawn by the square root of how often items were seen.
    """
    drawn_by = np.sqrt(np.bincount(seen.item, minlength=network.item.shape[0]))
    log_share = tf.constant(np.log(np.maximum(drawn_by, 1e-9) / drawn_by.sum()), tf.float32)
    optimizer.build(network.trainable_variables)

    @tf.function(input_signature=[tf.TensorSpec([None, CONTEXT], tf.int64), tf.TensorSpec([None], tf.int64)])
    def step(context: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        others = tf.random.categorical(log_share[None], parameters["negatives"])[0]
        expected = log_share + tf.math.log(float(parameters["negatives"]))
        with tf.GradientTape() as tape:
            visitor = tf.nn.dropout(network.visitor(context), parameters["dropout"])
            right = network.judge(
                visitor, tf.gather(network.item, target)[:, None], tf.gather(network.bias, target)[:, None]
            )
            wrong = network.judge(
                visitor,
                tf.gather(network.item, others),
                tf.gather(network.bias, others) - tf.gather(expected, others),
            )
            wrong -= 1e9 * tf.cast(tf.equal(target[:, None], others[None]), tf.float32)
            logits = tf.concat([right - tf.gather(expected, target)[:, None], wrong], 1)
            loss = tf.reduce_mean(tf.reduce_logsumexp(logits, 1) - logits[:, 0])
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        return loss

    return step
