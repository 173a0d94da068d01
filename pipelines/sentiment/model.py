"""Embedding and three recurrent layers, small enough for a browser, and signatures that begin with raw text.

GRUs are built with reset_after=False, the only form TensorFlow.js has. Padding is not masked: it stands in front,
and the network learns to start after it, in the browser as here.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.base import training
from pipelines.sentiment.features import (
    COPIES_KEY,
    FIRST_WORD,
    LABEL_KEY,
    LENGTH,
    SLICE_KEYS,
    TEXT_KEY,
    TOKENS_KEY,
    UNKNOWN,
    VOCABULARY,
)
from pipelines.sentiment.head_start import word_weights

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

EMBEDDING, UNITS = 8, (16, 8, 4)
# What the TF.js exporter takes: Keras's HDF5, in the training's run folder so that the served model stays lean.
KERAS_FILE = "keras.h5"


def build_model(parameters: dict[str, Any]) -> keras.Model:
    """Word numbers [n, 40] -> score [n, 1] between 0 (negative) and 1 (positive), compiled.

    `parameters`: "variant" (gru or lstm), "words" (size of the vocabulary), "learning_rate", which falls to zero
    along a cosine over "steps".
    """
    import tf_keras as keras

    tokens = keras.Input((LENGTH,), name=TOKENS_KEY)
    hidden = keras.layers.Embedding(parameters["words"] + FIRST_WORD, EMBEDDING, name="words")(tokens)
    for units in UNITS:
        sequences = units != UNITS[-1]
        if parameters["variant"] == "gru":
            hidden = keras.layers.GRU(units, return_sequences=sequences, reset_after=False)(hidden)
        else:
            hidden = keras.layers.LSTM(units, return_sequences=sequences)(hidden)
    score = keras.layers.Dense(1, "sigmoid", name="score")(hidden)
    model = keras.Model(tokens, score, name=f"sentiment_{parameters['variant']}")
    falling = keras.optimizers.schedules.CosineDecay(parameters["learning_rate"], max(1, parameters["steps"]))
    model.compile(keras.optimizers.Adam(falling, clipnorm=1.0), "binary_crossentropy", ["accuracy"])
    return model


def run_fn(fn_args: Any) -> None:
    """Fits to the training split, keeps the epoch that did best on the tune split, exports."""
    import tensorflow_transform as tft
    import tf_keras as keras

    keras.utils.set_random_seed(3)
    transformed = tft.TFTransformOutput(fn_args.transform_output)
    spec = transformed.transformed_feature_spec()
    parameters = training.parameters(fn_args)
    tokens, labels, weights = read_rows(training.dataset(fn_args.train_files, spec, LABEL_KEY, 4096))
    steps = parameters["epochs"] * math.ceil(len(labels) / parameters["batch_size"])
    words = transformed.vocabulary_size_by_name(VOCABULARY)
    model = build_model({**parameters, "words": words, "steps": steps})
    start_embedding(model, word_weights(tokens, labels, weights, words))
    train = training.dataset(fn_args.train_files, spec, LABEL_KEY, parameters["batch_size"], shuffle=20_000)
    tune = training.dataset(fn_args.eval_files, spec, LABEL_KEY, 512)
    best = BestEpoch()
    training.fit(
        model,
        fn_args,
        train.map(forgetting(parameters["word_dropout"])),
        tune.map(forgetting(0.0)),
        parameters["epochs"],
        callbacks=[best.callback()],
    )
    best.restore(model)
    Path(fn_args.model_run_dir).mkdir(parents=True, exist_ok=True)
    model.save(str(Path(fn_args.model_run_dir) / KERAS_FILE), save_format="h5", include_optimizer=False)
    served = make_served(model)
    training.export(served, fn_args, signatures(served, model, transformed))


def read_rows(rows: tf.data.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(tokens [n, 40], labels [n], weights [n]) of a whole dataset; a row's weight is one over its copies."""
    parts = [(x[TOKENS_KEY].numpy(), y.numpy()[:, 0], 1.0 / x[COPIES_KEY].numpy()[:, 0]) for x, y in rows]
    tokens, labels, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    return tokens, labels, weights


def start_embedding(model: keras.Model, weights: np.ndarray) -> None:
    """Puts `weights` [words] into the embedding's first column."""
    embedding = model.get_layer("words")
    values = embedding.get_weights()[0]
    values[:, 0] = weights
    embedding.set_weights([values])


def forgetting(share: float) -> Any:
    """(features, label) -> (tokens, label, weight) with `share` of the words replaced by the unknown one.

    The network then does not lean on single words, and learns what to do with words it has never seen. All
    copies of a sentence together weigh as much as a sentence that stands there once: what counts is how the
    network does on sentences that it has not met.
    """
    import tensorflow as tf

    def forget(features: dict[str, tf.Tensor], label: tf.Tensor) -> tuple[Any, ...]:
        tokens = features[TOKENS_KEY]
        lost = (tf.random.uniform(tf.shape(tokens)) < share) & (tokens >= FIRST_WORD)
        weight = 1.0 / tf.cast(features[COPIES_KEY], tf.float32)
        return tf.where(lost, tf.constant(UNKNOWN, tokens.dtype), tokens), label, weight

    return forget


class BestEpoch:
    """Remembers the weights of the epoch with the lowest loss on the tune split."""

    def __init__(self) -> None:
        self.loss = float("inf")
        self.weights: list[Any] | None = None

    def callback(self) -> keras.callbacks.Callback:
        import tf_keras as keras

        def look(epoch: int, logs: dict[str, float]) -> None:
            if logs["val_loss"] < self.loss:
                self.loss, self.weights = logs["val_loss"], callback.model.get_weights()

        callback = keras.callbacks.LambdaCallback(on_epoch_end=look)
        return callback

    def restore(self, model: keras.Model) -> None:
        if self.weights is not None:
            model.set_weights(self.weights)


def make_served(model: keras.Model) -> tf.Module:
    """A module that holds the model's weights, not the model: what is exported is the signatures.

    Saving a Keras model traces every layer's functions once more, which for recurrent layers takes minutes.
    """
    import tensorflow as tf

    served = tf.Module(name="sentiment")
    served.kept = list(model.weights)
    return served


def signatures(served: tf.Module, model: keras.Model, transformed: Any) -> dict[str, Any]:
    """`serving_default`: `text` [n] -> `score` and `positive` [n], `tokens` [n, 40]; `serve_examples` likewise."""
    import tensorflow as tf

    def outputs(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        score = model(features[TOKENS_KEY], training=False)[:, 0]
        return {"score": score, "positive": tf.cast(score >= 0.5, tf.int64), "tokens": features[TOKENS_KEY]}

    serve_examples = training.examples_signature(
        outputs, transformed, served, label_keys=[LABEL_KEY, COPIES_KEY, *SLICE_KEYS]
    )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=TEXT_KEY)])
    def serve_text(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return outputs(served.tft_layer({TEXT_KEY: text[:, None]}))

    return {"serving_default": serve_text, "serve_examples": serve_examples}
