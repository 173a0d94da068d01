"""From an archive or folder of signs to rows and their splits; both layouts that the benchmark comes in.

The official one has a folder per class with `<track>_<frame>.ppm` and a `GT-<class>.csv`; the other has
`<class>/<class>_<track>_<frame>.png` and one `annotations.csv`. A track is one physical sign, photographed while a
car came nearer. All frames of a track go to the same split: between frames of one sign there is little to tell apart,
and a network that is asked about a sign that it knows shows memory, not skill.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from pipelines.base import archives
from pipelines.base.errors import ProjectError
from pipelines.traffic_signs.features import BOX_KEY, CLASSES, IMAGE_KEY, LABEL_KEY
from pipelines.traffic_signs.signs import SIGNS

SPLITS = ("train", "tune", "eval")
# Of each class's tracks, at least one each; the rest trains.
EVAL_SHARE, TUNE_SHARE = 0.2, 0.15
PICTURES = (".png", ".ppm")
BOX_COLUMNS = ("Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2")


class Picture(NamedTuple):
    """One frame: where it comes from ("00003/00003_00012_00004.png"), its class, track, sign box and bytes."""

    name: str
    label: int
    track: str
    box: tuple[int, ...]
    read: archives.Read


def read_rows(files: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(split, row) of every picture in `files`, in an order that looks random and never changes."""
    pictures = find(files)
    splits = assign({(picture.label, picture.track) for picture in pictures})
    for picture in sorted(pictures, key=lambda picture: _digest(picture.name)):
        image = picture.read()
        row = {
            IMAGE_KEY: image,
            BOX_KEY: list(picture.box),
            LABEL_KEY: picture.label,
            "name": picture.name,
            "category": SIGNS[picture.label][1],
            "size": size_of(picture.box),
            "brightness": brightness_of(image, picture.box, picture.name),
        }
        yield splits[picture.label, picture.track], row


def find(files: Sequence[Path]) -> list[Picture]:
    """Every picture with its annotation. Raises ProjectError for one without, or a name that says no track."""
    readers: dict[str, archives.Read] = {}
    for file in files:
        for path, read in archives.members("traffic_signs", file):
            # Class folder and file name: what is above differs between archives.
            readers["/".join(path.parts[-2:])] = read
    boxes = dict(_annotations(readers))
    pictures = []
    for key in sorted(readers):
        folder, _, name = key.rpartition("/")
        if PurePosixPath(name).suffix.lower() not in PICTURES:
            continue
        parts = PurePosixPath(name).stem.split("_")
        if not folder.isdigit() or int(folder) >= CLASSES or len(parts) < 2:
            raise ProjectError(
                f"traffic_signs: {key!r} names no class and track; expected <class>/<track>_<frame>.ppm or "
                f"<class>/<class>_<track>_<frame>.png with classes 00000 to {CLASSES - 1:05d}."
            )
        if key not in boxes:
            raise ProjectError(
                f"traffic_signs: {key!r} has no sign box; expected a row in annotations.csv or in the GT-*.csv "
                "of its folder."
            )
        pictures.append(Picture(key, int(folder), parts[-2], boxes[key], readers[key]))
    if not pictures:
        raise ProjectError(
            f"traffic_signs: no {' or '.join(PICTURES)} in {[str(f) for f in files][:5]}; expected images.zip with "
            "annotations.csv, the official archive, or its class folders."
        )
    return pictures


def _annotations(readers: Mapping[str, archives.Read]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """(picture, box) of every row of every CSV among the files."""
    for key, read in readers.items():
        folder, _, name = key.rpartition("/")
        if not name.endswith(".csv"):
            continue
        text = read().decode("utf-8-sig")
        table = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in text.partition("\n")[0] else ",")
        for row in table:
            try:
                box = tuple(int(row[column]) for column in BOX_COLUMNS)
                picture = row["path"] if "path" in row else f"{folder}/{row['Filename']}"
            except (KeyError, TypeError, ValueError) as error:
                raise ProjectError(
                    f"traffic_signs: {key}, line {table.line_num} is {dict(row)!r}; expected path or Filename, and "
                    f"whole numbers in {', '.join(BOX_COLUMNS)}."
                ) from error
            yield picture, box


def assign(tracks: set[tuple[int, str]]) -> dict[tuple[int, str], str]:
    """The split of every (class, track): a share of each class's tracks, so that no split lacks a class.

    Raises ProjectError for a class with fewer than three tracks.
    """
    by_class: dict[int, list[str]] = defaultdict(list)
    for label, track in tracks:
        by_class[label].append(track)
    splits = {}
    for label, names in by_class.items():
        if len(names) < len(SPLITS):
            raise ProjectError(
                f"traffic_signs: class {label:05d} has {len(names)} tracks; expected {len(SPLITS)} or more, one "
                f"for each of {', '.join(SPLITS)}."
            )
        names.sort(key=lambda track: _digest(f"{label}/{track}"))
        judged = max(1, round(EVAL_SHARE * len(names)))
        tuned = max(1, round(TUNE_SHARE * len(names)))
        for rank, track in enumerate(names):
            split = "eval" if rank < judged else "tune" if rank < judged + tuned else "train"
            splits[label, track] = split
    return splits


def size_of(box: Sequence[int]) -> str:
    """The longer side of the sign, in three kinds."""
    side = max(box[2] - box[0], box[3] - box[1]) + 1
    return "under 30 px" if side < 30 else "30 to 60 px" if side < 60 else "60 px or more"


def brightness_of(image: bytes, box: Sequence[int], name: str) -> str:
    """How light the sign is on average, in three kinds. Raises ProjectError for bytes that are no picture."""
    from PIL import Image

    try:
        grey = np.asarray(Image.open(io.BytesIO(image)).convert("L"))
    except (OSError, ValueError, SyntaxError) as error:
        raise ProjectError(f"traffic_signs: {name} cannot be decoded: {error}.") from error
    light = grey[box[1] : box[3] + 1, box[0] : box[2] + 1].mean()
    return "dark" if light < 50 else "middle" if light < 110 else "bright"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
