"""A network on concatenated embeddings: of what was seen, of what was seen last, and of the item to judge.

The seed's network concatenates a visitor's and an item's embedding. Here the visitor's is made of the items seen, so
that a visitor who comes after the training has one too (as in Covington et al., 2016). A softmax over the visitor's
item and a few hundred others teaches it to tell them apart; how often an item is among the others is subtracted
from its logit (Bengio and Senecal, 2008).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from pipelines.recommendations.events import Pairs

# Items of a visitor that the network looks at, the latest ones.
CONTEXT = 20


class NetworkScorer(tf.Module):
    """Scores items for visitors; `regularised` is trained, `__call__` served."""

    def __init__(self, items: int, factors: int, hidden: int, seed: int) -> None:
        super().__init__(name="neural")
        random = tf.random.Generator.from_seed(seed)
        self.seen = tf.Variable(random.normal([items, factors], 0, 0.1), name="seen")
        self.last = tf.Variable(random.normal([items, factors], 0, 0.1), name="last")
        self.item = tf.Variable(random.normal([items, factors], 0, 0.1), name="item")
        self.bias = tf.Variable(tf.zeros([items]), name="bias")
        start = keras.initializers.GlorotUniform(seed)
        self.of_visitor = tf.Variable(start([2 * factors, hidden]), name="of_visitor")
        self.of_item = tf.Variable(start([factors, hidden]), name="of_item")
        self.offset = tf.Variable(tf.zeros([hidden]), name="offset")
        self.inner = tf.Variable(start([hidden, hidden // 2]), name="inner")
        self.inner_offset = tf.Variable(tf.zeros([hidden // 2]), name="inner_offset")
        self.out = tf.Variable(start([hidden // 2, 1]), name="out")

    def visitor(self, seen: tf.Tensor) -> tf.Tensor:
        """[n, hidden]: what items seen [n, m] (latest first, -1 for none) contribute to the first layer."""
        seen = seen[:, :CONTEXT]
        there = tf.cast(seen >= 0, tf.float32)[..., None]
        number = tf.maximum(seen, 0)
        mean = tf.reduce_sum(tf.gather(self.seen, number) * there, 1)
        mean /= tf.sqrt(tf.maximum(tf.reduce_sum(there, 1), 1.0))
        last = tf.gather(self.last, number[:, 0]) * there[:, 0]
        return tf.matmul(tf.concat([mean, last], 1), self.of_visitor) + self.offset

    def judge(self, visitor: tf.Tensor, item: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
        """Logits [n, k] from [n, hidden], [k, hidden] or [n, k, hidden], and [k] or [n, k].

        The first layer of a concatenation is the sum of a layer of each part, so the items' part is computed once.
        """
        first = tf.nn.relu(visitor[:, None] + item)
        second = tf.nn.relu(tf.tensordot(first, self.inner, 1) + self.inner_offset)
        return tf.tensordot(second, self.out, 1)[..., 0] + bias

    def __call__(self, seen: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
        items = tf.matmul(self.item, self.of_item)
        # One visitor at a time: the hidden layer of a whole catalogue is large.
        return tf.map_fn(
            lambda one: self.judge(one[None], items, self.bias)[0],
            self.visitor(seen),
            fn_output_signature=tf.float32,
        )


def learn(
    found: Pairs, items: int, parameters: Mapping[str, Any], seed: int
) -> Iterator[tuple[NetworkScorer, float]]:
    """After each epoch the network and its mean loss in nats."""
    context, target = lessons(found)
    count, batch = len(target), parameters["batch_size"]
    network = NetworkScorer(items, parameters["factors"], parameters["hidden"], seed)
    steps = max(1, count // batch)
    falling = keras.optimizers.schedules.CosineDecay(
        parameters["learning_rate"], steps * parameters["epochs"], 0.05
    )
    step = make_step(network, keras.optimizers.Adam(falling), found, items, parameters["negatives"])
    random = np.random.default_rng(seed)
    for _ in range(parameters["epochs"]):
        order = random.permutation(count)
        losses = []
        for begin in range(0, max(count - batch, 0) + 1, batch):
            some = order[begin : begin + batch]
            losses.append(step(tf.constant(context[some]), tf.constant(target[some])))
        yield network, float(np.mean(losses))


def lessons(found: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """For each item of a visitor with two or more: the visitor's other items [n, CONTEXT], latest first; the item [n]."""
    counts = found.counts[found.visitor]
    target = np.flatnonzero(counts >= 2)
    begin = found.start[found.visitor[target]]
    place = np.arange(CONTEXT)[None]
    # The target's own place is passed over.
    at = begin[:, None] + place + (begin[:, None] + place >= target[:, None])
    there = place < counts[target][:, None] - 1
    return np.where(there, found.item[np.where(there, at, 0)], -1), found.item[target]


def make_step(
    network: NetworkScorer, optimizer: keras.optimizers.Optimizer, found: Pairs, items: int, negatives: int
) -> Any:
    """A training step (context [n, CONTEXT], target [n]) -> loss, with `negatives` other items drawn for each batch.

    They are drawn by the square root of how often items were seen.
    """
    drawn_by = np.sqrt(np.bincount(found.item, minlength=items))
    log_share = tf.constant(np.log(np.maximum(drawn_by, 1e-9) / drawn_by.sum()), tf.float32)
    optimizer.build(network.trainable_variables)

    @tf.function(input_signature=[tf.TensorSpec([None, CONTEXT], tf.int64), tf.TensorSpec([None], tf.int64)])
    def step(context: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        others = tf.random.categorical(log_share[None], negatives)[0]
        expected = log_share + tf.math.log(float(negatives))
        with tf.GradientTape() as tape:
            visitor = network.visitor(context)
            right = network.judge(
                visitor,
                tf.matmul(tf.gather(network.item, target), network.of_item)[:, None],
                tf.gather(network.bias, target)[:, None],
            )
            wrong = network.judge(
                visitor,
                tf.matmul(tf.gather(network.item, others), network.of_item),
                tf.gather(network.bias, others) - tf.gather(expected, others),
            )
            wrong -= 1e9 * tf.cast(tf.equal(target[:, None], others[None]), tf.float32)
            logits = tf.concat([right - tf.gather(expected, target)[:, None], wrong], 1)
            loss = tf.reduce_mean(tf.reduce_logsumexp(logits, 1) - logits[:, 0])
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        return loss

    return step
