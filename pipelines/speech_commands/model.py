"""Training, and signatures that begin with the bytes of a WAV file.

`serving_default` takes clips of one word, `serve_examples` serialized tf.Examples; `events` a long recording;
`posteriors` a piece of a stream (streaming.py); `log_mel` spectra, for exporters to other runtimes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base import training
from pipelines.speech_commands import augmentation, features, spotting, wav
from pipelines.speech_commands.features import AUDIO_KEY, INFORMATION_KEYS, LABEL_KEY, WAVE_KEY, WINDOW
from pipelines.speech_commands.network import build_model
from pipelines.speech_commands.words import LABELS, SILENCE

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    import tf_keras as keras


def run_fn(fn_args: Any) -> None:
    """Trains the run's variant on the training split and exports it; the tune split only draws curves."""
    run = training.Run.of(fn_args, seed=1)
    parameters = run.parameters
    train, tune = (clips_of(files, run.spec) for files in (fn_args.train_files, fn_args.eval_files))
    model = build_model(parameters)
    compile_model(model, parameters, math.ceil(len(train[1]) / parameters["batch_size"]))
    batches, watched = training_batches(*train, parameters["batch_size"]), plain_batches(*tune)
    training.fit(model, fn_args, batches, watched, parameters["epochs"])
    classifier = make_classifier(model)
    training.export(classifier, fn_args, signatures(classifier, run.transformed))


def clips_of(files: Sequence[str | Path], spec: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """(clips [n, 8000], labels [n]) of transformed examples, whole: a thousand clips are 32 MB."""
    import numpy as np

    rows = training.dataset([str(file) for file in files], spec, LABEL_KEY, 256)
    parts = [(batch[WAVE_KEY].numpy(), labels.numpy().ravel()) for batch, labels in rows]
    waves, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return waves, labels


def training_batches(waves: np.ndarray, labels: np.ndarray, batch: int) -> tf.data.Dataset:
    """Spectra of clips that are said otherwise in every epoch; see augmentation.py."""
    import tensorflow as tf

    noises = tf.constant(waves[labels == SILENCE])
    tf.debugging.assert_greater(len(noises), 0, "no rows without speech to mix in")

    def varied(chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        wanted = tf.gather(all_labels, chosen)
        said = augmentation.varied(tf.gather(all_waves, chosen), wanted, noises)
        return augmentation.masked(features.log_mel(said)), wanted

    all_waves, all_labels = tf.constant(waves), tf.constant(labels)
    rows = tf.data.Dataset.range(len(labels)).shuffle(len(labels), seed=training.SHUFFLE_SEED)
    return rows.batch(batch).map(varied, num_parallel_calls=2).prefetch(2)


def plain_batches(waves: np.ndarray, labels: np.ndarray) -> tf.data.Dataset:
    """Spectra of the clips as they are served."""
    import tensorflow as tf

    rows = tf.data.Dataset.from_tensor_slices((waves, labels)).batch(256)
    return rows.map(lambda batch, wanted: (features.log_mel(batch), wanted))


def compile_model(model: keras.Model, parameters: dict[str, Any], steps_per_epoch: int) -> None:
    """Cross entropy with a little label smoothing; Adam under a cosine."""
    import tensorflow as tf
    import tf_keras as keras

    def loss(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        wanted = tf.one_hot(tf.reshape(tf.cast(labels, tf.int32), [-1]), len(LABELS))
        smoothing = parameters["label_smoothing"]
        return keras.losses.categorical_crossentropy(
            wanted, logits, from_logits=True, label_smoothing=smoothing
        )

    falling = keras.optimizers.schedules.CosineDecay(
        parameters["learning_rate"], parameters["epochs"] * steps_per_epoch
    )
    model.compile(
        keras.optimizers.Adam(falling), loss, [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    )


def make_classifier(model: Any) -> tf.Module:
    """A module around any variant; `classify(spectra [n, 49, 40])` gives probabilities [n, 12]."""
    import tensorflow as tf

    class Classifier(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="classifier")
            self.model = model

        def classify(self, spectra: tf.Tensor) -> tf.Tensor:
            return tf.nn.softmax(model(spectra, training=False))

        def outputs(self, waves: tf.Tensor) -> dict[str, tf.Tensor]:
            """What is said in windows [n, 8000]."""
            probabilities = features.hushed(self.classify(features.log_mel(waves)), waves)
            label = tf.argmax(probabilities, axis=1)
            return {
                "probabilities": probabilities,
                "label": label,
                "word": tf.gather(tf.constant(LABELS), label),
            }

    return Classifier()


def signatures(classifier: Any, transformed: Any) -> dict[str, Any]:
    """The five signatures; see the module. `events` and `posteriors` take one recording, no batch."""
    import tensorflow as tf

    one = tf.TensorSpec([], tf.string, name=AUDIO_KEY)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=AUDIO_KEY)])
    def serving_default(audio: tf.Tensor) -> dict[str, tf.Tensor]:
        return classifier.outputs(features.clips(audio))

    @tf.function(input_signature=[one])
    def events(audio: tf.Tensor) -> dict[str, tf.Tensor]:
        return spotting.events(spotting.posteriors(classifier.classify, spotting.whole(audio)))

    @tf.function(input_signature=[one])
    def posteriors(audio: tf.Tensor) -> dict[str, tf.Tensor]:
        piece = wav.read(audio, features.LONGEST_RECORDING_S)
        return spotting.posteriors(classifier.classify, piece)

    spectra = tf.TensorSpec([None, features.FRAMES, features.BANDS], tf.float32, name="log_mel")

    @tf.function(input_signature=[spectra])
    def log_mel(log_mel: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": classifier.classify(log_mel)}

    serve_examples = training.examples_signature(
        lambda rows: classifier.outputs(tf.ensure_shape(rows[WAVE_KEY], [None, WINDOW])),
        transformed,
        classifier,
        label_keys=[LABEL_KEY, *INFORMATION_KEYS],
    )
    return {
        "serving_default": serving_default,
        "serve_examples": serve_examples,
        "events": events,
        "posteriors": posteriors,
        "log_mel": log_mel,
    }
