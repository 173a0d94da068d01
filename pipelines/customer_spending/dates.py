"""Calendar dates as day numbers, in TensorFlow ops: what the served graph needs to read an ISO date."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

ISO_DATE = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"


def days_since_1970(dates: tf.Tensor) -> tf.Tensor:
    """Days int64 of ISO dates (2011-12-09), any shape; the proleptic Gregorian calendar.

    Raises InvalidArgumentError that shows what is no date. Years begin in March here, so that the leap day is their
    last; days before each month then follow one line: (153 m + 2) / 5 for months m counted from March.
    """
    import tensorflow as tf

    wrong = tf.boolean_mask(dates, tf.logical_not(tf.strings.regex_full_match(dates, ISO_DATE)))
    checked = tf.Assert(tf.size(wrong) == 0, ["Expected dates as 2011-12-09; got", wrong[:3]])
    with tf.control_dependencies([checked]):
        dates = tf.identity(dates)

    def part(begin: int, length: int) -> tf.Tensor:
        return tf.strings.to_number(tf.strings.substr(dates, begin, length), tf.int64)

    year, month, day = part(0, 4), part(5, 2), part(8, 2)
    year = year - tf.cast(month <= 2, tf.int64)
    from_march = (month + 9) % 12
    before = (153 * from_march + 2) // 5
    leap_days = year // 4 - year // 100 + year // 400
    return 365 * year + leap_days + before + day - 1 - 719468
