"""A weight for every word, and for two variants a recurrent correction to their sum; signatures that begin with text.

The weights are a logistic regression's (`linear.py`). A correction of three recurrent layers learns what the
regression gets wrong on rows that it was not fitted to; how much of it counts, perhaps nothing, is chosen on the tune
split. GRUs are built with reset_after=False, the only form TensorFlow.js has. Padding is not masked: it stands in
front, and the network learns to start after it, in the browser as here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.base import training, whole
from pipelines.sentiment import linear
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
from pipelines.sentiment.linear import Linear, Rows

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

EMBEDDING, UNITS = 8, (16, 8, 4)
LINEAR = "linear"
# Of the correction so much may count; 0 is the regression alone.
SCALES = (0.0, 0.25, 0.5, 0.75, 1.0)
BATCH, SEED = 4096, 3
SHOWN = 20
# What the TF.js exporter takes: Keras's HDF5, in the training's run folder so that the served model stays lean.
KERAS_FILE = "keras.h5"
# What was chosen on the tune split, for the report.
CHOICES_FILE = "choices.json"


def run_fn(fn_args: Any) -> None:
    """Fits the regression and, for recurrent variants, a correction; chooses on the tune split; exports."""
    run = training.Run.of(fn_args, seed=SEED)
    vocabulary = [word.decode("utf-8", "replace") for word in run.transformed.vocabulary_by_name(VOCABULARY)]
    words = len(vocabulary)
    train, tune = (
        read_rows(training.dataset(files, run.spec, LABEL_KEY, BATCH))
        for files in (fn_args.train_files, fn_args.eval_files)
    )
    regression, losses = linear.choose(train, tune, words)
    choices: dict[str, Any] = {"penalty": regression.penalty, "tune_loss_by_penalty": losses}
    choices["strongest"] = strongest(regression, vocabulary)
    correction = None
    if run.parameters["variant"] != LINEAR:
        correction = build_correction(run.parameters["variant"], words)
        offsets = linear.cross_fitted(train, words, regression.penalty)
        fit_correction(correction, fn_args, run.parameters, (train, offsets), (tune, regression))
        choices |= choose_scale(correction, regression, tune)
    model = join(regression, correction)
    whole.write(run.folder / CHOICES_FILE, json.dumps(choices, indent=1))
    model.save(str(run.folder / KERAS_FILE), save_format="h5", include_optimizer=False)
    served = make_served(model)
    training.export(served, fn_args, signatures(served, model, run.transformed))


def strongest(regression: Linear, vocabulary: Sequence[str]) -> dict[str, float]:
    """The weights of the SHOWN words that say most for either side."""
    weights = regression.weights[FIRST_WORD:]
    order = np.argsort(weights)
    return {vocabulary[i]: float(weights[i]) for i in {*order[:SHOWN].tolist(), *order[-SHOWN:].tolist()}}


def read_rows(rows: tf.data.Dataset) -> Rows:
    """The different rows of a whole dataset; all lines of a text together weigh one."""
    parts = [(x[TOKENS_KEY].numpy(), y.numpy()[:, 0], 1.0 / x[COPIES_KEY].numpy()[:, 0]) for x, y in rows]
    return linear.distinct(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def build_correction(variant: str, words: int) -> keras.Model:
    """Word numbers [n, 40] -> what is added to the regression's logit, [n, 1]; nothing at first."""
    import tf_keras as keras

    tokens = keras.Input((LENGTH,), name=TOKENS_KEY)
    hidden = keras.layers.Embedding(words + FIRST_WORD, EMBEDDING, name="words")(tokens)
    for units in UNITS:
        sequences = units != UNITS[-1]
        if variant == "lstm":
            hidden = keras.layers.LSTM(units, return_sequences=sequences)(hidden)
        else:
            hidden = keras.layers.GRU(units, return_sequences=sequences, reset_after=False)(hidden)
    added = keras.layers.Dense(1, kernel_initializer="zeros", name="correction")(hidden)
    return keras.Model(tokens, added, name=f"correction_{variant}")


