"""Names and transformation of the price rows.

A year's curve is normalised by what was paid last in the year before: `curve_xf` is the logarithm of the price in
units of that anchor, so that 0.1 is 10 % above it and curves of all years and stocks lie over each other. Day 0 is
the anchor's own day; a year is one unit of time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

STOCK_KEY, DATE_KEY, YEAR_KEY, DAY_KEY, CLOSE_KEY, ANCHOR_KEY = (
    "stock",
    "date",
    "year",
    "day",
    "close",
    "anchor",
)
STOCK_XF, YEAR_XF, DAY_XF, CURVE_XF, ANCHOR_XF = "stock_xf", "year_xf", "day_xf", "curve_xf", "anchor_xf"
STOCK_VOCABULARY = "stocks"
DAYS_PER_YEAR = 366.0


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Raw columns [n, 1] -> stock as an index, year, day / 366, log(close / anchor), log(anchor), each [n, 1]."""
    import tensorflow as tf
    import tensorflow_transform as tft

    anchor = tf.math.log(tf.cast(inputs[ANCHOR_KEY], tf.float32))
    return {
        STOCK_XF: tft.compute_and_apply_vocabulary(inputs[STOCK_KEY], vocab_filename=STOCK_VOCABULARY),
        YEAR_XF: inputs[YEAR_KEY],
        DAY_XF: tf.cast(inputs[DAY_KEY], tf.float32) / DAYS_PER_YEAR,
        CURVE_XF: tf.math.log(tf.cast(inputs[CLOSE_KEY], tf.float32)) - anchor,
        ANCHOR_XF: anchor,
    }
