"""MNIST's four idx files, for every set that comes as them: fetched, written, found in a folder or a zip, ingested.

train- and t10k-, images-idx3-ubyte and labels-idx1-ubyte, plain or .gz; t10k is what judges. The format is
components/image_example_gen's to read.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import re
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from components import unpacking
from pipelines.base import archives, data_state, whole
from pipelines.base.errors import ProjectError
from pipelines.base.paths import Paths
from pipelines.base.project import Project
from pipelines.base.settings import Settings

if TYPE_CHECKING:
    import numpy as np

NAME = re.compile(r"(train|t10k)-(images[-.]idx3|labels[-.]idx1)-ubyte(\.gz)?")
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


def example_gen(paths: Paths, settings: Settings, tune_one_in: int = 0) -> Any:
    """The ImageExampleGen of a project whose raw data are the four files: splits `train` and `eval`, pixels as bytes.

    Nothing is shuffled between the two. One in `tune_one_in` of the training rows is kept for a split `tune` (0: none).
    """
    from components.image_example_gen.component import ImageExampleGen, idx_splits
    from pipelines.base.spine import raw

    given = raw(paths, dataclasses.replace(settings, data=folder_of(paths, settings.data)))
    # Where spans are found, their pattern goes before the files' names.
    prefix = given["input_config"].splits[0].pattern.removesuffix("*")
    return ImageExampleGen(
        **{**given, "input_config": idx_splits(prefix)}, encoding="raw", tune_one_in=tune_one_in
    )


def folder_of(paths: Paths, data: str) -> str:
    """`data`, or for a zip the folder with what it held. Raises ProjectError for one without the four files.

    It is unpacked once under HOME, whole, within limits. The folder is named by the archive's content, so another
    archive of the same name is another folder.
    """
    archive = Path(data)
    if not data or archive.suffix.lower() != ".zip" or not archive.is_file():
        return data
    digest = data_state.of(archive, paths.home / data_state.MEMO)
    folder = paths.pipeline_root / ".unpacked" / digest[:16]
    if not folder.exists():
        with whole.folder(folder) as aside:
            _unpack(paths.project, archive, aside)
    return str(folder)


def _unpack(project: str, file: Path, folder: Path) -> None:
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise ProjectError(f"{project}: {file} is no zip archive ({error}); fetch it again.") from error
    with archive:
        unpacking.check_archive(str(file), archive, file.stat().st_size)
        members = {PurePosixPath(name).name: name for name in archive.namelist() if not name.endswith("/")}
        wanted = {name: member for name, member in members.items() if NAME.fullmatch(name)}
        if len(wanted) != 4:
            raise ProjectError(
                f"{project}: {file} holds {sorted(members)[:8]}; expected four files as MNIST's: train- and t10k-, "
                "images-idx3-ubyte and labels-idx1-ubyte, plain or .gz."
            )
        for name, member in wanted.items():
            (folder / name).write_bytes(unpacking.read_member(str(file), archive, member))


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
