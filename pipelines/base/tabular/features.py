"""Steps of a preprocessing_fn over columns with holes: numbers, categories, dates and words that may be missing.

They go on from `pipelines.base.holes`: a missing value breaks none of them. Names are for the transformed features; no
vocabulary and no moment is computed here.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from pipelines.base.holes import filled

if TYPE_CHECKING:
    import tensorflow as tf

SUFFIX = "_xf"
MISSING_WORD = "(missing)"
CALENDAR_WIDTH = 7
DAY_S = 86_400


def xf(column: str) -> str:
    """The transformed feature's name: what is no letter, digit or underscore of `column` becomes an underscore."""
    return re.sub(r"\W", "_", column) + SUFFIX


def number(column: Any) -> tf.Tensor:
    """float32 [n, 1]; NaN where the value is missing, which TFT's moments pass over."""
    import tensorflow as tf

    if isinstance(column, tf.SparseTensor):
        column = tf.SparseTensor(column.indices, tf.cast(column.values, tf.float32), column.dense_shape)
    return tf.cast(filled(column, math.nan), tf.float32)


def flattened(values: tf.Tensor) -> tf.Tensor:
    """sign(x) log(1 + |x|): long tails come near the rest; NaN stays."""
    import tensorflow as tf

    return tf.sign(values) * tf.math.log1p(tf.abs(values))


def without_nan(values: tf.Tensor) -> tf.Tensor:
    """Zeros for NaN: the mean, where `values` are z-scores."""
    import tensorflow as tf

    return tf.where(tf.math.is_nan(values), tf.zeros_like(values), values)


def category(column: Any) -> tf.Tensor:
    """Text [n, 1] without spaces around it; whole numbers as their digits; MISSING_WORD where there is none."""
    import tensorflow as tf

    def texts(values: tf.Tensor) -> tf.Tensor:
        return tf.strings.strip(values) if values.dtype == tf.string else tf.strings.as_string(values)

    if isinstance(column, tf.SparseTensor):
        column = tf.SparseTensor(column.indices, texts(column.values), column.dense_shape)
        found = filled(column, MISSING_WORD)
    else:
        found = texts(column)
    return tf.where(found == "", MISSING_WORD, found)


def class_ids(label: tf.Tensor, classes: tuple[str, ...]) -> tf.Tensor:
    """int64 [n, 1]: the place of the label's text in `classes`, -1 for one that is not among them."""
    import tensorflow as tf

    known = tf.constant(list(classes))
    label = tf.cast(tf.round(label), tf.int64) if label.dtype.is_floating else label
    same = category(label) == known[tf.newaxis, :]
    place = tf.argmax(tf.cast(same, tf.int32), axis=1)
    return tf.where(tf.reduce_any(same, axis=1), place, -1)[:, tf.newaxis]


def seconds(column: Any) -> tf.Tensor:
    """int64 [n, 1] seconds since 1970 of texts such as 2024-02-29, 2024-02-29 13:05 or 2024-02-29T13:05:00Z.

    0 where a text is none of these; zones are not looked at. Days by Howard Hinnant's `days_from_civil`.
    """
    import tensorflow as tf

    text = category(column)
    is_date = tf.strings.regex_full_match(text, r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?")
    has_time = tf.strings.regex_full_match(text, r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.*")
    padded = tf.where(is_date, text, "1970-01-01")
    padded = tf.strings.join([padded, tf.where(has_time, "", " 00:00")])

    def part(start: int, length: int) -> tf.Tensor:
        return tf.strings.to_number(tf.strings.substr(padded, start, length), tf.int64)

    month, day = part(5, 2), part(8, 2)
    year = part(0, 4) - tf.cast(month <= 2, tf.int64)
    of_year = (153 * tf.math.floormod(month + 9, 12) + 2) // 5 + day - 1
    of_era = tf.math.floormod(year, 400) * 365 + tf.math.floormod(year, 400) // 4
    of_era += of_year - tf.math.floormod(year, 400) // 100
    days = year // 400 * 146_097 + of_era - 719_468
    return days * DAY_S + part(11, 2) * 3600 + part(14, 2) * 60


def calendar(when: tf.Tensor) -> tf.Tensor:
    """float32 [n, CALENDAR_WIDTH] of seconds since 1970 [n, 1]: years since 2000, and the time of the year, of the
    week and of the day as points on circles; all zeros for the moment 0, which stands for a missing one."""
    import tensorflow as tf

    moment = tf.cast(when, tf.float64)
    years = moment / (365.2425 * DAY_S)
    turns = [years, moment / (7 * DAY_S), moment / DAY_S]
    angles = tf.concat([tf.math.floormod(turn, 1.0) * (2 * math.pi) for turn in turns], axis=1)
    parts = tf.concat([years - 30.0, tf.sin(angles), tf.cos(angles)], axis=1)
    parts = tf.where(when == 0, tf.zeros_like(parts), parts)
    return tf.ensure_shape(tf.cast(parts, tf.float32), [None, CALENDAR_WIDTH])


def words(column: Any, buckets: int) -> tf.Tensor:
    """float32 [n, buckets]: how often words and pairs of words come, by their hashes, as a vector of length 1."""
    import tensorflow as tf

    text = tf.strings.lower(tf.squeeze(category(column), axis=1), encoding="utf-8")
    tokens = tf.strings.split(tf.strings.regex_replace(text, r"[^\pL\pN]+", " "))
    grams = tf.strings.ngrams(tokens, (1, 2))
    hashed = tf.strings.to_hash_bucket_fast(grams, buckets)
    counts = tf.math.unsorted_segment_sum(
        tf.ones_like(hashed.values, tf.float32),
        hashed.value_rowids() * buckets + hashed.values,
        tf.cast(hashed.nrows(), tf.int64) * buckets,
    )
    counts = tf.reshape(counts, [-1, buckets])
    return tf.ensure_shape(tf.math.l2_normalize(tf.sqrt(counts), axis=1), [None, buckets])
