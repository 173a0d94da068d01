"""The counts of kneser_ney.py as TensorFlow: the chances of all words after the last four, inside the served graph."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from pipelines.book_scripts.kneser_ney import ORDER, PRIME, KneserNey

# Words that a context may have.
REACH = ORDER - 1


class NGrams(tf.Module):
    """Variables, so that the SavedModel stores them beside the graph; contexts are found by bisection."""

    def __init__(self, counted: KneserNey) -> None:
        super().__init__(name="ngrams")

        def constant(values: np.ndarray, dtype: tf.DType) -> tf.Variable:
            return tf.Variable(tf.cast(values, dtype), trainable=False)

        self.size = len(counted.first)
        self.first = constant(counted.first, tf.float32)
        self.contexts = [constant(order.contexts, tf.int64) for order in counted.orders]
        self.begins = [constant(order.begins, tf.int32) for order in counted.orders]
        self.words = [constant(order.words, tf.int32) for order in counted.orders]
        self.shares = [constant(order.shares, tf.float32) for order in counted.orders]
        self.left = [constant(order.left, tf.float32) for order in counted.orders]

    def chances(self, recent: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`recent` int64 [n, REACH], the latest word last, -1 where there was none -> chances [n, size] and how many
        of them are a context that is known [n].
        """
        rows = tf.shape(recent)[0]
        chance = tf.tile(self.first[None], [rows, 1])
        depth = tf.zeros([rows], tf.int32)
        for at, contexts in enumerate(self.contexts):
            length = at + 1
            context = tf.zeros([rows], tf.int64)
            for back in range(length, 0, -1):
                context = context * PRIME + (recent[:, -back] + 1)
            row = tf.minimum(tf.searchsorted(contexts, context), tf.shape(contexts)[0] - 1)
            known = (tf.gather(contexts, row) == context) & (recent[:, -length] >= 0)
            begin, end = tf.gather(self.begins[at], row), tf.gather(self.begins[at], row + 1)
            entries = tf.ragged.range(begin, tf.where(known, end, begin))
            places = tf.stack(
                [tf.cast(entries.value_rowids(), tf.int32), tf.gather(self.words[at], entries.values)], axis=1
            )
            shares = tf.scatter_nd(places, tf.gather(self.shares[at], entries.values), [rows, self.size])
            left = tf.gather(self.left[at], row)[:, None]
            chance = tf.where(known[:, None], shares + left * chance, chance)
            depth = tf.where(known, length, depth)
        return chance, depth
