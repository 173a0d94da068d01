"""idx files: what is written is read, and pairs that do not belong together are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.shards import InputError
from pipelines.base import idx


def test_what_is_written_is_read_and_the_same_array_gives_the_same_bytes(tmp_path: Path) -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    for name in ("one", "other"):
        idx.write(tmp_path / f"{name}-images.gz", pictures)
    idx.write(tmp_path / "labels.gz", np.arange(5))
    found, labels = idx.read_pair(tmp_path / "one-images.gz", tmp_path / "labels.gz")
    np.testing.assert_array_equal(found, pictures)
    assert labels.tolist() == [0, 1, 2, 3, 4]
    assert (tmp_path / "one-images.gz").read_bytes() == (tmp_path / "other-images.gz").read_bytes()


def test_labels_of_other_pictures_are_refused(tmp_path: Path) -> None:
    idx.write(tmp_path / "images.gz", np.zeros((5, 4, 3)))
    idx.write(tmp_path / "labels.gz", np.arange(40))
    with pytest.raises(InputError, match=r"5 pictures, .*labels.gz has 40 labels"):
        idx.read_pair(tmp_path / "images.gz", tmp_path / "labels.gz")
    with pytest.raises(InputError, match="1 dimensions, expected 3"):
        idx.read_pair(tmp_path / "labels.gz", tmp_path / "labels.gz")
