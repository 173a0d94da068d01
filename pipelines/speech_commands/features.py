"""From WAV bytes to what a network sees of one second: 49 spectra of 40 mel bands, inside the graph.

A clip is decoded, brought to 8 kHz (wav.py), and the second around what is spoken in it is cut out: `centred`, the
voice activity detection. 8 kHz because telephones and the spoken digits have no more, and a network that learned from
nothing above 4 kHz must not be shown it. A long recording is cut into overlapping seconds instead: `windows`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.speech_commands import wav
from pipelines.speech_commands.wav import RATE
from pipelines.speech_commands.words import LABELS, SILENCE

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

AUDIO_KEY, LABEL_KEY = "audio", "label"
# What rows carry for people, slices and the evaluation; a client does not send it.
INFORMATION_KEYS = ("name", "word", "speaker", "kind")
WAVE_KEY = "wave_xf"
WINDOW = RATE
FRAME, STEP, BANDS = 256, 160, 40
FRAMES = 1 + (WINDOW - FRAME) // STEP
LOWEST_HZ, HIGHEST_HZ = 60.0, 3_800.0
# Power that is added to every band: about that of noise at -75 dB of full scale. Then what is spoken is told by its
# shape, not its level: the mean is taken away. SPREAD brings the rest to a deviation of about 1.
FLOOR, SPREAD = 1e-5, 3.0
# Decibels of full scale under which a window is silence whatever a network makes of it; how far below the loudest
# frame of a clip speech may be.
QUIET_DB, RANGE_DB = -65.0, 25.0
LONGEST_CLIP_S, LONGEST_RECORDING_S = 10.0, 600.0


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """`audio` [n, 1] WAV bytes -> `wave_xf` float32 [n, 8000]; `label` stays, the rest is left out.

    Waves and not spectra: training moves and mixes them (augmentation.py).
    """
    return {WAVE_KEY: clips(inputs[AUDIO_KEY][:, 0]), LABEL_KEY: inputs[LABEL_KEY]}


def clips(audio: tf.Tensor) -> tf.Tensor:
    """WAV files [n] of up to ten seconds -> the second around what is spoken in each, float32 [n, 8000]."""
    import tensorflow as tf

    return tf.map_fn(
        lambda one: centred(wav.read(one, LONGEST_CLIP_S)),
        audio,
        fn_output_signature=tf.TensorSpec([WINDOW], tf.float32),
    )


def levels(waves: tf.Tensor) -> tf.Tensor:
    """Samples [..., n] -> decibels of full scale of each 20 ms [..., n // 160], -100 at the least."""
    import tensorflow as tf

    steps = tf.shape(waves)[-1] // STEP
    shape = tf.concat([tf.shape(waves)[:-1], [steps, STEP]], axis=0)
    power = tf.reduce_mean(tf.square(tf.reshape(waves[..., : steps * STEP], shape)), axis=-1)
    return 10 / tf.math.log(10.0) * tf.math.log(power + 1e-10)


def centred(wave: tf.Tensor) -> tf.Tensor:
    """Samples [n] -> the second [8000] around what is spoken: zeros fill what the clip does not have.

    Frames within 25 dB of the loudest are taken for speech. If they span more than a second, the second with the most
    energy is taken.
    """
    import tensorflow as tf

    padded = tf.pad(wave, [[WINDOW, WINDOW]])
    loud = levels(padded)
    active = tf.where(loud > tf.maximum(tf.reduce_max(loud) - RANGE_DB, QUIET_DB))[:, 0]
    middle = tf.cond(
        tf.size(active) > 0,
        lambda: tf.cast((active[0] + active[-1] + 1) * STEP // 2, tf.int32),
        lambda: tf.size(padded) // 2,
    )
    spans_more = tf.cond(
        tf.size(active) > 0, lambda: (active[-1] - active[0] + 1) * STEP > WINDOW, lambda: tf.constant(False)
    )
    begin = tf.cond(spans_more, lambda: _loudest_second(padded), lambda: middle - WINDOW // 2)
    return tf.ensure_shape(padded[begin : begin + WINDOW], [WINDOW])


def _loudest_second(padded: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    energy = tf.cumsum(tf.square(padded), exclusive=True)
    sums = energy[WINDOW:] - energy[:-WINDOW]
    return tf.argmax(sums[::STEP], output_type=tf.int32) * STEP


def log_mel(waves: tf.Tensor) -> tf.Tensor:
    """Windows [n, 8000] -> log mel spectra [n, 49, 40] without their mean; level and constant gain are gone."""
    return without_mean(bands(waves))


def bands(waves: tf.Tensor) -> tf.Tensor:
    """Samples [..., n] -> log power in 40 mel bands of each 32 ms, every 20 ms [..., frames, 40]."""
    import tensorflow as tf

    spectra = tf.signal.stft(waves, FRAME, STEP, FRAME)
    power = tf.square(tf.abs(spectra))
    mel = tf.signal.linear_to_mel_weight_matrix(BANDS, FRAME // 2 + 1, RATE, LOWEST_HZ, HIGHEST_HZ)
    return tf.math.log(tf.tensordot(power, mel, 1) + FLOOR)


def without_mean(log_power: tf.Tensor) -> tf.Tensor:
    """Log powers of windows [n, 49, 40], each without its mean and scaled to a deviation of about 1."""
    import tensorflow as tf

    seen = (log_power - tf.reduce_mean(log_power, axis=(1, 2), keepdims=True)) / SPREAD
    return tf.ensure_shape(seen, [None, FRAMES, BANDS])


def hushed(probabilities: tf.Tensor, waves: tf.Tensor) -> tf.Tensor:
    """`probabilities` [n, 12] of windows [n, 8000], but certainly silence where nothing is louder than -65 dB."""
    return hushed_by(probabilities, levels(waves))


def hushed_by(probabilities: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
    """The same of the windows' levels [n, 50]."""
    import tensorflow as tf

    quiet = tf.reduce_max(level, axis=1, keepdims=True) < QUIET_DB
    return tf.where(quiet, tf.one_hot(SILENCE, len(LABELS)), probabilities)


def exporter_inputs(serialized: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Raw tf.Examples [n] -> what the signature `log_mel` takes, and labels [n]; for exporters."""
    import tensorflow as tf

    spec = {
        key: tf.io.FixedLenFeature([], kind) for key, kind in ((AUDIO_KEY, tf.string), (LABEL_KEY, tf.int64))
    }
    rows = tf.io.parse_example(tf.constant(list(serialized)), spec)
    spectra = tf.function(lambda audio: log_mel(clips(audio)))
    return {"log_mel": spectra(rows[AUDIO_KEY]).numpy()}, rows[LABEL_KEY].numpy()
