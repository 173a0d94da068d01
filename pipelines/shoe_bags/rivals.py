"""Three simple ways to be a translator, none of which may pass: identity, the mean picture, the nearest picture.

Each makes translations and reconstructions of the same rows as a model, from training pictures alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

RIVALS = ("identity", "mean_image", "nearest")


class Made(NamedTuple):
    """Of pictures uint8 [n, ...] of one domain: translations and reconstructions, of the same shape."""

    translations: np.ndarray
    reconstructions: np.ndarray


def made(name: str, given: np.ndarray, own: np.ndarray, other: np.ndarray) -> Made:
    """What rival `name` makes of pictures `given`; `own` and `other` are training pictures of theirs and the other
    domain, uint8 [m, ...]."""
    if name == "identity":
        return Made(given, given)
    if name == "mean_image":
        return Made(*(np.repeat(mean_image(domain)[None], len(given), axis=0) for domain in (other, own)))
    translations = other[nearest(given, other)]
    return Made(translations, own[nearest(translations, own)])


def mean_image(pixels: np.ndarray) -> np.ndarray:
    """uint8 [n, ...] -> the mean picture, rounded."""
    return pixels.mean(axis=0, dtype=np.float64).round().astype(np.uint8)


def nearest(given: np.ndarray, among: np.ndarray) -> np.ndarray:
    """For each picture of `given` uint8 [n, ...] the place in `among` [m, ...] of the nearest by squared difference."""
    flat = among.reshape(len(among), -1).astype(np.float32) / 255
    squares = np.square(flat).sum(axis=1)
    found = []
    for at in range(0, len(given), 500):
        some = given[at : at + 500].reshape(-1, flat.shape[1]).astype(np.float32) / 255
        found.append((squares[None] - 2 * some @ flat.T).argmin(axis=1))
    return np.concatenate(found)
