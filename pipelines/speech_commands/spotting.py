"""Words in a long recording: a network asked about overlapping seconds, and what becomes an event of its answers.

All that is known of a window comes from that window, and an event from the eight windows on either side of its own, so
a stream that is asked piece by piece (streaming.py) gives the same events. Everything here is inside the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pipelines.speech_commands import features, wav
from pipelines.speech_commands.features import FRAMES, STEP, WINDOW
from pipelines.speech_commands.wav import BLOCK, RATE
from pipelines.speech_commands.words import LABELS, WORDS

if TYPE_CHECKING:
    import tensorflow as tf

# A window begins every 80 ms; before the first and behind the last sample EDGE zeros, so that also the words there are
# once in the middle of one.
HOP = 2 * BLOCK
EDGE = 12 * BLOCK
# Probabilities are averaged over SMOOTH windows (0.4 s). An event is where that average of a word is at least THRESHOLD
# and the highest of all words within REFRACTORY windows (0.48 s) on either side: the shortest time between two events.
SMOOTH, REFRACTORY, THRESHOLD = 5, 6, 0.5
# Averages are compared in thousandths, so that the last bits of a sum, which may differ between a whole recording and
# its pieces, decide nothing.
STEPS_OF_SCORE = 1000.0
BATCH = 128
# Frames (20 ms) of a gap within a word, as before a plosive.
GAP = 5
Classify = Callable[["tf.Tensor"], "tf.Tensor"]


def posteriors(classify: Classify, wave: tf.Tensor) -> dict[str, tf.Tensor]:
    """Samples [n] at 8 kHz -> of each window within them: `probabilities` [m, 12], `start`, `end` [m].

    `classify` takes spectra [k, 49, 40] and gives probabilities [k, 12]. `start` and `end` are where what is in the
    middle of a window begins and ends, in seconds from the window's beginning.
    """
    import tensorflow as tf

    count = tf.maximum(1 + (tf.size(wave) - WINDOW) // HOP, 0)
    # One window more than nothing, cut off below: operations on no frames at all are not all defined.
    wave = tf.pad(wave, [[0, tf.maximum(WINDOW - tf.size(wave), 0)]])
    padded = -(-tf.maximum(count, 1) // BATCH) * BATCH
    begins = tf.minimum(tf.range(padded), tf.maximum(count - 1, 0)) * (HOP // STEP)
    log_power, loud = features.bands(wave), features.levels(wave)

    def batch(frames: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seen = tf.gather(log_power, frames[:, None] + tf.range(FRAMES)[None, :])
        level = tf.gather(loud, frames[:, None] + tf.range(WINDOW // STEP)[None, :])
        probabilities = classify(features.without_mean(seen))
        return features.hushed_by(probabilities, level), bounds(level)

    kinds = (
        tf.TensorSpec([BATCH, len(LABELS)], tf.float32),
        tf.TensorSpec([BATCH, 2], tf.float32),
    )
    told, ends = tf.map_fn(
        batch, tf.reshape(begins, [-1, BATCH]), fn_output_signature=kinds, parallel_iterations=1
    )
    ends = tf.reshape(ends, [-1, 2])[:count]
    return {
        "probabilities": tf.reshape(told, [-1, len(LABELS)])[:count],
        "start": ends[:, 0],
        "end": ends[:, 1],
    }


def bounds(level: tf.Tensor) -> tf.Tensor:
    """Decibels of windows' frames [m, 50] -> where the sound nearest their middle begins and ends, seconds [m, 2].

    A frame is sound when it is louder than half-way between the window's quiet tenth and its loudest frame.
    """
    import tensorflow as tf

    frames = WINDOW // STEP
    quiet = tf.maximum(tf.sort(level, axis=1)[:, frames // 10], features.QUIET_DB)
    active = level >= (quiet + tf.reduce_max(level, axis=1))[:, None] / 2
    whole = tf.cast(active, tf.float32)[:, :, None]
    wide = tf.nn.max_pool1d(whole, GAP, 1, "SAME")
    closed = -tf.nn.max_pool1d(-wide, GAP, 1, "SAME")[:, :, 0] > 0.5
    place = tf.range(frames)[None, :]
    nearest = tf.argmin(
        tf.where(closed, tf.abs(2 * place - frames + 1), 10 * frames), axis=1, output_type=tf.int32
    )
    before = tf.where(~closed & (place < nearest[:, None]), place + 1, 0)
    behind = tf.where(~closed & (place > nearest[:, None]), place, frames)
    ends = tf.stack([tf.reduce_max(before, axis=1), tf.reduce_min(behind, axis=1)], axis=1)
    return tf.cast(ends, tf.float32) * (STEP / RATE)


def whole(audio: tf.Tensor) -> tf.Tensor:
    """A recording's WAV bytes [] -> its samples at 8 kHz between edges of silence, [n]."""
    import tensorflow as tf

    samples, rate = wav.decode(audio, features.LONGEST_RECORDING_S)
    # Silence is added as recorded and not at 8 kHz: a stream, which cannot do the latter, must see the same.
    block = wav.step_of(rate)
    edge = EDGE // BLOCK * block
    return wav.resample(tf.pad(samples, [[edge, edge + HOP // BLOCK * block]]), rate)


def events(told: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """What `posteriors` tells of a `whole` recording -> its events in order: `word`, `label`, `start`, `end` (seconds
    from the recording's beginning), `confidence` (the averaged probability), [k] each; k may be 0."""
    import tensorflow as tf

    average = smoothed(told["probabilities"])[:, : len(WORDS)]
    score = tf.round(tf.reduce_max(average, axis=1) * STEPS_OF_SCORE)
    edged = tf.pad(score, [[REFRACTORY, REFRACTORY]], constant_values=-1.0)
    count = tf.size(score)
    peak = score >= THRESHOLD * STEPS_OF_SCORE
    for away in range(1, REFRACTORY + 1):
        peak &= score > edged[REFRACTORY - away : REFRACTORY - away + count]
        peak &= score >= edged[REFRACTORY + away : REFRACTORY + away + count]
    rows = tf.where(peak)[:, 0]
    label = tf.argmax(tf.gather(average, rows), axis=1)
    begins = (tf.cast(rows, tf.float32) * HOP - EDGE) / RATE
    return {
        "word": tf.gather(tf.constant(WORDS), label),
        "label": label,
        "start": tf.maximum(begins + tf.gather(told["start"], rows), 0.0),
        "end": begins + tf.gather(told["end"], rows),
        "confidence": tf.gather(tf.reduce_max(average, axis=1), rows),
    }


def smoothed(probabilities: tf.Tensor) -> tf.Tensor:
    """The mean [m, 12] of each window's and its four neighbours' probabilities; at the ends, of those there are."""
    import tensorflow as tf

    half = SMOOTH // 2
    count = tf.shape(probabilities)[0]
    edged = tf.pad(probabilities, [[half, half], [0, 0]])
    there = tf.pad(tf.ones([count]), [[half, half]])
    total = tf.add_n([edged[i : i + count] for i in range(SMOOTH)])
    return total / tf.add_n([there[i : i + count] for i in range(SMOOTH)])[:, None]
