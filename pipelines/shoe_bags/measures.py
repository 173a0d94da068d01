"""What translations are measured by, each for pictures that count as often as they were drawn. numpy alone.

`drawn` is how often each picture counts; ones are the data as they are.
"""

from __future__ import annotations

import numpy as np


def errors(found: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Mean squared difference of each of two rows of pictures uint8 [n, ...] or of one with all, in units of 255."""
    difference = found.astype(np.float32) - given.astype(np.float32)
    return np.square(difference / 255).reshape(len(difference), -1).mean(axis=1, dtype=np.float64)


def distances(pixels: np.ndarray) -> np.ndarray:
    """Euclidean distances between pictures uint8 [n, ...], float32 [n, n], in units of 255."""
    flat = pixels.reshape(len(pixels), -1).astype(np.float32) / 255
    flat -= flat.mean(axis=0)
    squares = np.square(flat).sum(axis=1)
    apart = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * flat @ flat.T, 0))
    # Of equal pictures rounding leaves something; of a picture and itself it must not.
    np.fill_diagonal(apart, 0)
    return apart


def mean_distance(apart: np.ndarray, drawn: np.ndarray) -> float:
    """The mean of `apart` [n, n] over pairs of two pictures; NaN where there is none."""
    drawn = drawn.astype(np.float64)
    pairs = drawn.sum() ** 2 - np.square(drawn).sum()
    return float(drawn @ (apart @ drawn) / pairs) if pairs else float("nan")


def moments(features: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [d] and covariance [d, d] of features [n, d]."""
    share = drawn / max(1.0, float(drawn.sum()))
    mean = share @ features
    apart = features - mean
    return mean, (apart * share[:, None]).T @ apart


def frechet(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> float:
    """The squared Frechet distance of two normal distributions by their moments (Dowson and Landau 1982)."""
    values, vectors = np.linalg.eigh(one[1])
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    crossed = np.linalg.eigvalsh(root @ other[1] @ root)
    shared = np.sqrt(np.maximum(crossed, 0)).sum()
    apart = np.square(one[0] - other[0]).sum()
    return float(max(0.0, apart + np.trace(one[1]) + np.trace(other[1]) - 2 * shared))
