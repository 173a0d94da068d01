"""What a face recogniser has to beat: eigenfaces, and the pixels as they are, of the same faces.

Both make vectors of length 1, so that their similarity is a cosine, as the network's is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Of the training faces' variance that eigenfaces keep.
KEPT = 0.95
Rival = Callable[[np.ndarray], np.ndarray]


def fitted(train: np.ndarray) -> dict[str, Rival]:
    """{name: faces [n, 64, 64] -> vectors [n, m]}; eigenfaces (Turk, Pentland 1991) are those of `train`."""
    return {"eigenfaces": eigenfaces(train), "pixels": pixels}


def pixels(faces: np.ndarray) -> np.ndarray:
    """Standardised pixels, whose cosine is the correlation of two pictures."""
    return _unit(faces.reshape(len(faces), -1).astype(np.float64))


def eigenfaces(train: np.ndarray) -> Rival:
    """Principal components of the training faces that hold KEPT of their variance."""
    flat = train.reshape(len(train), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    _, singular, directions = np.linalg.svd(flat - mean, full_matrices=False)
    shares = np.cumsum(singular**2) / np.sum(singular**2)
    basis = directions[: int(np.searchsorted(shares, KEPT)) + 1]
    return lambda faces: _unit((faces.reshape(len(faces), -1) - mean) @ basis.T)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
