"""MNIST's four files: written as they are read, found in a zip, and refused with what was expected."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from components.image_example_gen.pictures import read_idx
from pipelines.base import idx
from pipelines.base.errors import ProjectError
from pipelines.base.paths import Paths

NAMES = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(1)
    made = tmp_path / "made"
    made.mkdir()
    idx.write_sample(made, random.integers(0, 256, (60, 7, 5)), np.arange(60) % 10)
    return made


def test_the_first_sixth_of_a_sample_judges_and_all_is_read_as_it_was_written(folder: Path) -> None:
    images = [read_idx(str(folder / f"{part}-images-idx3-ubyte.gz"), 3) for part in ("t10k", "train")]
    labels = [read_idx(str(folder / f"{part}-labels-idx1-ubyte.gz"), 1) for part in ("t10k", "train")]
    assert [len(part) for part in images] == [10, 50]
    np.testing.assert_array_equal(np.concatenate(labels), np.arange(60) % 10)
    expected = np.random.default_rng(1).integers(0, 256, (60, 7, 5))
    np.testing.assert_array_equal(np.concatenate(images), expected)


def test_a_zip_is_unpacked_once_under_home_whatever_folders_it_has(folder: Path, tmp_path: Path) -> None:
    paths = Paths.of("digits", tmp_path / "home")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("__MACOSX/notes.txt", "not data")
        for name in NAMES:
            archive.write(folder / name, f"deep/{name}")
    found = Path(idx.folder_of(paths, str(tmp_path / "all.zip")))
    assert found.is_relative_to(paths.home) and sorted(file.name for file in found.iterdir()) == sorted(NAMES)
    assert (found / NAMES[0]).read_bytes() == (folder / NAMES[0]).read_bytes()
    assert idx.folder_of(paths, str(tmp_path / "all.zip")) == str(found)
    assert idx.folder_of(paths, str(folder)) == str(folder) and idx.folder_of(paths, "") == ""


def test_a_zip_without_the_four_files_or_that_is_none_is_refused(folder: Path, tmp_path: Path) -> None:
    paths, file = Paths.of("clothing", tmp_path / "home"), tmp_path / "some.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.write(folder / NAMES[0], NAMES[0])
    with pytest.raises(ProjectError, match=r"clothing: .*some.zip holds .*expected four files as MNIST's"):
        idx.folder_of(paths, str(file))
    file.write_bytes(b"PK but no archive")
    with pytest.raises(ProjectError, match="is no zip archive"):
        idx.folder_of(paths, str(file))
    assert not list(paths.pipeline_root.glob(".unpacked/*"))
