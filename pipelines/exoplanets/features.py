"""What a light curve shows, computed inside the graph: raw flux in, some sixty named numbers out.

All of them are free of the flux's unit and offset (the official files are centred, NASA's are not): the curve is
measured in units of its own noise. Missing values (NaN) count as not observed. Nothing is learnt from data here,
so Transform has no analysis pass to make.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from pipelines.exoplanets import periodogram
from pipelines.exoplanets.periodogram import CADENCE_D, LENGTH

if TYPE_CHECKING:
    import tensorflow as tf

FLUX_KEY, RAW_LABEL_KEY, LABEL_KEY = "flux", "LABEL", "is_host"
# Kaggle's code for a star with a planet.
HOST = 2
SUFFIX = "_xf"
# Trend: the median over nine blocks of four hours, so that a dip shorter than 18 hours does not bend it.
BLOCK, BLOCKS_AROUND = 8, 9
DIP_LENGTHS = (2, 5, 10, 20)
LAGS = (1, 3, 12, 48)
BANDS = 8
TO_SIGMA = 1.4826


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """`flux` [n, 3197] and `LABEL` [n, 1] -> features `*_xf` float32 [n, 1] and `is_host` int64 [n, 1] (0 or 1)."""
    import tensorflow as tf

    computed = curve_features(tf.cast(inputs[FLUX_KEY], tf.float32))
    outputs = {f"{name}{SUFFIX}": value[:, None] for name, value in computed.items()}
    outputs[LABEL_KEY] = tf.cast(tf.equal(inputs[RAW_LABEL_KEY], HOST), tf.int64)
    return outputs


def curve_features(flux: tf.Tensor) -> dict[str, tf.Tensor]:
    """All features of `flux` [n, LENGTH] by name, float32 [n] each; always finite."""
    import tensorflow as tf

    flux = tf.ensure_shape(flux, [None, LENGTH])
    flux, seen = _fill(flux)
    trend = _trend(flux)
    flat = flux - trend
    noise = _spread(flat)
    curve = _without_lone_points(tf.math.divide_no_nan(flat, noise[:, None])) * seen
    fold = periodogram.search(curve, seen)
    kinds = {
        **_variability(flux, trend, flat, noise),
        **_single_dips(curve),
        **_folded(curve, seen, fold),
        **_spectrum(
            tf.math.divide_no_nan(flux - tf.reduce_mean(flux, axis=1, keepdims=True), noise[:, None])
        ),
    }
    return {name: tf.where(tf.math.is_finite(value), value, 0.0) for name, value in kinds.items()}


def _fill(flux: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The curve with its median taken off and 0 where nothing was seen; and 1 where it was, else 0."""
    import tensorflow as tf

    seen = tf.math.is_finite(flux)
    lowest = tf.reduce_min(tf.where(seen, flux, math.inf), axis=1, keepdims=True)
    # Missing values sort first, so the median of the others is this many places further on.
    ordered = tf.sort(tf.where(seen, flux, tf.where(tf.math.is_finite(lowest), lowest, 0.0)), axis=1)
    missing = LENGTH - tf.reduce_sum(tf.cast(seen, tf.int32), axis=1)
    middle = tf.gather(ordered, tf.minimum((missing + LENGTH) // 2, LENGTH - 1), batch_dims=1)[:, None]
    return tf.where(seen, flux - middle, 0.0), tf.cast(seen, tf.float32)


def _median(values: tf.Tensor) -> tf.Tensor:
    """Over the last axis (of the two middle values the upper)."""
    import tensorflow as tf

    return tf.sort(values, axis=-1)[..., values.shape[-1] // 2]


def _spread(values: tf.Tensor) -> tf.Tensor:
    """A standard deviation that outliers do not move: 1.4826 times the median absolute deviation, [n]."""
    import tensorflow as tf

    return TO_SIGMA * _median(tf.abs(values - _median(values)[:, None])) + 1e-9


def _trend(flux: tf.Tensor) -> tf.Tensor:
    """Running median of block medians, drawn through as straight lines, [n, LENGTH]."""
    import tensorflow as tf

    blocks = LENGTH // BLOCK
    coarse = _median(tf.reshape(flux[:, : blocks * BLOCK], [-1, blocks, BLOCK]))
    reach = BLOCKS_AROUND // 2
    padded = tf.pad(coarse, [[0, 0], [reach, reach]], mode="SYMMETRIC")
    smooth = _median(tf.stack([padded[:, i : i + blocks] for i in range(BLOCKS_AROUND)], axis=2))
    place = (tf.range(LENGTH, dtype=tf.float32) - (BLOCK - 1) / 2) / BLOCK
    left = tf.clip_by_value(tf.cast(tf.floor(place), tf.int32), 0, blocks - 2)
    share = tf.clip_by_value(place - tf.cast(left, tf.float32), 0.0, 1.0)
    return tf.gather(smooth, left, axis=1) * (1 - share) + tf.gather(smooth, left + 1, axis=1) * share


def _without_lone_points(curve: tf.Tensor) -> tf.Tensor:
    """Clips brightenings at 4 deviations and dips of a single cadence, which no transit is that short for."""
    import tensorflow as tf

    before, after = tf.roll(curve, 1, axis=1), tf.roll(curve, -1, axis=1)
    lone = (curve < -5.0) & (before > -2.0) & (after > -2.0)
    return tf.where(lone, 0.0, tf.minimum(curve, 4.0))


def _log(values: tf.Tensor) -> tf.Tensor:
    """log10 for positive values, with a floor."""
    import tensorflow as tf

    return tf.math.log(tf.maximum(values, 1e-6)) / math.log(10.0)


def _variability(
    flux: tf.Tensor, trend: tf.Tensor, flat: tf.Tensor, noise: tf.Tensor
) -> dict[str, tf.Tensor]:
    """How the star varies besides dips: slow and fast, against the noise between neighbours."""
    import tensorflow as tf

    steps = flux[:, 1:] - flux[:, :-1]
    point = _spread(steps) / math.sqrt(2.0)
    scaled = tf.clip_by_value(flat / noise[:, None], -20.0, 20.0)
    raw = tf.sort(flux, axis=1)
    low, high = raw[:, LENGTH // 20], raw[:, LENGTH - LENGTH // 20]
    features = {
        "slow_variation": _log(tf.math.reduce_std(trend, axis=1) / noise),
        "noise_colour": _log(noise / (point + 1e-9)),
        "range": _log((raw[:, -1] - raw[:, 0]) / noise),
        "middle_range": _log((high - low) / noise),
        "lopsidedness": tf.math.divide_no_nan(high + low - 2 * raw[:, LENGTH // 2], high - low),
        "skewness": tf.reduce_mean(scaled**3, axis=1),
        "kurtosis": _log(tf.reduce_mean(scaled**4, axis=1)),
        "low_points": _log(tf.reduce_mean(tf.cast(scaled < -4.0, tf.float32), axis=1)),
        "high_points": _log(tf.reduce_mean(tf.cast(scaled > 4.0, tf.float32), axis=1)),
        "largest_step": _log(tf.reduce_max(tf.abs(trend[:, BLOCK:] - trend[:, :-BLOCK]), axis=1) / noise),
    }
    clipped = tf.clip_by_value(scaled, -4.0, 4.0)
    power = tf.reduce_mean(clipped**2, axis=1)
    for lag in LAGS:
        features[f"memory_{lag}"] = tf.reduce_mean(clipped[:, lag:] * clipped[:, :-lag], axis=1) / (
            power + 1e-9
        )
    return features


def _single_dips(curve: tf.Tensor) -> dict[str, tf.Tensor]:
    """The deepest dips and the highest bumps of given lengths (cadences), whether or not they repeat."""
    import tensorflow as tf

    sums = tf.pad(tf.cumsum(curve, axis=1), [[0, 0], [1, 0]])
    features = {}
    for length in DIP_LENGTHS:
        box = (sums[:, length:] - sums[:, :-length]) / math.sqrt(length)
        # In units of how such boxes scatter in this curve: slow noise makes long boxes deep by itself.
        box = box / _spread(box)[:, None]
        deepest = -tf.reduce_min(box, axis=1)
        where = tf.argmin(box, axis=1, output_type=tf.int32)[:, None]
        far = tf.abs(tf.range(LENGTH - length + 1)[None, :] - where) > 2 * length
        second = -tf.reduce_min(tf.where(far, box, 0.0), axis=1)
        features[f"dip_{length}"] = _log(deepest)
        features[f"second_dip_{length}"] = _log(second)
        features[f"bump_{length}"] = _log(tf.reduce_max(box, axis=1))
        features[f"dip_over_bump_{length}"] = _log(deepest / (tf.reduce_max(box, axis=1) + 1e-3))
    return features


def _mean_where(curve: tf.Tensor, weight: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Weighted mean and the white noise's error of it, [n] each."""
    import tensorflow as tf

    total = tf.reduce_sum(weight, axis=1)
    return tf.reduce_sum(curve * weight, axis=1) / tf.maximum(total, 1.0), tf.math.rsqrt(
        tf.maximum(total, 1.0)
    )


def _folded(curve: tf.Tensor, seen: tf.Tensor, fold: periodogram.Fold) -> dict[str, tf.Tensor]:
    """The folded dip: how deep, how long, of which shape, the same at every turn, and alone in the orbit?"""
    import tensorflow as tf

    time = tf.range(LENGTH, dtype=tf.float32) + 0.5
    turns = fold.frequency[:, None] * time[None, :] - fold.phase[:, None]
    number = tf.round(turns)
    offset = (turns - number) / fold.width[:, None]

    def part(low: float, high: float) -> tf.Tensor:
        return seen * tf.cast((tf.abs(offset) >= low) & (tf.abs(offset) < high), tf.float32)

    dip, dip_error = _mean_where(curve, part(0.0, 0.5))
    core, _ = _mean_where(curve, part(0.0, 0.2))
    edge, _ = _mean_where(curve, part(0.3, 0.6))
    beside, beside_error = _mean_where(curve, part(0.9, 2.5))
    half = tf.abs(tf.math.floormod(turns, 1.0) - 0.5) / fold.width[:, None]
    second, second_error = _mean_where(curve, seen * tf.cast(half < 0.5, tf.float32))
    odd = tf.math.floormod(number, 2.0)
    inside = part(0.0, 0.5)
    odds, odds_error = _mean_where(curve, inside * odd)
    evens, evens_error = _mean_where(curve, inside * (1 - odd))
    depth = tf.maximum(beside - dip, 1e-3)
    both = tf.cast(
        (tf.reduce_sum(inside * odd, 1) > 2) & (tf.reduce_sum(inside * (1 - odd), 1) > 2), tf.float32
    )
    features = {
        "box_power": _log(fold.power),
        "box_distinct": fold.distinct,
        "box_over_bump": _log(fold.power / (fold.bump + 1e-3)),
        "period": _log(periodogram.period_days(fold.frequency)),
        "duration": _log(fold.width / fold.frequency),
        "duration_share": fold.width,
        "depth": _log(depth),
        "depth_significance": _log(depth / tf.sqrt(dip_error**2 + beside_error**2)),
        "roundness": (beside - core) / depth,
        "edge": (beside - edge) / depth,
        "second_eclipse": (beside - second) / depth,
        "second_eclipse_significance": (beside - second) / tf.sqrt(second_error**2 + beside_error**2),
        "odd_even": both * tf.abs(odds - evens) / depth,
        "odd_even_significance": both * tf.abs(odds - evens) / tf.sqrt(odds_error**2 + evens_error**2),
        "shoulder_noise": _log(_mean_where((curve - beside[:, None]) ** 2, part(0.9, 2.5))[0]),
    }
    return {**features, **_turn_by_turn(curve, inside, number, beside, depth)}


def _turn_by_turn(
    curve: tf.Tensor, inside: tf.Tensor, number: tf.Tensor, beside: tf.Tensor, depth: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Does every turn show the dip, or does one accident make up the whole signal?"""
    import tensorflow as tf

    turns = 101
    rows = tf.shape(curve)[0]
    ids = tf.clip_by_value(tf.cast(number, tf.int32), 0, turns - 1) + tf.range(rows)[:, None] * turns

    def per_turn(values: tf.Tensor) -> tf.Tensor:
        flat = tf.math.unsorted_segment_sum(tf.reshape(values, [-1]), tf.reshape(ids, [-1]), rows * turns)
        return tf.reshape(flat, [rows, turns])

    count = per_turn(inside)
    lost = per_turn(inside * (beside[:, None] - curve))
    covered = tf.cast(count >= 2, tf.float32)
    observed = tf.reduce_sum(covered, axis=1)
    depths = tf.math.divide_no_nan(lost, count)
    # Scatter of the turns' depths in units of what white noise allows.
    pull = covered * (depths - depth[:, None]) ** 2 * count
    strongest = tf.reduce_max(lost * covered, axis=1)
    total = tf.reduce_sum(tf.maximum(lost, 0.0) * covered, axis=1)
    return {
        "turns_seen": _log(observed),
        "turns_with_dip": tf.reduce_sum(covered * tf.cast(depths > 0.5 * depth[:, None], tf.float32), axis=1)
        / tf.maximum(observed, 1.0),
        "turns_scatter": _log(tf.reduce_sum(pull, axis=1) / tf.maximum(observed - 1, 1.0)),
        "strongest_turn": strongest / (total + 1e-3) * tf.minimum(observed, 10.0) / 10.0,
    }


def _spectrum(curve: tf.Tensor) -> dict[str, tf.Tensor]:
    """Where the power of the variations lies: shares of frequency bands, the strongest line, how many lines."""
    import tensorflow as tf

    clipped = tf.clip_by_value(curve, -1e4, 1e4) * tf.signal.hann_window(LENGTH)[None, :]
    power = tf.abs(tf.signal.rfft(clipped, [4096]))[:, 2:] ** 2
    size = int(power.shape[1])
    share = power / (tf.reduce_sum(power, axis=1, keepdims=True) + 1e-9)
    edges = [round(size ** (i / BANDS)) for i in range(BANDS + 1)]
    edges[0] = 0
    features = {
        f"band_{i}": _log(tf.reduce_sum(share[:, low:high], axis=1))
        for i, (low, high) in enumerate(itertools.pairwise(edges))
    }
    features["line"] = _log(tf.reduce_max(share, axis=1))
    features["line_frequency"] = _log(
        (tf.cast(tf.argmax(share, axis=1), tf.float32) + 2.0) / 4096.0 / CADENCE_D
    )
    features["spectral_entropy"] = -tf.reduce_sum(share * tf.math.log(share + 1e-12), axis=1) / math.log(size)
    return features


def evaluation_features(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """What results are sliced by, from transformed features [n, 1]: how the star varies, how strong the best dip is."""
    import tensorflow as tf

    slow, power = features[f"slow_variation{SUFFIX}"], features[f"box_power{SUFFIX}"]
    star = tf.where(slow < 0.0, "quiet", tf.where(slow < 1.0, "variable", "strongly variable"))
    signal = tf.where(
        power < math.log10(7.0), "below 7", tf.where(power < math.log10(20.0), "7 to 20", "above 20")
    )
    return {"star": star, "strongest_signal": signal}
