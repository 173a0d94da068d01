"""The served recommender: visitor and items seen in, the best items of the whole catalogue out, in plain TensorFlow.

It trains nothing. Whatever is known of a visitor is the items seen: those of the training period, which the model
holds, and those that the request names. A visitor with neither is answered with what is popular. Ids that the
training did not know are passed over, never refused. What was seen is not recommended again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import sparse

from pipelines.recommendations.events import Pairs
from pipelines.recommendations.features import SEEN_KEY, VISITOR_KEY
from pipelines.recommendations.ranking import TOP

# Items of a visitor that the scorer looks at, the latest ones: robots have thousands. None of all is offered again.
HISTORY = 500
# What popularity adds to a sum of weights at most: less than any weight that tells something.
TIE = 1e-6
# (items seen [n, m] latest first, -1 for none, their strengths [n, m]) -> scores [n, items]
Scorer = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


class FactorScorer(tf.Module):
    """Folds visitors into item factors by the equations of factors.py."""

    def __init__(
        self, factors: np.ndarray, regularisation: float, confidence: float, lift: np.ndarray
    ) -> None:
        """`factors` [items, f] fitted with the other two; `lift` [items] multiplies each item's scores."""
        super().__init__(name="factorisation")
        gram = factors.T @ factors + regularisation * np.eye(factors.shape[1])
        self.factors = tf.Variable(factors, trainable=False)
        self.lift = tf.Variable(lift.astype(np.float32), trainable=False)
        self.gram = tf.Variable(gram.astype(np.float32), trainable=False)
        self.confidence = confidence

    def __call__(self, seen: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
        there = tf.cast(seen >= 0, tf.float32)
        mine = tf.gather(self.factors, tf.maximum(seen, 0)) * there[..., None]
        weight = self.confidence * strength * there
        left = self.gram + tf.matmul(mine, mine * weight[..., None], transpose_a=True)
        right = tf.reduce_sum((1 + weight)[..., None] * mine, axis=1)
        visitor = tf.linalg.solve(left, right[..., None])[..., 0]
        return tf.matmul(visitor, self.factors, transpose_b=True) * self.lift


class SimilarityScorer(tf.Module):
    """Scores by the sum of weights that the items seen have for others, and popularity where these leave a tie."""

    def __init__(self, weights: sparse.csr_matrix, popular: np.ndarray) -> None:
        """`weights` [items, items] of an item seen (row) for another; `popular` [items] breaks ties."""
        super().__init__(name="similarity")
        counts = np.diff(weights.indptr)
        place = np.arange(max(int(counts.max(initial=0)), 1))
        there = place < counts[:, None]
        at = np.where(there, weights.indptr[:-1, None] + place, 0)
        indices, data = np.r_[weights.indices, 0], np.r_[weights.data, 0]
        self.others = tf.Variable(np.where(there, indices[at], 0).astype(np.int32), trainable=False)
        self.weights = tf.Variable(np.where(there, data[at], 0).astype(np.float32), trainable=False)
        tie = TIE * popular / max(float(popular.max(initial=0)), 1.0)
        self.tie = tf.Variable(tie.astype(np.float32), trainable=False)

    def __call__(self, seen: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
        items = self.tie.shape[0]
        number = tf.maximum(seen, 0)
        weights = tf.gather(self.weights, number) * tf.cast(seen >= 0, tf.float32)[..., None]
        row = tf.range(tf.shape(seen)[0])[:, None, None] * items
        place = tf.reshape(row + tf.gather(self.others, number), [-1])
        summed = tf.math.unsorted_segment_sum(tf.reshape(weights, [-1]), place, tf.shape(seen)[0] * items)
        return tf.reshape(summed, [-1, items]) + self.tie


class Ranker(tf.Module):
    """A scorer, and what is popular for those of whom nothing is known."""

    def __init__(self, scorer: Scorer, popular: np.ndarray) -> None:
        super().__init__(name="ranker")
        self.scorer = scorer
        self.popular = tf.Variable(popular.astype(np.float32), trainable=False)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.int64),
            tf.TensorSpec([None, None], tf.float32),
            tf.TensorSpec([None, None], tf.int64),
        ]
    )
    def top(self, seen: tf.Tensor, strength: tf.Tensor, masked: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Items [n, TOP] and their scores; -1 and -inf where there are no more.

        Scores come from the items seen [n, m] (-1 for none) and their strengths [n, m]; the items `masked` [n, k]
        (-1 for none; duplicates do no harm) are not offered.
        """
        items = self.popular.shape[0]
        known = tf.reduce_any(seen >= 0, axis=1, keepdims=True)
        scores = tf.where(known, self.scorer(seen, strength), self.popular[None])
        # One column more takes the places where nothing is masked.
        row = tf.broadcast_to(tf.range(tf.shape(masked)[0])[:, None], tf.shape(masked))
        column = tf.where(masked >= 0, tf.cast(masked, tf.int32), items)
        gone = tf.fill(tf.shape(masked), -np.inf)
        open_ = tf.tensor_scatter_nd_min(tf.pad(scores, [[0, 0], [0, 1]]), tf.stack([row, column], -1), gone)
        best, number = tf.math.top_k(open_[:, :items], min(TOP, items))
        return tf.cast(tf.where(tf.math.is_inf(best), -1, number), tf.int64), best


class Recommender(tf.Module):
    """A ranker with the vocabularies, the visitors' histories and the strengths of events, ready to be served."""

    def __init__(
        self,
        ranker: Ranker,
        visitor_file: str,
        item_file: str,
        item_names: Sequence[bytes],
        seen: Pairs,
        biases: tuple[float, np.ndarray, np.ndarray],
    ) -> None:
        """`visitor_file` and `item_file` list the ids, one per line, in the order of their numbers.

        `biases`: mean strength, and what each visitor [visitors] and item [items] adds to it.
        """
        super().__init__(name="recommender")
        self.ranker = ranker
        self.visitors, self.items = _table(visitor_file), _table(item_file)
        self.names = tf.Variable(np.array([*item_names, b""], object), trainable=False, dtype=tf.string)
        self.start = tf.Variable(seen.start.astype(np.int64), trainable=False)
        # One item more, so that a shop without events gathers something.
        self.history = tf.Variable(np.r_[seen.item, -1].astype(np.int32), trainable=False)
        self.strength = tf.Variable(np.r_[seen.strength, 0].astype(np.int8), trainable=False)
        self.mean = tf.Variable(biases[0], trainable=False, dtype=tf.float32)
        self.visitor_bias, self.item_bias = (
            tf.Variable(np.r_[bias, 0.0].astype(np.float32), trainable=False) for bias in biases[1:]
        )

    def recommend(self, visitor: tf.Tensor, given: tf.Tensor) -> dict[str, tf.Tensor]:
        """Visitors [n] and items seen [n, k], oldest first, as text -> `items`, `scores` [n, TOP], `known` [n]."""
        named = tf.reverse(self.items.lookup(given), axis=[1])
        past, done = self._history(self.visitors.lookup(visitor))
        masked = tf.concat([named, past], axis=1)
        seen = _once(tf.concat([named, past[:, :HISTORY]], axis=1))
        strength = tf.concat([tf.ones_like(named, tf.float32), done[:, :HISTORY]], axis=1)
        number, scores = self.ranker.top(seen, strength, masked)
        return {
            "items": tf.gather(self.names, _or_last(number, self.names)),
            "scores": scores,
            "known": tf.reduce_sum(tf.cast(seen >= 0, tf.int64), axis=1),
        }

    def _history(self, visitor: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """All items [n, m], latest first, -1 behind the last, and their strengths; nothing for visitor -1."""
        number = tf.maximum(visitor, 0)
        begin = tf.gather(self.start, number)
        count = tf.where(visitor >= 0, tf.gather(self.start, number + 1) - begin, 0)
        place = tf.range(tf.reduce_max(tf.concat([count, [0]], axis=0)))
        there = place[None] < count[:, None]
        at = tf.where(there, begin[:, None] + place[None], 0)
        items = tf.where(there, tf.cast(tf.gather(self.history, at), tf.int64), -1)
        return items, tf.cast(tf.gather(self.strength, at), tf.float32)

    def expected_strength(self, visitor: tf.Tensor, item: tf.Tensor) -> tf.Tensor:
        """Mean strength (1 view, 2 cart, 3 purchase) of an event of that visitor with that item [n]."""
        bias = [tf.gather(self.visitor_bias, _or_last(self.visitors.lookup(visitor), self.visitor_bias))]
        bias += [tf.gather(self.item_bias, _or_last(self.items.lookup(item), self.item_bias))]
        return self.mean + tf.add_n(bias)


def _table(file: str) -> tf.lookup.StaticHashTable:
    initializer = tf.lookup.TextFileInitializer(
        file, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    return tf.lookup.StaticHashTable(initializer, -1)


def _once(seen: tf.Tensor) -> tf.Tensor:
    """`seen` [n, m] with -1 for what stands further left already."""
    order = tf.argsort(seen, axis=1, stable=True)
    ordered = tf.gather(seen, order, batch_dims=1)
    again = tf.concat([tf.zeros_like(ordered[:, :1], tf.bool), ordered[:, 1:] == ordered[:, :-1]], axis=1)
    back = tf.argsort(order, axis=1)
    return tf.where(tf.gather(again, back, batch_dims=1), tf.constant(-1, tf.int64), seen)


def _or_last(number: tf.Tensor, table: tf.Variable) -> tf.Tensor:
    return tf.where(number >= 0, number, table.shape[0] - 1)


def signatures(recommender: Recommender) -> dict[str, Any]:
    """`serving_default` (visitor, items_seen), `for_visitor` (visitor), `serve_examples`, `strength` (visitor, item).

    In tf.Examples `items_seen` may be missing; in `serving_default` rows are filled up with "" behind.
    """
    text, texts = (
        tf.TensorSpec([None], tf.string, name="visitor"),
        tf.TensorSpec([None, None], tf.string, SEEN_KEY),
    )
    item = tf.TensorSpec([None], tf.string, name="item")
    spec = {VISITOR_KEY: tf.io.FixedLenFeature([], tf.string), SEEN_KEY: tf.io.RaggedFeature(tf.string)}

    @tf.function(input_signature=[text, texts])
    def serving_default(visitor: tf.Tensor, items_seen: tf.Tensor) -> dict[str, tf.Tensor]:
        return recommender.recommend(visitor, items_seen)

    @tf.function(input_signature=[text])
    def for_visitor(visitor: tf.Tensor) -> dict[str, tf.Tensor]:
        return recommender.recommend(visitor, tf.fill([tf.size(visitor), 0], ""))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.io.parse_example(examples, spec)
        return recommender.recommend(rows[VISITOR_KEY], rows[SEEN_KEY].to_tensor(""))

    @tf.function(input_signature=[text, item])
    def strength(visitor: tf.Tensor, item: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"strength": recommender.expected_strength(visitor, item)}

    return {
        "serving_default": serving_default,
        "for_visitor": for_visitor,
        "serve_examples": serve_examples,
        "strength": strength,
    }
