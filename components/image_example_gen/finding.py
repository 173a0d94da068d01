"""Which pictures there are, without opening one: idx pairs, files in class folders, members of zips.

Pictures of folders and zips come in an order of hashed names, the same every time: sorted by class they would
make a training's shuffle buffer useless. idx rows keep their order.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import zipfile
from collections.abc import Sequence

from components import inputs, unpacking
from components.arrow_example_gen.reading.files import open_raw
from components.image_example_gen.options import Options
from components.shards import InputError

PICTURES = (".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".bmp", ".gif")
_IDX_IMAGES = re.compile(r"(?P<stem>.*)images(?P<middle>[-.])idx3-ubyte(?P<gz>\.gz)?$")


@dataclasses.dataclass(frozen=True)
class Picture:
    """`name` is `<class>/<file>`; `member` is set where the picture is inside the zip `path`."""

    name: str
    path: str
    member: str | None
    size: int

    @property
    def klass(self) -> str:
        return self.name.split("/")[0]

    @property
    def where(self) -> str:
        return f"{self.path}!{self.member}" if self.member else self.path


@dataclasses.dataclass(frozen=True)
class IdxPair:
    """Images and labels of the same pictures; `name` starts the names of its pictures."""

    name: str
    images: str
    labels: str
    size: int


@dataclasses.dataclass(frozen=True)
class Contents:
    """What one input split holds. `files`: every file read, for sizes and messages."""

    pairs: tuple[IdxPair, ...]
    pictures: tuple[Picture, ...]
    annotations: str | None
    files: tuple[str, ...]


def find(input_base: str, pattern: str, options: Options) -> Contents:
    """What matches: idx files, zips, pictures, or class folders of pictures.

    Raises InputError where nothing matches, or a file is none of these.
    """
    matched = inputs.matches(input_base, pattern)
    pairs: list[IdxPair] = []
    pictures: list[Picture] = []
    annotations = None
    files: list[str] = []
    for path in matched:
        name = os.path.basename(path)
        if inputs.is_folder(path):
            inside = _in_folder(path)
            pictures += inside
            files += [picture.path for picture in inside]
            continue
        if options.annotations and name == options.annotations:
            annotations = path
        elif match := _IDX_IMAGES.match(name):
            pairs.append(_pair(path, match))
            files.append(pairs[-1].labels)
        elif "labels" in name and "idx1-ubyte" in name:
            continue
        elif name.lower().endswith(".zip"):
            pictures += _in_zip(path)
        elif name.lower().endswith(PICTURES):
            pictures.append(_picture(path, os.path.basename(os.path.dirname(path)) + "/" + name))
        else:
            raise InputError(
                f"{path}: neither a picture ({', '.join(PICTURES)}), a zip, nor an idx file. Give the input "
                "split a "
                "narrower pattern, or name the file of annotations with annotations=..."
            )
        files.append(path)
    _check_found(input_base, pattern, pairs, pictures, annotations, options)
    pictures.sort(key=lambda picture: hashlib.blake2b(picture.name.encode(), digest_size=8).digest())
    return Contents(tuple(pairs), tuple(pictures), annotations, tuple(files))


def _check_found(
    base: str,
    pattern: str,
    pairs: Sequence[IdxPair],
    pictures: Sequence[Picture],
    annotations: str | None,
    options: Options,
) -> None:
    if not pairs and not pictures:
        expected = "idx files, folders <class>/<file>.png, or zips of such"
        raise inputs.nothing_matches(base, pattern, "picture", expected)
    if options.annotations and annotations is None:
        raise InputError(
            f"annotations={options.annotations!r} matches no file of {os.path.join(base, pattern)!r}. Expected "
            "a CSV there."
        )
    if options.annotations and pairs:
        raise InputError(f"{pairs[0].images}: annotations are for named pictures, idx files have no names.")


def _pair(path: str, match: re.Match[str]) -> IdxPair:
    from tfx.dsl.io import fileio

    folder = os.path.dirname(path)
    stem = f"{match['stem']}labels{match['middle']}idx1-ubyte"
    for ending in (match["gz"] or "", ".gz", ""):
        labels = os.path.join(folder, stem + ending)
        if fileio.exists(labels):
            return IdxPair(match["stem"].rstrip("-_."), path, labels, inputs.size_of(path))
    raise InputError(
        f"{path}: its labels {stem!r} (or .gz) are missing beside it. Fetch both files of the pair."
    )


def _picture(path: str, name: str) -> Picture:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{path}: its name is no UTF-8, and is a feature. Rename it.") from error
    return Picture(name, path, None, inputs.size_of(path))


def _in_folder(folder: str) -> list[Picture]:
    """Pictures of a class folder, at any depth below it."""
    result = []
    top = os.path.basename(folder.rstrip("/"))
    for below, path in inputs.files_below(folder):
        name = os.path.basename(below)
        if name.lower().endswith(PICTURES) and name[0] not in "._" and not inputs.is_folder(path):
            result.append(_picture(path, f"{top}/{below}"))
    return result


def _in_zip(path: str) -> list[Picture]:
    try:
        with open_raw(path) as raw, zipfile.ZipFile(raw) as archive:
            unpacking.check_archive(path, archive, inputs.size_of(path))
            members = archive.infolist()
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: not a whole zip file ({error}). Fetch or write it again.") from error
    result = []
    for info in members:
        name = info.filename
        if info.is_dir() or not name.lower().endswith(PICTURES) or os.path.basename(name)[0] in "._":
            continue
        if "__MACOSX/" in name:
            continue
        parts = name.split("/")
        if len(parts) < 2:
            raise InputError(
                f"{path}!{name}: the picture lies in no class folder. Expected <class>/<file> in the zip."
            )
        result.append(Picture("/".join(parts[-2:]), path, name, info.file_size))
    return result


def class_names(contents: Sequence[Contents], options: Options) -> tuple[str, ...] | None:
    """Class names in the order of their labels, or None where the class names are the labels (`00017` is 17).

    Raises InputError for a class that `classes=[...]` does not know.
    """
    seen: dict[str, Picture] = {}
    for part in contents:
        for picture in part.pictures:
            seen.setdefault(picture.klass, picture)
    if options.classes:
        for name, picture in seen.items():
            if name not in options.classes:
                raise InputError(
                    f"{picture.where}: class {name!r} is not in classes={list(options.classes)!r}."
                )
        return options.classes
    if all(name.isascii() and name.isdigit() for name in seen):
        return None
    return tuple(sorted(seen))