def fit_correction(
    correction: keras.Model,
    fn_args: Any,
    parameters: dict[str, Any],
    train: tuple[Rows, np.ndarray],
    tune: tuple[Rows, Linear],
) -> None:
    """Fits `correction` beside the given logits, and leaves it as it was after the epoch that did best on tune."""
    import tensorflow as tf
    import tf_keras as keras

    offset = keras.Input((1,), name="offset")
    score = keras.layers.Activation("sigmoid")(correction.output + offset)
    model = keras.Model([correction.input, offset], score)
    steps = parameters["epochs"] * math.ceil(len(train[0].labels) / parameters["batch_size"])
    falling = keras.optimizers.schedules.CosineDecay(parameters["learning_rate"], max(1, steps))
    model.compile(keras.optimizers.Adam(falling, clipnorm=1.0), "binary_crossentropy")

    def batches(rows: Rows, offsets: np.ndarray, batch: int) -> tf.data.Dataset:
        columns = (rows.tokens, offsets[:, None].astype(np.float32), rows.labels[:, None], rows.weights)
        order = np.random.default_rng(SEED).permutation(len(rows.labels))
        return tf.data.Dataset.from_tensor_slices(tuple(column[order] for column in columns)).batch(batch)

    best = BestEpoch()
    shuffled = batches(*train, 1).unbatch().shuffle(20_000, seed=SEED).batch(parameters["batch_size"])
    held = batches(tune[0], tune[1].logits(tune[0].tokens), 512)
    training.fit(
        model,
        fn_args,
        shuffled.map(forgetting(parameters["word_dropout"])),
        held.map(forgetting(0.0)),
        parameters["epochs"],
        callbacks=[best.callback()],
    )
    best.restore(model)


def choose_scale(correction: keras.Model, regression: Linear, tune: Rows) -> dict[str, Any]:
    """Multiplies the correction by the one of SCALES with the lowest loss on `tune`; what was found, as facts.

    `shown` is whether the gain on the regression alone, sentence by sentence, is above twice its standard error.
    """
    base = regression.logits(tune.tokens)
    added = correction(tune.tokens, training=False).numpy()[:, 0]
    losses = {scale: linear.losses(base + scale * added, tune) for scale in SCALES}
    means = {scale: float(np.average(loss, weights=tune.weights)) for scale, loss in losses.items()}
    best = min(means, key=lambda scale: means[scale])
    last = correction.get_layer("correction")
    last.set_weights([best * weight for weight in last.get_weights()])
    gain = losses[0.0] - losses[best]
    mean = np.average(gain, weights=tune.weights)
    error = np.sqrt(np.average((gain - mean) ** 2, weights=tune.weights) / len(gain))
    return {
        "scale": best,
        "tune_loss_by_scale": {f"{scale:g}": value for scale, value in means.items()},
        "tune_gain": float(mean),
        "tune_gain_error": float(error),
        "shown": bool(mean > 2 * error),
    }


def join(regression: Linear, correction: keras.Model | None) -> keras.Model:
    """Word numbers [n, 40] -> score [n, 1] between 0 (negative) and 1 (positive): all of it in layers of TF.js."""
    import tf_keras as keras

    tokens = keras.Input((LENGTH,), name=TOKENS_KEY) if correction is None else correction.input
    weights = keras.layers.Embedding(len(regression.weights), 1, name="weights")
    total = keras.layers.Dense(1, name="total")
    logit = total(keras.layers.GlobalAveragePooling1D(name="mean")(weights(tokens)))
    # The layer that adds up is one that takes the mean.
    weights.set_weights([regression.weights[:, None]])
    total.set_weights([np.full((1, 1), LENGTH, np.float32), np.array([regression.bias], np.float32)])
    if correction is not None:
        logit = keras.layers.Add(name="corrected")([logit, correction.output])
    score = keras.layers.Activation("sigmoid", name="score")(logit)
    return keras.Model(tokens, score, name="sentiment")


def forgetting(share: float) -> Any:
    """(tokens, offset, label, weight) -> what Keras takes, with `share` of the words replaced by the unknown one.

    The network then does not lean on single words, and learns what to do with words it has never seen.
    """
    import tensorflow as tf

    def forget(tokens: tf.Tensor, offset: tf.Tensor, label: tf.Tensor, weight: tf.Tensor) -> tuple[Any, ...]:
        lost = (tf.random.uniform(tf.shape(tokens)) < share) & (tokens >= FIRST_WORD)
        return (tf.where(lost, tf.constant(UNKNOWN, tokens.dtype), tokens), offset), label, weight

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
