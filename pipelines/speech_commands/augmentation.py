"""Training clips as somebody else might have said them elsewhere: earlier or later, faster or slower, in noise.

One operation per batch; evaluation and serving never see it. Noise is what the training split has of it: its rows
without speech.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.speech_commands.features import BANDS, FRAMES, WINDOW
from pipelines.speech_commands.words import SILENCE

if TYPE_CHECKING:
    import tensorflow as tf

# Samples (a tenth of a second, more than half the hop of a stream); speed, which moves pitch and formants alike, as
# between a child and a man; decibels. NOISY of the clips get noise.
SHIFT, SPEED = 800, 0.18
NOISY, LOWEST_SNR, HIGHEST_SNR, GAIN = 0.85, 3.0, 30.0, 12.0
# The widest masks over frames and bands (Park et al. 2019, SpecAugment).
TIME_MASK, BAND_MASK = 8, 6


def varied(waves: tf.Tensor, labels: tf.Tensor, noises: tf.Tensor) -> tf.Tensor:
    """Clips [n, 8000] with labels [n] -> the same said otherwise; `noises` [k, 8000] is what is mixed in."""
    moved = mixed(moved_in_time(waves), labels, noises)
    return moved * _decibels(_draw(waves, -GAIN, GAIN))


def _draw(waves: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """One number a clip, [n, 1]."""
    import tensorflow as tf

    return tf.random.uniform([tf.shape(waves)[0], 1], low, high)


def _decibels(value: tf.Tensor) -> tf.Tensor:
    return 10.0 ** (value / 20.0)


def moved_in_time(waves: tf.Tensor) -> tf.Tensor:
    """Each clip [n, 8000] shifted and played at another speed, the middle fixed; zeros come in at the ends."""
    import tensorflow as tf

    speed = tf.exp(_draw(waves, -SPEED, SPEED))
    shift = _draw(waves, -float(SHIFT), float(SHIFT))
    middle = WINDOW / 2
    place = (tf.range(WINDOW, dtype=tf.float32)[None, :] - middle + shift) * speed + middle
    there = tf.cast((place >= 0) & (place <= WINDOW - 2), tf.float32)
    low = tf.cast(tf.clip_by_value(place, 0.0, WINDOW - 2.0), tf.int32)
    share = place - tf.cast(low, tf.float32)
    left, right = tf.gather(waves, low, batch_dims=1), tf.gather(waves, low + 1, batch_dims=1)
    return (left + share * (right - left)) * there


def mixed(waves: tf.Tensor, labels: tf.Tensor, noises: tf.Tensor) -> tf.Tensor:
    """Clips [n, 8000] with noise at 3 to 30 dB below the speech; rows without speech stay as they are."""
    import tensorflow as tf

    count = tf.shape(waves)[0]
    chosen = tf.gather(noises, tf.random.uniform([count], 0, tf.shape(noises)[0], tf.int32))
    turn = tf.random.uniform([count, 1], 0, WINDOW, tf.int32)
    chosen = tf.gather(chosen, (tf.range(WINDOW)[None, :] + turn) % WINDOW, batch_dims=1)
    wanted = _decibels(-_draw(waves, LOWEST_SNR, HIGHEST_SNR)) * speech_level(waves)
    noise = chosen * wanted / (tf.sqrt(tf.reduce_mean(tf.square(chosen), axis=1, keepdims=True)) + 1e-7)
    speech = tf.reshape(labels, [-1, 1]) != SILENCE
    noisy = speech & (tf.random.uniform([count, 1]) < NOISY)
    return waves + tf.where(noisy, noise, 0.0)


def speech_level(waves: tf.Tensor) -> tf.Tensor:
    """Root mean square of what is spoken in each clip [n, 8000], [n, 1]: of samples above a twentieth of its peak."""
    import tensorflow as tf

    loud = tf.abs(waves) > tf.reduce_max(tf.abs(waves), axis=1, keepdims=True) / 20
    power = tf.where(loud, tf.square(waves), 0.0)
    count = tf.reduce_sum(tf.cast(loud, tf.float32), axis=1, keepdims=True)
    return tf.sqrt(tf.reduce_sum(power, axis=1, keepdims=True) / tf.maximum(count, 1.0))


def masked(spectra: tf.Tensor) -> tf.Tensor:
    """Spectra [n, 49, 40] of which a band of time and one of frequency are set to 0, their mean."""
    import tensorflow as tf

    def kept(size: int, widest: int) -> tf.Tensor:
        width = tf.random.uniform([tf.shape(spectra)[0], 1], 0, widest + 1, tf.int32)
        begin = tf.random.uniform([tf.shape(spectra)[0], 1], 0, size, tf.int32)
        place = tf.range(size)[None, :]
        return tf.cast((place < begin) | (place >= begin + width), tf.float32)

    return spectra * kept(FRAMES, TIME_MASK)[:, :, None] * kept(BANDS, BAND_MASK)[:, None, :]
