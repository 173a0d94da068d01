"""MNIST's four idx files, for every set that comes as them: fetched, written, read.

train- and t10k-, images-idx3-ubyte and labels-idx1-ubyte, plain or .gz; t10k is what judges. The format is
components/image_example_gen's to read.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.base import archives
from pipelines.base.errors import ProjectError
from pipelines.base.project import Project

if TYPE_CHECKING:
    import numpy as np

# One row in six judges, as in the official sets (10,000 of 70,000, roughly).
EVAL_SHARE = 6


def fetch(project: Project, mirror: str, folder: Path) -> None:
    """Downloads the files that the card names from `mirror` and checks their digests.

    Raises ProjectError with what to do.
    """
    other_way = (
        f"Put the four .gz files of {project.data.title} into a folder and pass it: viaduct run {project.name} "
        "--profile full --data FOLDER."
    )
    for name, digest in project.data.sha256.items():
        target = folder / name
        archives.download(project.name, mirror + name, target, other_way)
        got = hashlib.sha256(target.read_bytes()).hexdigest()
        if got != digest:
            raise ProjectError(
                f"{project.name}: {name} has sha256 {got}; expected {digest}. The mirror serves something else; "
                "get the files elsewhere and pass their folder with --data."
            )


def write_sample(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Writes images [n, height, width] and labels [n], uint8 both, as the four files; the first sixth judges."""
    held_back = max(1, len(labels) // EVAL_SHARE)
    for name, part in (("train", slice(held_back, None)), ("t10k", slice(0, held_back))):
        write(folder / f"{name}-images-idx3-ubyte.gz", images[part])
        write(folder / f"{name}-labels-idx1-ubyte.gz", labels[part])


def write(file: Path, array: np.ndarray) -> None:
    """Writes a uint8 array as gzipped idx: two zero bytes, type 8, dimensions, sizes, values."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    # mtime 0: the same array gives the same bytes.
    file.write_bytes(gzip.compress(header + array.astype("uint8").tobytes(), compresslevel=6, mtime=0))


def read_pair(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 [n, height, width] and labels uint8 [n] of two files, plain or .gz.

    Raises InputError for a file that is no idx file, is cut, or does not belong to the other.
    """
    from components.image_example_gen.pictures import read_idx
    from components.shards import InputError

    pictures, numbers = read_idx(str(images), 3), read_idx(str(labels), 1)
    if len(pictures) != len(numbers):
        raise InputError(f"{images}: {len(pictures)} pictures, {labels} has {len(numbers)} labels.")
    return pictures, numbers
