"""The writer: the reader's weights as plain TensorFlow that scores texts and goes on writing them, all in the graph.

One request, one answer: prefix in, text out, with a tf.while_loop over the words between. The same seed gives the
same text. It does not know capital letters: the book was read in lower case.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from pipelines.book_scripts.features import RETURN, TEXT_KEY, to_text, tokens

MAX_LENGTH = 500
# Below this, the likeliest word is all but certain.
MIN_TEMPERATURE = 1e-2


class Writer(tf.Module):
    """`score` and `write`; both begin with an empty state, as after the end of a paragraph.

    Made of `weights` {embedding [v + 1, units], bias [v + 1], cells: per layer Keras's LSTM arrays}. Number v, the
    last, is every word that is not in `vocabulary`.
    """

    def __init__(self, weights: dict[str, Any], vocabulary: Sequence[str]) -> None:
        super().__init__(name="writer")
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
        """An empty state: output and memory of each layer, [rows, units]."""
        return [tf.zeros([rows, self.units]) for _ in range(2 * len(self.cells))]

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

    def score(self, text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Texts [n] -> log probabilities (nats) and numbers [n, words] of their words, and counts [n]."""
        numbers, lengths = self.numbers(text)
        width = tf.shape(numbers)[1] - 1

        def go_on(t: tf.Tensor, found: tf.TensorArray, *state: tf.Tensor) -> Any:
            logits, after = self.step(numbers[:, t], list(state))
            wanted = tf.gather(tf.nn.log_softmax(logits), numbers[:, t + 1], batch_dims=1)
            return (t + 1, found.write(t, wanted), *after)

        found = tf.TensorArray(tf.float32, width, element_shape=[None])
        _, found, *_ = tf.while_loop(
            lambda t, *_: t < width, go_on, (0, found, *self.start(tf.shape(numbers)[0]))
        )
        counts = lengths - 1
        scores = tf.transpose(tf.reshape(found.stack(), [width, -1]))
        inside = tf.sequence_mask(counts, width)
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
            logits, after = self.step(last, list(state))
            # "Unknown" is no word that one could write.
            chance = tf.nn.softmax(logits[:, : self.unknown] * scale[:, None])
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
