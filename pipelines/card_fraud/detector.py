"""From an autoencoder to a detector: what a rebuilt row's errors say, column by column, and where suspicion begins.

The error of a row is a weighted mean over columns of log(1 + (residual / unit)^2). Units come from normal rows:
columns with heavy tails must not drown the others. Weights say how much a column's error tells frauds from
normals; they and the threshold are set on labelled rows that neither the fit nor the evaluation sees. NumPy and
SciPy for setting them, TensorFlow for the exported module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.card_fraud.features import SCORED

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

# A column's unit: a third of the error that one normal row in a thousand exceeds.
RARE, PART = 0.999, 1 / 3
# How hard weights are held together: 29 weights from a few dozen frauds need some of it.
SMOOTHING = 1.0


def column_units(residuals: np.ndarray) -> np.ndarray:
    """[columns]: the unit of each column's error, from residuals of normal rows [n, columns]; never zero."""
    return np.maximum(PART * np.quantile(np.abs(residuals), RARE, axis=0), 1e-6).astype(np.float32)


def evidence(residuals: np.ndarray, units: np.ndarray) -> np.ndarray:
    """log(1 + (residual / unit)^2) of each row and column."""
    return np.log1p(np.square(residuals / units))


def column_weights(evident: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[columns], summing to 1: a logistic regression of labels [n] on `evidence` [n, columns], weights >= 0.

    An error can only raise suspicion, hence the sign. The penalty pulls weights to their mean, not to zero: with
    nothing learned, all columns count alike.
    """
    from scipy.optimize import minimize

    sign = np.where(labels == 1, 1.0, -1.0)

    def loss_and_slope(values: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = values[:-1], values[-1]
        margin = sign * (evident @ weights + bias)
        pull = weights - weights.mean()
        slope = -sign * np.exp(-np.logaddexp(0.0, margin))
        loss = np.logaddexp(0.0, -margin).sum() + SMOOTHING * np.square(pull).sum()
        return loss, np.append(evident.T @ slope + 2 * SMOOTHING * pull, slope.sum())

    columns = evident.shape[1]
    start = np.append(np.full(columns, 0.3), -3.0)
    bounds = [(0.0, None)] * columns + [(None, None)]
    weights = minimize(loss_and_slope, start, jac=True, method="L-BFGS-B", bounds=bounds).x[:-1]
    return (weights / weights.sum() if weights.sum() > 0 else np.full(columns, 1 / columns)).astype(
        np.float32
    )


def choose_threshold(
    frauds: np.ndarray, normals: np.ndarray, wanted_recall: float, false_alarms: float
) -> float:
    """The highest threshold that reaches `wanted_recall`, raised until `false_alarms` of normals are flagged.

    `frauds` and `normals` are errors of rows of each class. The budget goes first where both cannot be had: a
    few dozen frauds place a recall to a few points only, thousands of normals place the rate of false alarms well.
    """
    for_recall = np.quantile(frauds, 1.0 - wanted_recall, method="lower")
    for_budget = np.quantile(normals, 1.0 - false_alarms, method="higher")
    return float(max(for_recall, for_budget))


def make_detector(autoencoder: keras.Model, units: np.ndarray, weights: np.ndarray, threshold: float) -> Any:
    """A tf.Module `inputs [n, 31] -> {score, is_fraud, error, threshold}`, each [n].

    `score` is error / (error + threshold): 0.5 is the threshold, 0 a perfect reconstruction, 1 the limit of a
    hopeless one.
    """
    import tensorflow as tf

    class Detector(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="detector")
            self.autoencoder = autoencoder
            self.units = tf.Variable(units, dtype=tf.float32, trainable=False, name="units")
            self.weights = tf.Variable(weights, dtype=tf.float32, trainable=False, name="weights")
            self.threshold = tf.Variable(threshold, dtype=tf.float32, trainable=False, name="threshold")

        def error(self, inputs: tf.Tensor) -> tf.Tensor:
            residuals = (self.autoencoder(inputs, training=False) - inputs)[:, :SCORED]
            evident = tf.math.log1p(tf.square(residuals / self.units))
            return tf.linalg.matvec(evident, self.weights)

        def __call__(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            return outputs(self.error(inputs), self.threshold)

    return Detector()


def outputs(error: tf.Tensor, threshold: tf.Tensor) -> dict[str, tf.Tensor]:
    """What clients get of errors [n]: `score`, `is_fraud`, `error` and `threshold`, each [n]."""
    import tensorflow as tf

    return {
        "score": error / (error + threshold),
        "is_fraud": tf.cast(error >= threshold, tf.int64),
        "error": error,
        "threshold": tf.fill(tf.shape(error), threshold),
    }
