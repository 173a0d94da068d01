"""The logistic head: features [n, d] to the probability of a car, its penalty by cross-validation. No TensorFlow.

With fewer photographs than features the weights lie in the span of the photographs, so everything is reckoned in n
coordinates (a singular value decomposition) and brought back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

# Penalties on the squared weights of features with deviation 1, per row.
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


class Head(NamedTuple):
    """`sigmoid(features @ weights + bias)` is the probability of a car; `penalty` is the one that was chosen."""

    weights: np.ndarray
    bias: float
    penalty: float

    def probability(self, features: np.ndarray) -> np.ndarray:
        """Of features [n, d], [n]."""
        return sigmoid(features @ self.weights + self.bias)


def sigmoid(values: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    return np.exp(-np.logaddexp(0, -values))


def fit(features: np.ndarray, labels: np.ndarray, folds: int) -> Head:
    """The head for rows [n, d] with labels 0 or 1 [n]; the penalty with the least log loss on rows left out."""
    middle, deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
    # Scaled by the root of d, so that a penalty means the same for any number of features.
    scaled = (features - middle) / deviation / np.sqrt(features.shape[1])
    left, sizes, right = np.linalg.svd(scaled, full_matrices=False)
    points = left * sizes
    losses = [
        sum(_left_out_loss(points, labels, held, penalty) for held in parts(labels, folds))
        for penalty in PENALTIES
    ]
    penalty = PENALTIES[int(np.argmin(losses))]
    weights, bias = _minimum(points, labels, penalty)
    full = right.T @ weights / deviation / np.sqrt(features.shape[1])
    return Head(full, float(bias - middle @ full), penalty)


def parts(labels: Sequence[int] | np.ndarray, folds: int) -> Iterator[np.ndarray]:
    """Boolean masks [n] of `folds` parts with each class dealt out evenly; always the same for the same labels."""
    order = np.random.default_rng(0).permutation(len(labels))
    turn = np.empty(len(labels), int)
    place = 0
    for kind in (0, 1):
        mine = order[np.asarray(labels)[order] == kind]
        turn[mine] = (place + np.arange(len(mine))) % folds
        place += len(mine)
    return (turn == fold for fold in range(folds))


def _left_out_loss(points: np.ndarray, labels: np.ndarray, held: np.ndarray, penalty: float) -> float:
    if not held.any():
        return 0.0
    weights, bias = _minimum(points[~held], labels[~held], penalty)
    signs = 2 * labels[held] - 1
    return float(np.logaddexp(0, -signs * (points[held] @ weights + bias)).sum())


def _minimum(points: np.ndarray, labels: np.ndarray, penalty: float) -> tuple[np.ndarray, float]:
    """Weights and bias of the least mean log loss plus penalty * |weights|^2 / 2, by L-BFGS."""
    from scipy.optimize import minimize

    signs = 2.0 * labels - 1

    def value(at: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = at[:-1], at[-1]
        margins = signs * (points @ weights + bias)
        slope = -signs * sigmoid(-margins) / len(signs)
        loss = np.logaddexp(0, -margins).mean() + penalty * weights @ weights / 2
        return loss, np.append(points.T @ slope + penalty * weights, slope.sum())

    found = minimize(
        value, np.zeros(points.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 500}
    )
    return found.x[:-1], float(found.x[-1])


def left_out(features: np.ndarray, labels: np.ndarray, folds: int) -> np.ndarray:
    """The probability of a car for each row [n] from a head of all the others, penalty and all."""
    told = np.empty(len(labels))
    for row in range(len(labels)):
        others = np.arange(len(labels)) != row
        told[row] = fit(features[others], labels[others], folds).probability(features[row : row + 1])[0]
    return told


def repeated(features: np.ndarray, labels: np.ndarray, folds: int, times: int, share: float) -> np.ndarray:
    """`times` splits in which `share` of each class trains -> right (1), wrong (0) or trained on (NaN), [times, n]."""
    random = np.random.default_rng(1)
    right = np.full((times, len(labels)), np.nan)
    for row in right:
        trains = np.zeros(len(labels), bool)
        for kind in (0, 1):
            mine = random.permutation(np.flatnonzero(labels == kind))
            trains[mine[: round(share * len(mine))]] = True
        head = fit(features[trains], labels[trains], folds)
        row[~trains] = (head.probability(features[~trains]) > 0.5) == labels[~trains]
    return right
