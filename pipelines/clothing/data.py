"""Where clothing comes from: Fashion-MNIST's four idx files from its makers, or drawn garments in the same layout.

`sample` copies no photograph: garments.py draws every picture.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.base import idx
from pipelines.clothing.features import CLASSES
from pipelines.clothing.project import PROJECT

MIRROR = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"


def fetch(folder: Path) -> None:
    """Downloads the four files (31 MB) and checks their digests. Raises ProjectError with what to do."""
    idx.fetch(PROJECT, MIRROR, folder)


def sample(folder: Path, rows: int, seed: int) -> None:
    """Draws `rows` garments, all ten kinds equally often, into the four files; same seed, same bytes."""
    from pipelines.clothing.garments import draw

    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(rows) % CLASSES).astype(np.uint8)
    images = np.stack([draw(int(label), random) for label in labels])
    idx.write_sample(folder, images, labels)
