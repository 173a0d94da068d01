"""Names of the rows' columns, and windows over a customer's past orders as numbers.

All of it is in the served graph: a client sends days and cents. Amounts are in currency units here, as logarithms of 1
plus the amount; what was sent back counts against what was bought.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipelines.customer_spending.dates import days_since_1970

if TYPE_CHECKING:
    import tensorflow as tf

CUSTOMER_KEY, AS_OF_KEY, DAYS_AGO_KEY, CENTS_KEY = "customer", "as_of", "days_ago", "cents"
RECENCY_KEY, LABEL_KEY = "recency", "spent_cents"
FEATURES_XF, LABEL_XF = "features_xf", "spent_xf"
WINDOWS = (28, 56, 112, 224, 448)
# The four weeks that are asked about, a year before.
YEAR_AGO = (336, 364)
# The coming weeks' place in the year, as sine and cosine of one and of two waves a year.
WAVES, DAYS_A_YEAR = (1, 2), 365.2425
WIDTH = 2 * len(WINDOWS) + 10 + 2 * len(WAVES)
NO_DAY = -1


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Raw as_of [n, 1] and ragged days_ago and cents -> z-scored [n, WIDTH], and the label in currency units [n, 1]."""
    import tensorflow as tf
    import tensorflow_transform as tft

    days = tf.sparse.to_dense(inputs[DAYS_AGO_KEY], default_value=NO_DAY)
    cents = tf.sparse.to_dense(inputs[CENTS_KEY])
    known = tf.concat([windows(days, cents), season(tf.reshape(inputs[AS_OF_KEY], [-1]))], axis=1)
    return {
        FEATURES_XF: tft.scale_to_z_score(known, elementwise=True),
        LABEL_XF: tf.cast(inputs[LABEL_KEY], tf.float32) / 100.0,
    }


def windows(days_ago: tf.Tensor, cents: tf.Tensor) -> tf.Tensor:
    """What is known of customers by days [n, k] (NO_DAY: none) and cents [n, k] with orders: float32 [n, 20].

    Per window of WINDOWS days the net sum and the days with an order; days since the last and since the first order,
    the mean gap, the same of the last one, the last, mean and largest amount and their spread, the same four weeks a
    year before, and the share sent back.
    """
    import tensorflow as tf

    there = days_ago >= 0
    shown = tf.cast(there, tf.float32)
    days = tf.cast(days_ago, tf.float32)
    amount = tf.cast(cents, tf.float32) / 100.0 * shown
    bought = tf.maximum(amount, 0.0)
    columns = []
    for window in WINDOWS:
        inside = tf.cast(there & (days_ago < window), tf.float32)
        columns += [_log(_sum(amount * inside)), _log(_sum(inside))]
    count = tf.maximum(_sum(shown), 1.0)
    last = tf.reduce_min(tf.where(there, days, 1e4), axis=1)
    first = tf.reduce_max(tf.where(there, days, 0.0), axis=1)
    gap = tf.where(count > 1, (first - last) / tf.maximum(count - 1, 1.0), first)
    newest = _sum(amount * tf.cast(there & (days == last[:, None]), tf.float32))
    logs = tf.math.log1p(bought)
    mean = _sum(logs) / count
    spread = tf.sqrt(_sum((logs - mean[:, None]) ** 2 * shown) / count)
    year_ago = tf.cast((days_ago >= YEAR_AGO[0]) & (days_ago < YEAR_AGO[1]), tf.float32)
    columns += [
        _log(last),
        _log(first),
        _log(gap),
        last / tf.maximum(gap, 1.0),
        _log(newest),
        mean,
        spread,
        tf.reduce_max(logs, axis=1),
        _log(_sum(amount * year_ago)),
        _sum(bought - amount) / tf.maximum(_sum(bought), 1.0),
    ]
    return tf.stack(columns, axis=1)


def season(as_of: tf.Tensor) -> tf.Tensor:
    """Sine and cosine of the place in the year of ISO dates [n]: float32 [n, 4]."""
    import tensorflow as tf

    turns = 2 * math.pi / DAYS_A_YEAR * tf.cast(days_since_1970(as_of), tf.float32)
    return tf.stack([wave(turns * number) for number in WAVES for wave in (tf.sin, tf.cos)], axis=1)


def _sum(values: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.reduce_sum(values, axis=1)


def _log(values: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.math.log1p(tf.maximum(values, 0.0))
