"""Where digits come from: MNIST's four idx files from a public mirror, or drawn ones in the same layout.

`sample` does not copy anybody's handwriting: strokes.py draws every image. idx is read here for the checks and
the report; the pipeline reads it with components/image_example_gen.
"""

from __future__ import annotations

import hashlib
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

from pipelines.base import idx
from pipelines.base.errors import ProjectError
from pipelines.digits.project import PROJECT

MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
# One row in six goes to the evaluation, as in the official set (10,000 of 70,000, roughly).
EVAL_SHARE = 6


def fetch(folder: Path) -> None:
    """Downloads MNIST's four files (11 MB) and checks their digests. Raises ProjectError with what to do."""
    for name, digest in PROJECT.data.sha256.items():
        target = folder / name
        try:
            with urllib.request.urlopen(MIRROR + name, timeout=60) as response, target.open("wb") as file:
                shutil.copyfileobj(response, file, 1 << 20)
        except (urllib.error.URLError, OSError) as error:
            raise ProjectError(
                f"{PROJECT.name}: {MIRROR}{name} cannot be fetched: {error}. Put MNIST's four .gz files into a "
                "folder and pass it: viaduct run digits --profile full --data FOLDER."
            ) from error
        got = hashlib.sha256(target.read_bytes()).hexdigest()
        if got != digest:
            raise ProjectError(
                f"{PROJECT.name}: {name} has sha256 {got}; expected {digest}. The mirror serves something else; "
                "get the files elsewhere and pass their folder with --data."
            )


def sample(folder: Path, rows: int, seed: int) -> None:
    """Draws `rows` digits, all ten equally often, into MNIST's four files; same seed, same bytes."""
    from pipelines.digits.strokes import draw

    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(rows) % 10).astype(np.uint8)
    images = np.stack([draw(int(label), random) for label in labels])
    held_back = max(1, rows // EVAL_SHARE)
    for name, part in (("train", slice(held_back, None)), ("t10k", slice(0, held_back))):
        idx.write(folder / f"{name}-images-idx3-ubyte.gz", images[part])
        idx.write(folder / f"{name}-labels-idx1-ubyte.gz", labels[part])
