"""MNIST's idx files, which several sets of pictures come in: fetched with their digests, read, written.

The format is components/image_example_gen's to read; nothing here knows what is on the pictures.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.base import archives
from pipelines.base.errors import ProjectError

if TYPE_CHECKING:
    import numpy as np


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


def write(file: Path, array: np.ndarray) -> None:
    """Writes a uint8 array as gzipped idx: two zero bytes, type 8, dimensions, sizes, values."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    # mtime 0: the same array gives the same bytes.
    file.write_bytes(gzip.compress(header + array.astype("uint8").tobytes(), compresslevel=6, mtime=0))


def fetch(project: str, mirror: str, sha256: Mapping[str, str], folder: Path, other_way: str) -> None:
    """Downloads the files of `sha256` from `mirror` and checks their digests; ProjectError ends in `other_way`."""
    for name, digest in sha256.items():
        target = folder / name
        archives.download(project, mirror + name, target, other_way)
        got = hashlib.sha256(target.read_bytes()).hexdigest()
        if got != digest:
            raise ProjectError(
                f"{project}: {name} has sha256 {got}; expected {digest}. The mirror serves something else. {other_way}"
            )
