"""The reader: a two-layer LSTM language model fitted to the book in its order, exported as a writer.

Sequence loss over windows that follow each other, with the state carried from one to the next; gradients clipped
by their global norm; dropout with one mask per window (Gal and Ghahramani, 2016); output weights tied to the
embedding (Press and Wolf, 2017). Beside it stand an n-gram model and a cache, mixed with weights that the tune split
fits. No pretrained vectors, no attention.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.base import training, whole
from pipelines.book_scripts import mixing
from pipelines.book_scripts.features import POSITION_XF, RETURN, VOCABULARY, WORDS_XF
from pipelines.book_scripts.kneser_ney import KneserNey

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

    from pipelines.book_scripts.writing import Mixture, Writer

CURVES_FILE = "curves.json"
MIXTURE_FILE = "mixture.json"
SEED = 11


def build_model(parameters: dict[str, Any]) -> keras.Model:
    """The compiled reader: word numbers [batch, steps] -> logits [batch, steps, vocabulary]; stateful.

    `parameters` holds the variant's and `vocabulary` (numbers in all) and `total_steps` (for the schedule).
    """
    import tensorflow as tf
    import tf_keras as keras

    units, vocabulary = parameters["units"], parameters["vocabulary"]

    class Tied(keras.layers.Layer):
        """Logits from the embedding's own vectors and a bias."""

        def __init__(self, embedding: keras.layers.Embedding) -> None:
            super().__init__(name="tied")
            self.embedding = embedding

        def build(self, shape: Any) -> None:
            self.bias = self.add_weight("bias", (vocabulary,), initializer="zeros")

        def call(self, hidden: tf.Tensor) -> tf.Tensor:
            flat = tf.reshape(hidden, [-1, units])
            logits = tf.matmul(flat, self.embedding.embeddings, transpose_b=True) + self.bias
            return tf.reshape(logits, [*hidden.shape[:2], vocabulary])

    def dropout() -> keras.layers.Layer:
        return keras.layers.Dropout(parameters["dropout"], noise_shape=(None, 1, None))

    words = keras.Input(
        batch_shape=(parameters["batch_size"], parameters["steps"]), dtype="int64", name="words"
    )
    initial = keras.initializers.RandomUniform(-0.1, 0.1)
    embedding = keras.layers.Embedding(vocabulary, units, embeddings_initializer=initial, name="embedding")
    hidden = dropout()(embedding(words))
    for layer in ("lstm_1", "lstm_2"):
        hidden = dropout()(keras.layers.LSTM(units, return_sequences=True, stateful=True, name=layer)(hidden))
    model = keras.Model(words, Tied(embedding)(hidden), name="reader")
    schedule = keras.optimizers.schedules.CosineDecay(parameters["learning_rate"], parameters["total_steps"])
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=parameters["weight_decay"], global_clipnorm=parameters["clip_norm"]
    )
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def stream(files: Sequence[str], spec: dict[str, Any]) -> np.ndarray:
    """All word numbers of a split, int64 [words], in the order of the book whatever the order of the rows."""
    paragraphs: list[tuple[int, np.ndarray]] = []
    for rows in training.dataset(files, spec, None, 512):
        words = rows[WORDS_XF]
        lengths = np.bincount(words.indices.numpy()[:, 0], minlength=int(words.dense_shape[0]))
        parts = np.split(words.values.numpy(), np.cumsum(lengths)[:-1])
        paragraphs += zip(rows[POSITION_XF].numpy().ravel().tolist(), parts, strict=True)
    return np.concatenate([words for _, words in sorted(paragraphs, key=lambda pair: pair[0])])


def windows(words: np.ndarray, batch: int, steps: int, *, shift: bool) -> tuple[tf.data.Dataset, int]:
    """Windows (input, next words), each [batch, steps], and their number per epoch.

    Row i of each window goes on where row i of the one before ended. `shift` begins every epoch somewhere else
    within the first window, so that the same words are not always cut at the same places.
    Raises ValueError for a text too short for one window.
    """
    import tensorflow as tf

    count = (len(words) - 1 - steps * shift) // batch // steps
    if count < 1:
        raise ValueError(
            f"The text has {len(words)} words; a window needs {batch} x {steps}. Lower batch_size."
        )
    text = tf.constant(words)
    span = count * steps

    def epoch(drawn: tf.Tensor) -> tf.data.Dataset:
        start = drawn % steps if shift else tf.constant(0, tf.int64)
        given = tf.reshape(text[start : start + batch * span], [batch, count, steps])
        wanted = tf.reshape(text[start + 1 : start + 1 + batch * span], [batch, count, steps])
        return tf.data.Dataset.from_tensor_slices(
            (tf.transpose(given, [1, 0, 2]), tf.transpose(wanted, [1, 0, 2]))
        )

    # tf.random inside a dataset begins anew with every epoch where a seed is set; this source goes on.
    draws = tf.data.Dataset.random(seed=1, rerandomize_each_iteration=True).take(1)
    dataset = draws.flat_map(epoch)
    # flat_map hides the number, which the progress of a resumed training is counted by.
    return dataset.apply(tf.data.experimental.assert_cardinality(count)).prefetch(4), count


