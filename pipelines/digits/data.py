"""Where digits come from: MNIST's four idx files from a public mirror, or drawn ones in the same layout.

`sample` does not copy anybody's handwriting: strokes.py draws every image.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.base import idx
from pipelines.digits.project import PROJECT

MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"


def fetch(folder: Path) -> None:
    """Downloads MNIST's four files (11 MB) and checks their digests. Raises ProjectError with what to do."""
    idx.fetch(PROJECT, MIRROR, folder)


def sample(folder: Path, rows: int, seed: int) -> None:
    """Draws `rows` digits, all ten equally often, into MNIST's four files; same seed, same bytes."""
    from pipelines.digits.strokes import draw

    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(rows) % 10).astype(np.uint8)
    images = np.stack([draw(int(label), random) for label in labels])
    idx.write_sample(folder, images, labels)
