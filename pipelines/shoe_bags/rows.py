"""From Fashion-MNIST's idx files, or the pairs of edges2shoes and edges2handbags, to rows of shoes and of bags.

Of Fashion-MNIST these are bags (class 8) and sandals, sneakers and ankle boots (5, 7, 9); its test rows judge, and a
twentieth of the training rows is tuned on. Of the pairs, which lie in folders or archives of those two names, the
photograph is taken and its drawn edges are not; `val` judges. No row knows a row of the other domain.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from components import unpacking
from pipelines.base import archives, idx
from pipelines.base.errors import ProjectError
from pipelines.shoe_bags.features import BAG, DOMAIN_KEY, IMAGE_KEY, SHOE

SPLITS = ("train", "tune", "eval")
TUNE_SHARE = 20
KINDS = {5: "sandal", 7: "sneaker", 8: "bag", 9: "ankle boot"}
IDX = re.compile(r"(train|t10k)-images[-.]idx3-ubyte(\.gz)?")
SETS = {"edges2shoes": (SHOE, "photographed shoe"), "edges2handbags": (BAG, "photographed bag")}
PAIR = re.compile(r"(?:(train|val)[_/])?(\d+)_AB\.jpg")
PACKED = (".tar.gz", ".tgz", ".tar", ".zip")
# Photographs are kept at this size; the model's own may be smaller.
PHOTOGRAPH_SIDE = 64
HOW = (
    "expected Fashion-MNIST's four idx files, or edges2shoes and edges2handbags as folders, .tar.gz or .zip with "
    "train/1_AB.jpg and val/1_AB.jpg"
)
Row = tuple[str, dict[str, Any]]


def read_rows(files: Sequence[Path], options: Mapping[str, Any]) -> Iterator[Row]:
    """(split, row) of every shoe and bag in `files`. Raises ProjectError where there is none, or of one kind only."""
    found = dict.fromkeys((SHOE, BAG), 0)
    for split, row in _rows(files):
        found[row[DOMAIN_KEY]] += 1
        yield split, row
    missing = [domain for domain, count in found.items() if not count]
    if missing:
        raise ProjectError(f"shoe_bags: no {missing[0]} in {[str(f) for f in files][:4]}; {HOW}.")


def _rows(files: Sequence[Path]) -> Iterator[Row]:
    for file in files:
        match = IDX.fullmatch(file.name)
        if match:
            yield from _of_idx(file, match[1])
        elif file.suffix == ".zip" and (inside := _idx_members(file)):
            yield from _of_packed_idx(file, inside)
        elif file.name.endswith(PACKED) or any(name in file.as_posix() for name in SETS):
            yield from _of_pairs(file)


def _idx_members(file: Path) -> list[str]:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise ProjectError(f"shoe_bags: {file} is no zip archive ({error}); fetch it again.") from error
    return [name for name in names if "idx" in PurePosixPath(name).name and "ubyte" in name]


def _of_packed_idx(file: Path, members: Sequence[str]) -> Iterator[Row]:
    """The rows of idx files in a zip; they are unpacked to a folder that goes when they are read."""
    with zipfile.ZipFile(file) as archive, tempfile.TemporaryDirectory() as folder:
        unpacking.check_archive(str(file), archive, file.stat().st_size)
        for name in members:
            target = Path(folder) / PurePosixPath(name).name
            target.write_bytes(unpacking.read_member(str(file), archive, name))
        yield from _rows(sorted(Path(folder).iterdir()))


def _of_idx(images: Path, part: str) -> Iterator[Row]:
    from components.image_example_gen.pictures import png_of

    labels = images.with_name(images.name.replace("images", "labels").replace("idx3", "idx1"))
    if not labels.exists():
        raise ProjectError(
            f"shoe_bags: {labels} is missing beside {images.name}; fetch both files of the pair."
        )
    for number, (picture, label) in enumerate(zip(*idx.read_pair(images, labels), strict=True)):
        kind = KINDS.get(int(label))
        if kind is None:
            continue
        name = f"{part}/{number:06d}"
        row = {
            IMAGE_KEY: png_of(picture),
            DOMAIN_KEY: BAG if kind == "bag" else SHOE,
            "kind": kind,
            "name": name,
        }
        yield ("eval" if part == "t10k" else _training_split(name)), row


def _of_pairs(file: Path) -> Iterator[Row]:
    for path, data in _members(file):
        place = (
            f"{file.as_posix()}/{path.as_posix()}" if path.as_posix() != file.as_posix() else file.as_posix()
        )
        match = PAIR.search("/".join(path.parts[-2:]))
        of = [name for name in SETS if name in place]
        if match is None or not of:
            continue
        found = max(of, key=place.rfind)
        domain, kind = SETS[found]
        name = f"{found}/{match[1] or 'train'}/{match[2]}"
        split = "eval" if match[1] == "val" else _training_split(name)
        yield split, {IMAGE_KEY: photograph(data, name), DOMAIN_KEY: domain, "kind": kind, "name": name}


def _members(file: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """(path, content) of a file, or of each file in it if it is a .tar.gz or a .zip."""
    if not file.name.endswith(PACKED[:3]):
        for path, read in archives.members("shoe_bags", file):
            yield path, read()
        return
    try:
        with tarfile.open(file, "r|*") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None:
                    yield PurePosixPath(member.name), content.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ProjectError(f"shoe_bags: {file} is no whole tar archive ({error}); fetch it again.") from error


def photograph(pair: bytes, name: str) -> bytes:
    """The photograph of a pair that lies beside its edges, as a PNG of 64 x 64.

    Edges are black on white and hardly anything between; which half has them differs between copies of the sets.
    Raises ProjectError for what is no picture twice as wide as high.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(pair)) as opened:
            both = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise ProjectError(f"shoe_bags: {name} cannot be decoded: {error}.") from error
    if both.width != 2 * both.height:
        raise ProjectError(
            f"shoe_bags: {name} is {both.width} x {both.height}; expected a photograph and its edges side by side, "
            "512 x 256."
        )
    halves = [both.crop((at, 0, at + both.height, both.height)) for at in (0, both.height)]
    between = [
        float(((grey > 40) & (grey < 215)).mean())
        for grey in (np.asarray(half.convert("L")) for half in halves)
    ]
    file = io.BytesIO()
    chosen = halves[int(between[1] > between[0])]
    chosen.resize((PHOTOGRAPH_SIDE, PHOTOGRAPH_SIDE), Image.Resampling.BOX).save(
        file, "PNG", compress_level=1
    )
    return file.getvalue()


def _training_split(name: str) -> str:
    digest = hashlib.sha256(name.encode()).digest()
    return "tune" if int.from_bytes(digest[:4], "big") % TUNE_SHARE == 0 else "train"
