"""A box-fitting periodogram in TensorFlow ops: which period, phase and duration of a dip repeats best?

Kovacs, Zucker and Mazeh 2002: fold the curve at every trial period into phase bins, slide boxes of a few widths over
them, keep the deepest in units of its own noise. Here all curves of a batch are folded at once, a chunk of periods
at a time, and the best period of each curve is then searched again at full resolution with the gaps left out. It
knows nothing of planets; features.py asks it what the fold looks like.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

LENGTH = 3197
CADENCE_D = 29.424 / 1440.0
# Periods searched, in cadences: 0.7 to 32 days, of which two transits fit into the window.
SHORTEST, LONGEST = 34.0, 1566.0
BINS = 96
WIDTHS = (1, 2, 4, 8)
# Coarse search: three cadences (an hour and a half) are one sample.
STEP = 3
SAMPLES = LENGTH // STEP
PERIODS_AT_ONCE = 16
# Fine search: this many frequencies around the coarse one.
FINE = 11


class Fold(NamedTuple):
    """The best period of each curve [n]: frequency (per cadence), phase of mid-dip, width (fraction of the period).

    `power` is the dip's signal over white noise; `distinct` how many deviations it stands above the other
    periods; `bump` the best brightening's power, which noise makes as strong as dips but planets do not.
    """

    frequency: tf.Tensor
    phase: tf.Tensor
    width: tf.Tensor
    power: tf.Tensor
    distinct: tf.Tensor
    bump: tf.Tensor


def trial_frequencies() -> np.ndarray:
    """[k] per cadence, k a multiple of PERIODS_AT_ONCE: steps that shift the last transit by 0.7 of a duration.

    Durations of central transits of a Sun-like star: 2.9 h x (P / 3 d)^(1/3).
    """
    frequency, frequencies = 1.0 / LONGEST, []
    while frequency < 1.0 / SHORTEST:
        frequencies.append(frequency)
        period_d = CADENCE_D / frequency
        duration = 2.9 / 24.0 / CADENCE_D * (period_d / 3.0) ** (1 / 3)
        frequency += 0.7 * duration * frequency / LENGTH
    missing = -len(frequencies) % PERIODS_AT_ONCE
    return np.asarray(
        frequencies + [frequencies[-1] * (1 + 1e-4 * (i + 1)) for i in range(missing)], np.float32
    )


def search(curves: tf.Tensor, weights: tf.Tensor) -> Fold:
    """The best fold of `curves` [n, LENGTH], in units of their noise, 0 where `weights` [n, LENGTH] is 0."""
    import tensorflow as tf

    frequencies = trial_frequencies()
    dip, bump = _coarse_powers(curves, weights, frequencies)
    best = tf.argmax(dip, axis=0)
    mean, deviation = tf.reduce_mean(dip, axis=0), tf.math.reduce_std(dip, axis=0)
    top = tf.reduce_max(dip, axis=0)
    frequency = tf.gather(tf.constant(frequencies), best)
    frequency, phase, width, power = _refine(curves, weights, frequency)
    return Fold(
        frequency,
        phase,
        width,
        power,
        tf.math.divide_no_nan(top - mean, deviation),
        tf.reduce_max(bump, axis=0),
    )


def _coarse_powers(
    curves: tf.Tensor, weights: tf.Tensor, frequencies: np.ndarray
) -> tuple[tf.Tensor, tf.Tensor]:
    """Power of the best dip and the best bump at each trial frequency, [k, n] each."""
    import tensorflow as tf

    def shrink(values: tf.Tensor) -> tf.Tensor:
        cut = tf.reshape(values[:, : SAMPLES * STEP], [-1, SAMPLES, STEP])
        return tf.transpose(tf.reduce_sum(cut, axis=2))

    # Samples that are missing in most curves (there are hardly any) should not count as seen.
    values, seen = shrink(curves), tf.reduce_mean(shrink(weights), axis=1)
    time = (tf.range(SAMPLES, dtype=tf.float32) + 0.5) * STEP
    chunks = tf.constant(frequencies.reshape(-1, PERIODS_AT_ONCE))
    cells = PERIODS_AT_ONCE * BINS
    columns = tf.tile(tf.range(SAMPLES, dtype=tf.int64), [PERIODS_AT_ONCE])
    first = tf.range(PERIODS_AT_ONCE, dtype=tf.int64)[:, None] * BINS
    ones = tf.ones([PERIODS_AT_ONCE * SAMPLES])

    def powers(chunk: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        phase = tf.math.floormod(chunk[:, None] * time, 1.0)
        bins = tf.minimum(tf.cast(phase * BINS, tf.int64), BINS - 1) + first
        # A matrix of ones folds all curves of the batch in one product, and without a copy per period.
        matrix = tf.SparseTensor(tf.stack([tf.reshape(bins, [-1]), columns], axis=1), ones, [cells, SAMPLES])
        sums = tf.reshape(tf.sparse.sparse_dense_matmul(matrix, values), [PERIODS_AT_ONCE, BINS, -1])
        counts = tf.reshape(tf.sparse.sparse_dense_matmul(matrix, seen[:, None]), [PERIODS_AT_ONCE, BINS, 1])
        dips, bumps = [], []
        for width in WIDTHS:
            box = _circular_sum(sums, width) * tf.math.rsqrt(tf.maximum(_circular_sum(counts, width), STEP))
            dips.append(-tf.reduce_min(box, axis=1))
            bumps.append(tf.reduce_max(box, axis=1))
        return tf.reduce_max(tf.stack(dips), axis=0), tf.reduce_max(tf.stack(bumps), axis=0)

    like = (
        tf.TensorSpec([PERIODS_AT_ONCE, None], tf.float32),
        tf.TensorSpec([PERIODS_AT_ONCE, None], tf.float32),
    )
    dip, bump = tf.map_fn(powers, chunks, fn_output_signature=like, parallel_iterations=1)
    rows = tf.shape(curves)[0]
    return tf.reshape(dip, [len(frequencies), rows]), tf.reshape(bump, [len(frequencies), rows])


def _circular_sum(bins: tf.Tensor, width: int) -> tf.Tensor:
    """Sums of `width` (a power of two) neighbours along axis 1 of [k, BINS, n], around the end."""
    import tensorflow as tf

    total, reach = bins, 1
    while reach < width:
        total = total + tf.roll(total, -reach, axis=1)
        reach *= 2
    return total


def _refine(
    curves: tf.Tensor, weights: tf.Tensor, coarse: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Frequency, phase, width and power [n] of the best box among FINE frequencies around `coarse` [n]."""
    import tensorflow as tf

    rows = tf.shape(curves)[0]
    period_d = CADENCE_D / coarse
    duration = (2.9 / 24.0 / CADENCE_D) * tf.pow(period_d / 3.0, 1 / 3)
    steps = tf.linspace(-0.5, 0.5, FINE)
    trial = coarse[:, None] + steps[None, :] * (0.7 * duration * coarse / LENGTH)[:, None]
    time = tf.range(LENGTH, dtype=tf.float32) + 0.5

    def boxes(frequency: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        phase = tf.math.floormod(frequency[:, None] * time[None, :], 1.0)
        bins = tf.minimum(tf.cast(phase * BINS, tf.int32), BINS - 1) + tf.range(rows)[:, None] * BINS
        ids = tf.reshape(bins, [-1])

        def fold(values: tf.Tensor) -> tf.Tensor:
            flat = tf.math.unsorted_segment_sum(tf.reshape(values, [-1]), ids, rows * BINS)
            return tf.transpose(tf.reshape(flat, [rows, BINS]))[None]

        sums, counts = fold(curves), fold(weights)
        powers = [
            -(_circular_sum(sums, w) * tf.math.rsqrt(tf.maximum(_circular_sum(counts, w), 3.0)))[0]
            for w in WIDTHS
        ]
        power = tf.stack(powers)
        flat = tf.reshape(power, [len(WIDTHS) * BINS, rows])
        best = tf.argmax(flat, axis=0, output_type=tf.int32)
        width = tf.gather(tf.constant(WIDTHS, tf.float32), best // BINS)
        phase0 = (tf.cast(best % BINS, tf.float32) + width / 2) / BINS
        return tf.reduce_max(flat, axis=0), tf.math.floormod(phase0, 1.0), width / BINS

    like = (tf.TensorSpec([None], tf.float32),) * 3
    power, phase, width = tf.map_fn(
        boxes, tf.transpose(trial), fn_output_signature=like, parallel_iterations=1
    )
    best = tf.argmax(power, axis=0, output_type=tf.int32)
    where = tf.stack([best, tf.range(rows)], axis=1)
    frequency = tf.gather_nd(tf.transpose(trial), where)
    return frequency, tf.gather_nd(phase, where), tf.gather_nd(width, where), tf.gather_nd(power, where)


def period_days(frequency: tf.Tensor) -> tf.Tensor:
    """Days from cycles per cadence."""
    return CADENCE_D / frequency


assert math.isclose(SAMPLES * STEP, LENGTH, rel_tol=1e-3)