def forget() -> keras.callbacks.Callback:
    """A callback that empties the state where the text begins anew."""
    import tf_keras as keras

    class Forget(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.model.reset_states()

        def on_test_begin(self, logs: Any = None) -> None:
            self.model.reset_states()

    return Forget()


def run_fn(fn_args: Any) -> None:
    """Reads the book `epochs` times, writes the learning curves, mixes, exports the writer."""
    from pipelines.book_scripts.writing import Writer, signatures

    run = training.Run.of(fn_args, SEED)
    vocabulary = [word.decode("utf-8") for word in run.transformed.vocabulary_by_name(VOCABULARY)]
    read, held = (stream(files, run.spec) for files in (fn_args.train_files, fn_args.eval_files))
    parameters = {**run.parameters, **fitting(run.parameters, len(read), len(held))}
    batch, steps, epochs = parameters["batch_size"], parameters["steps"], parameters["epochs"]
    train, count = windows(read, batch, steps, shift=True)
    tune, _ = windows(held, batch, steps, shift=False)
    model = build_model({**parameters, "vocabulary": len(vocabulary) + 1, "total_steps": count * epochs})
    curves = CurveFile(run.folder / CURVES_FILE)
    training.fit(model, fn_args, train, tune, epochs, callbacks=[forget(), curves.callback()])
    mixture = mix(Writer(weights(model), vocabulary), read, held, vocabulary.index(RETURN))
    facts = {"half_life": mixture.half_life, "weights": mixture.weights.round(4).tolist()}
    whole.write(run.folder / MIXTURE_FILE, json.dumps(facts, indent=1))
    writer = Writer(weights(model), vocabulary, mixture)
    training.export(writer, fn_args, signatures(writer))


def fitting(parameters: dict[str, Any], read: int, held: int) -> dict[str, int]:
    """batch_size and steps, smaller for a short book: splits of `read` and `held` words hold a window each."""
    steps = max(1, min(parameters["steps"], held - 1, (read - 1) // 2))
    return {"steps": steps, "batch_size": max(1, min(parameters["batch_size"], (held - 1) // steps))}


def mix(network: Writer, read: np.ndarray, held: np.ndarray, end: int) -> Mixture:
    """N-grams of `read`, and the weights and half-life with which `held` is likeliest; `end` ends paragraphs."""
    import tensorflow as tf

    from pipelines.book_scripts.writing import Mixture

    counted = KneserNey(read, network.unknown + 1)
    blocks = mixing.blocks(held, end)
    width = max(map(len, blocks))
    padded = np.stack([np.pad(block, (0, width - len(block)), constant_values=end) for block in blocks])
    said = tf.function(network.follow)(tf.constant(padded)).numpy().astype(np.float64)
    alone = np.exp(np.concatenate([row[: len(b) - 1] for row, b in zip(said, blocks, strict=True)]))
    shares, half_life = mixing.choose(blocks, alone[:, None], counted)
    return Mixture(counted, half_life, shares)


class CurveFile:
    """Loss and perplexity per epoch as a JSON list; an interrupted training's epochs stay in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def callback(self) -> keras.callbacks.Callback:
        """Appends a line's worth after every epoch; a repeated epoch replaces its former self."""
        import tf_keras as keras

        return keras.callbacks.LambdaCallback(on_epoch_end=self._add)

    def _add(self, epoch: int, logs: dict[str, float]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        rows = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else []
        rows = [row for row in rows if row["epoch"] != epoch + 1]
        rows.append({"epoch": epoch + 1, "loss": float(logs["loss"]), "val_loss": float(logs["val_loss"])})
        whole.write(self.path, json.dumps(sorted(rows, key=lambda row: row["epoch"]), indent=1))


def weights(model: keras.Model) -> dict[str, Any]:
    """The reader's arrays by name, as a Writer wants them."""
    return dict(_weights(model))


def _weights(model: keras.Model) -> Iterator[tuple[str, Any]]:
    yield "embedding", model.get_layer("embedding").embeddings.numpy()
    yield "bias", model.get_layer("tied").bias.numpy()
    yield "cells", [[w.numpy() for w in model.get_layer(name).cell.weights] for name in ("lstm_1", "lstm_2")]
