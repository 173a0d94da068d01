"""Names and transformation of the transaction columns.

One vector goes into the network: V1..V28 and log(1 + Amount) in units of the normal transactions' standard
deviation, and the hour of day as a point on a circle. It does not repair rows: the schema refuses them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

V_KEYS = tuple(f"V{i}" for i in range(1, 29))
TIME_KEY, AMOUNT_KEY, LABEL_KEY = "Time", "Amount", "Class"
INPUTS_KEY = "inputs_xf"
# Columns of the vector: what the error is measured on, then the hour, which is only context.
SCORED = len(V_KEYS) + 1
WIDTH = SCORED + 2
DAY_S = 86_400.0


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Raw columns [n, 1] -> `inputs_xf` float32 [n, 31] and the label as it is.

    Mean and deviation are those of the training split's normal rows: TFT's moments skip NaN, and frauds are
    made NaN for them. The constants are in the graph afterwards, so serving needs no label.
    """
    import tensorflow as tf
    import tensorflow_transform as tft

    amount = tf.math.log1p(tf.cast(inputs[AMOUNT_KEY], tf.float32))
    values = tf.concat([*(tf.cast(inputs[key], tf.float32) for key in V_KEYS), amount], axis=1)
    of_normal = tf.where(inputs[LABEL_KEY] == 0, values, math.nan)
    mean = tft.mean(of_normal, reduce_instance_dims=False)
    deviation = tf.sqrt(tft.var(of_normal, reduce_instance_dims=False))
    scaled = tf.math.divide_no_nan(values - mean, deviation)
    angle = tf.cast(inputs[TIME_KEY], tf.float32) * (2 * math.pi / DAY_S)
    vector = tf.concat([scaled, tf.sin(angle), tf.cos(angle)], axis=1)
    return {INPUTS_KEY: tf.ensure_shape(vector, [None, WIDTH]), LABEL_KEY: inputs[LABEL_KEY]}


def slice_features(raw: dict[str, tf.Tensor]) -> dict[str, Any]:
    """What results are sliced by: size of the amount and time of day, as words, from raw columns [n, 1]."""
    import tensorflow as tf

    amount = tf.cast(raw[AMOUNT_KEY], tf.float32)
    size = tf.where(amount < 10.0, "below 10", tf.where(amount < 100.0, "10 to 100", "100 and more"))
    hour = tf.math.floormod(tf.cast(raw[TIME_KEY], tf.float32), DAY_S) / 3600.0
    # The recording starts near midnight; between one and seven o'clock hardly anyone shops.
    part = tf.where((hour >= 1.0) & (hour < 7.0), "night", "day")
    return {"amount": size, "part_of_day": part}
