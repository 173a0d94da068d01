"""The writer: the reader's weights as plain TensorFlow that scores texts and goes on writing them, all in the graph.

The chance of a word is a mixture of what the network, an n-gram model and a cache of the text so far say (mixing.py).
One request, one answer: prefix in, text out, with a tf.while_loop over the words between. The same seed gives the
same text. It does not know capital letters: the book was read in lower case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.book_scripts.features import RETURN, TEXT_KEY, to_text, tokens
from pipelines.book_scripts.kneser_ney import KneserNey
from pipelines.book_scripts.ngrams import REACH, NGrams

MAX_LENGTH = 500
# Below this, the likeliest word is all but certain.
MIN_TEMPERATURE = 1e-2


@dataclass(frozen=True)
class Mixture:
    """What stands beside the network: n-gram counts, the cache's half-life in words, and weights [ORDER, 3] of
    network, n-grams and cache, by how many of the last words are a known context.
    """

    counted: KneserNey
    half_life: float
    weights: np.ndarray


class Writer(tf.Module):
    """`score` and `write`; both begin with an empty state, as after the end of a paragraph.

    Made of `weights` {embedding [v + 1, units], bias [v + 1], cells: per layer Keras's LSTM arrays}. Number v, the
    last, is every word that is not in `vocabulary`. Without a `mixture` the network alone speaks.
    """

    def __init__(
        self, weights: dict[str, Any], vocabulary: Sequence[str], mixture: Mixture | None = None
    ) -> None:
        super().__init__(name="writer")
        self.mixed = mixture is not None
        if mixture is not None:
            self.ngrams = NGrams(mixture.counted)
            self.decay = 0.5 ** (1 / mixture.half_life)
            self.shares = tf.Variable(tf.cast(mixture.weights, tf.float32), trainable=False)
        self.unknown = len(vocabulary)
        self.embedding = tf.Variable(weights["embedding"], trainable=False)
        self.bias = tf.Variable(weights["bias"], trainable=False)
        self.cells = [[tf.Variable(w, trainable=False) for w in cell] for cell in weights["cells"]]
        self.units = weights["embedding"].shape[1]
        self.words = tf.Variable([*vocabulary, ""], trainable=False)
        keys = tf.constant(list(vocabulary))
        numbers = tf.range(self.unknown, dtype=tf.int64)
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(keys, numbers), self.unknown
        )

    def numbers(self, text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Texts [n] -> word numbers [n, 1 + words] that begin with the end of a paragraph, and their counts."""
        words = tokens(text)
        begun = tf.concat([tf.fill([tf.shape(text)[0], 1], RETURN), words], axis=1)
        return self.table.lookup(begun.to_tensor(RETURN)), begun.row_lengths()

    def start(self, rows: tf.Tensor) -> list[tf.Tensor]:
        """An empty state: output and memory of each layer, [rows, units]; the last words and the cache, if mixed."""
        state = [tf.zeros([rows, self.units]) for _ in range(2 * len(self.cells))]
        if self.mixed:
            state += [tf.fill([rows, REACH], tf.constant(-1, tf.int64)), tf.zeros([rows, self.unknown + 1])]
        return state

    def step(self, words: tf.Tensor, state: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Word numbers [n] -> logits of the next word [n, v + 1] and the new state. Keras's gates: i, f, c, o."""
        given, after = tf.gather(self.embedding, words), []
        for layer, (kernel, recurrent, bias) in enumerate(self.cells):
            output, memory = state[2 * layer], state[2 * layer + 1]
            gates = tf.matmul(given, kernel) + tf.matmul(output, recurrent) + bias
            into, keep, fresh, out = tf.split(gates, 4, axis=1)
            memory = tf.sigmoid(keep) * memory + tf.sigmoid(into) * tf.tanh(fresh)
            given = tf.sigmoid(out) * tf.tanh(memory)
            after += [given, memory]
        return tf.matmul(given, self.embedding, transpose_b=True) + self.bias, after

    def chances(
        self, words: tf.Tensor, state: list[tf.Tensor], cached: bool = True
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Word numbers [n] -> logarithms of the chances of the next word [n, v + 1], and the new state.

        Without `cached` network and n-grams share the cache's part.
        """
        if not self.mixed:
            logits, after = self.step(words, state)
            return tf.nn.log_softmax(logits), after
        *network, recent, cache = state
        logits, after = self.step(words, network)
        recent = tf.concat([recent[:, 1:], words[:, None]], axis=1)
        cache = self.decay * cache + tf.one_hot(words, self.unknown + 1)
        counted, depth = self.ngrams.chances(recent)
        share = tf.gather(self.shares, depth)
        if not cached:
            share = share[:, :2] / tf.maximum(tf.reduce_sum(share[:, :2], axis=1, keepdims=True), 1e-9)
            chance = share[:, 0:1] * tf.nn.softmax(logits) + share[:, 1:2] * counted
            return tf.math.log(chance), [*after, recent, cache]
        lately = cache / tf.reduce_sum(cache, axis=1, keepdims=True)
        chance = share[:, 0:1] * tf.nn.softmax(logits) + share[:, 1:2] * counted + share[:, 2:3] * lately
        return tf.math.log(chance), [*after, recent, cache]

    def follow(self, numbers: tf.Tensor) -> tf.Tensor:
        """Word numbers [n, 1 + width] -> log probability (nats) of each from the second on, [n, width]."""
        width = tf.shape(numbers)[1] - 1

        def go_on(t: tf.Tensor, log_probabilities: tf.TensorArray, *state: tf.Tensor) -> Any:
            said, after = self.chances(numbers[:, t], list(state))
            wanted = tf.gather(said, numbers[:, t + 1], batch_dims=1)
            return (t + 1, log_probabilities.write(t, wanted), *after)

        log_probabilities = tf.TensorArray(tf.float32, width, element_shape=[None])
        _, log_probabilities, *_ = tf.while_loop(
            lambda t, *_: t < width, go_on, (0, log_probabilities, *self.start(tf.shape(numbers)[0]))
        )
        return tf.transpose(tf.reshape(log_probabilities.stack(), [width, -1]))

    def score(self, text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Texts [n] -> log probabilities (nats) and numbers [n, words] of their words, and counts [n]."""
        numbers, lengths = self.numbers(text)
        counts = lengths - 1
        scores = self.follow(numbers)
        inside = tf.sequence_mask(counts, tf.shape(numbers)[1] - 1)
        return tf.where(inside, scores, 0.0), tf.where(inside, numbers[:, 1:], -1), counts

    def write(
        self, prefix: tf.Tensor, length: tf.Tensor, temperature: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """Prefixes [n] continued by `length` [n] words each; returns the texts [n], prefix included.

        A row's text depends on its own inputs alone, not on what else is in the request.
        """
        numbers, given = self.numbers(prefix)
        given, length = tf.cast(given, tf.int32), tf.cast(length, tf.int32)
        total = tf.reduce_max(given + length)
        numbers = tf.pad(numbers, [[0, 0], [0, tf.maximum(total - tf.shape(numbers)[1], 0)]])
        chances = tf.map_fn(
            lambda s: tf.random.stateless_uniform([MAX_LENGTH], tf.stack([s, tf.constant(1, tf.int64)])),
            seed,
            fn_output_signature=tf.float32,
        )
        scale = 1.0 / tf.maximum(temperature, MIN_TEMPERATURE)

        def go_on(t: tf.Tensor, last: tf.Tensor, written: tf.TensorArray, *state: tf.Tensor) -> Any:
            # A cache of what it wrote itself would soon repeat one word for ever.
            said, after = self.chances(last, list(state), cached=False)
            # "Unknown" is no word that one could write.
            chance = tf.nn.softmax(said[:, : self.unknown] * scale[:, None])
            at = tf.gather(chances, tf.clip_by_value(t + 1 - given, 0, MAX_LENGTH - 1), batch_dims=1)
            sums = tf.cumsum(chance, axis=1)
            drawn = tf.reduce_sum(tf.cast(sums < at[:, None] * sums[:, -1:], tf.int64), axis=1)
            word = tf.where(t + 1 < given, numbers[:, tf.minimum(t + 1, total - 1)], drawn)
            return (t + 1, word, written.write(t + 1, word), *after)

        first = numbers[:, 0]
        written = tf.TensorArray(tf.int64, total, element_shape=[None]).write(0, first)
        _, _, written, *_ = tf.while_loop(
            lambda t, *_: t < total - 1, go_on, (0, first, written, *self.start(tf.shape(prefix)[0]))
        )
        chosen = tf.transpose(tf.reshape(written.stack(), [total, -1]))
        own = tf.concat([tf.fill([tf.shape(prefix)[0], 1], ""), tokens(prefix).to_tensor("")], axis=1)
        own = tf.pad(own, [[0, 0], [0, tf.maximum(total - tf.shape(own)[1], 0)]], constant_values="")[
            :, :total
        ]
        places = tf.range(total)[None]
        # A word of the prefix that the book does not know is written as it came.
        texts = tf.where(places < given[:, None], own, tf.gather(self.words, chosen))
        texts = tf.where(places < (given + length)[:, None], texts, "")
        return to_text(tf.strings.reduce_join(texts, axis=1, separator=" "))


def signatures(writer: tf.Module) -> dict[str, Any]:
    """`serving_default`: prefix, length, temperature, seed [n] -> text; `score`; `serve_examples`.

    `score`: text [n] -> log_probability and word [n, words] (0 and -1 after the end). `serve_examples`: paragraphs
    as tf.Examples -> words and perplexity of each, its end included.
    """

    def vector(dtype: tf.DType, name: str) -> tf.TensorSpec:
        return tf.TensorSpec([None], dtype, name=name)

    @tf.function(
        input_signature=[
            vector(tf.string, "prefix"),
            vector(tf.int64, "length"),
            vector(tf.float32, "temperature"),
            vector(tf.int64, "seed"),
        ]
    )
    def write(
        prefix: tf.Tensor, length: tf.Tensor, temperature: tf.Tensor, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        known = tf.reduce_all((length >= 0) & (length <= MAX_LENGTH))
        check = tf.debugging.Assert(known, [f"Length must be 0 to {MAX_LENGTH} words:", length])
        with tf.control_dependencies([check] if check is not None else []):
            return {"text": writer.write(prefix, tf.identity(length), temperature, seed)}

    @tf.function(input_signature=[vector(tf.string, "text")])
    def score(text: tf.Tensor) -> dict[str, tf.Tensor]:
        scores, numbers, _ = writer.score(text)
        return {"log_probability": scores, "word": numbers}

    spec = {TEXT_KEY: tf.io.FixedLenFeature([], tf.string)}

    @tf.function(input_signature=[vector(tf.string, "examples")])
    def serve_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        text = tf.strings.join([tf.io.parse_example(examples, spec)[TEXT_KEY], "\n"])
        scores, _, counts = writer.score(text)
        mean = tf.reduce_sum(scores, axis=1) / tf.cast(counts, tf.float32)
        return {"words": counts, "perplexity": tf.exp(-mean)}

    return {"serving_default": write, "score": score, "serve_examples": serve_examples}
