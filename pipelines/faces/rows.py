"""From an archive or folders of pictures, one folder a person, to rows and their splits by person.

`<person>/<picture>` with .pgm, .ppm, .png, .jpg, .jpeg, .gif or .bmp, in zips or on disk; what is above the person's
folder is not looked at. All pictures of a person go to the same split: a network that is asked about a person on whom
it was trained shows memory, not that it can tell people apart.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipelines.base import archives
from pipelines.base.errors import ProjectError
from pipelines.faces.features import IMAGE_KEY, NAME_KEY, PERSON_KEY

SPLITS = ("train", "tune", "eval")
# Of the people; the rest trains. Each split gets two people at least: with one, nobody can be mistaken.
EVAL_SHARE, TUNE_SHARE, FEWEST = 1 / 3, 0.12, 2
SUFFIXES = (".pgm", ".ppm", ".png", ".jpg", ".jpeg", ".gif", ".bmp")


class Picture(NamedTuple):
    """One picture: "s01/03.pgm", whose it is, and its bytes when asked for."""

    name: str
    person: str
    read: Callable[[], bytes]


def read_rows(files: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(split, row) of every picture in `files`, in an order that looks random and never changes."""
    pictures = find(files)
    splits = assign({picture.person for picture in pictures})
    for picture in sorted(pictures, key=lambda picture: _digest(picture.name)):
        image = picture.read()
        row = {IMAGE_KEY: image, PERSON_KEY: picture.person, NAME_KEY: picture.name}
        yield splits[picture.person], {**row, **conditions(image, picture.name)}


def find(files: Sequence[Path]) -> list[Picture]:
    """Every picture in `files`; ProjectError where there is none, or one that lies in no person's folder."""
    found: dict[str, Picture] = {}
    for file in files:
        for path, read in archives.members("faces", file):
            if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
                continue
            if not path.parent.name:
                raise ProjectError(f"faces: {path} is in no person's folder; expected <person>/<picture>.")
            name = f"{path.parent.name}/{path.name}"
            if name in found:
                raise ProjectError(
                    f"faces: {name} comes twice in {file}; expected one folder for each person."
                )
            found[name] = Picture(name, path.parent.name, read)
    if not found:
        raise ProjectError(
            f"faces: no {', '.join(SUFFIXES)} in {[str(f) for f in files][:5]}; expected a zip or folder with "
            "<person>/<picture>, as orl_faces.zip has it."
        )
    return [found[name] for name in sorted(found)]


def assign(people: set[str]) -> dict[str, str]:
    """The split of every person. Raises ProjectError for fewer people than the splits need."""
    names = sorted(people, key=_digest)
    judged = max(FEWEST, round(EVAL_SHARE * len(names)))
    tuned = max(FEWEST, round(TUNE_SHARE * len(names)))
    if len(names) < judged + tuned + FEWEST:
        raise ProjectError(
            f"faces: {len(names)} people; expected {FEWEST * len(SPLITS)} or more, {FEWEST} for each of "
            f"{', '.join(SPLITS)}."
        )
    return {
        name: "eval" if rank < judged else "tune" if rank < judged + tuned else "train"
        for rank, name in enumerate(names)
    }


def conditions(image: bytes, name: str) -> dict[str, str]:
    """How light the middle of a picture is, how much light varies there, and whether one half is the lighter.

    Raises ProjectError for bytes that are no picture.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(image)) as opened:
            grey = np.asarray(opened.convert("L"), np.float32)
    except (OSError, ValueError, SyntaxError) as error:
        raise ProjectError(f"faces: {name} cannot be decoded: {error}.") from error
    height, width = grey.shape
    middle = grey[height // 8 : height - height // 8, width // 8 : width - width // 8]
    light, spread = float(middle.mean()), float(middle.std())
    halves = np.array_split(middle, 2, axis=1) if middle.shape[1] > 1 else (middle, middle)
    uneven = abs(float(halves[0].mean() - halves[1].mean())) / max(light, 1.0)
    return {
        "brightness": "dark" if light < 110 else "middle" if light < 145 else "bright",
        "contrast": "low" if spread < 35 else "middle" if spread < 50 else "high",
        "lighting": "even" if uneven < 0.08 else "slanted" if uneven < 0.16 else "from one side",
    }


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
