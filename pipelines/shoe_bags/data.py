"""Where shoes and bags come from: Fashion-MNIST from its publisher, or drawn ones in the same four files.

The photographs of the variant `photos`, 10 GB, are fetched by `fetch_photographs(folder)` alone. Nothing drawn is
anybody's product (drawing.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.base import archives, idx
from pipelines.shoe_bags.project import PHOTOGRAPHS, PROJECT
from pipelines.shoe_bags.rows import KINDS, SETS

OTHER_WAY = (
    "Put edges2shoes.tar.gz and edges2handbags.tar.gz, or the folders in them, into a folder and pass it: "
    "viaduct run shoe_bags --variant photos --profile full --data FOLDER."
)


def fetch(folder: Path) -> None:
    """Downloads Fashion-MNIST's four files (31 MB) and checks their digests. Raises ProjectError with what to do."""
    idx.fetch(PROJECT, PROJECT.data.url, folder)


def fetch_photographs(folder: Path) -> None:
    """Downloads edges2shoes.tar.gz (2 GB) and edges2handbags.tar.gz (8 GB), for which no digest is published.

    Raises ProjectError with what to do. A cut archive is told of when it is read.
    """
    for name in SETS:
        archive = f"{name}.tar.gz"
        archives.download(PROJECT.name, PHOTOGRAPHS + archive, folder / archive, OTHER_WAY)


def sample(folder: Path, rows: int, seed: int) -> None:
    """Draws `rows` pictures, half of them bags, into Fashion-MNIST's four files; same seed, same bytes."""
    from pipelines.shoe_bags.drawing import bag, shoe

    random = np.random.default_rng(seed)
    shoes = [label for label, kind in KINDS.items() if kind != "bag"]
    bags = next(label for label, kind in KINDS.items() if kind == "bag")
    labels = np.where(np.arange(rows) % 2 == 0, bags, np.array(shoes)[np.arange(rows) // 2 % len(shoes)])
    labels = random.permutation(labels).astype(np.uint8)
    images = np.stack([bag(random) if label == bags else shoe(KINDS[int(label)], random) for label in labels])
    idx.write_sample(folder, images, labels)
