"""What a preprocessing_fn makes of raw columns with holes: a value in every row, before or after the analyzers.

A column that may lack values comes as a SparseTensor [n, 0 or 1], one that the schema says is always there as a dense
[n, 1]; both are taken, and NaN counts as missing. Nothing is learnt from data here. Imports TensorFlow when called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf


def filled(column: Any, default: Any) -> tf.Tensor:
    """Dense [n, 1]: the row's value, or `default` (of the column's type) where it has none.

    Of several values in a row the first one counts. A z-score is filled with 0.0, the mean; a text with "", which is
    no token of any vocabulary and so counts as unknown.
    """
    import tensorflow as tf

    if isinstance(column, tf.SparseTensor):
        rows = column.dense_shape[0]
        first = tf.sparse.slice(column, [0, 0], [rows, 1])
        first = tf.SparseTensor(first.indices, first.values, tf.stack([rows, 1]))
        column = tf.sparse.to_dense(first, tf.constant(default, column.dtype))
    column = tf.ensure_shape(column, [None, 1])
    if column.dtype.is_floating:
        column = tf.where(tf.math.is_nan(column), tf.constant(default, column.dtype), column)
    return column


def is_missing(column: Any) -> tf.Tensor:
    """float32 [n, 1]: 1 where the row has no value, else 0; a feature of its own where holes tell something."""
    import tensorflow as tf

    if not isinstance(column, tf.SparseTensor):
        missing = tf.math.is_nan(column) if column.dtype.is_floating else tf.zeros_like(column, tf.bool)
        return tf.cast(missing, tf.float32)
    there = tf.ones_like(column.values, tf.float32)
    if column.dtype.is_floating:
        there = tf.cast(tf.logical_not(tf.math.is_nan(column.values)), tf.float32)
    return 1.0 - filled(tf.SparseTensor(column.indices, there, column.dense_shape), 0.0)
