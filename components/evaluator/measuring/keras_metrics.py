"""What Keras' own metrics that are means say of every row, so that slices and resamples can be summed from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from components.evaluator.measuring.pairing import predictions
from components.evaluator.measuring.rows import NotProven, Rows


def per_row(
    combiner: Any, metrics: Sequence[Any], key: Any, rows: Rows
) -> tuple[list[np.ndarray], np.ndarray | None]:
    """[n] per metric, and which rows have a label that is no class. Raises NotProven for metrics that are no means.

    Shapes are those in which TFMA hands rows to Keras: labels [n, 1] or [n, k], predictions [n, k].
    """
    label, given = rows.labels, predictions(rows, combiner._model_name, key.output_name)
    bad = None
    if key.sub_key is not None and key.sub_key.class_id is not None:
        if given.ndim == 1:
            raise NotProven("one class of a model with one prediction")
        given = given[:, key.sub_key.class_id]
        label = (
            (label == key.sub_key.class_id).astype(np.int64)
            if label.ndim == 1
            else label[:, key.sub_key.class_id]
        )
    if given.ndim > 1 and label.ndim == 1:
        outside = ~((label >= 0) & (label < given.shape[1]))
        if outside.any():
            bad, label = outside, np.where(outside, 0, label)
    label, given = label.reshape(len(label), -1), given.reshape(len(given), -1)
    return [_of_rows(metric, label, given) for metric in metrics], bad


def _of_rows(metric: Any, label: np.ndarray, given: np.ndarray) -> np.ndarray:
    import tensorflow as tf
    from tf_keras.src.metrics import base_metric
    from tf_keras.src.utils import losses_utils

    wrapper = base_metric.MeanMetricWrapper
    if not isinstance(metric, wrapper) or type(metric).update_state is not wrapper.update_state:
        raise NotProven(f"{type(metric).__name__} is no mean over rows")
    if type(metric).result is not wrapper.result:
        raise NotProven(f"{type(metric).__name__} is more than a mean over rows")
    expected, answered = tf.cast(label, metric._dtype), tf.cast(given, metric._dtype)
    answered, expected = losses_utils.squeeze_or_expand_dimensions(answered, expected)
    matches = metric._fn(expected, answered, **metric._fn_kwargs)
    if losses_utils.get_mask(matches) is not None:
        raise NotProven(f"{type(metric).__name__} leaves rows out")
    values = tf.convert_to_tensor(matches).numpy()
    if values.size != len(label):
        raise NotProven(f"{type(metric).__name__} gives no value for each row")
    return values.reshape(-1).astype(np.float64)
