"""Where photographs of buses and cars come from: the book's repository, or drawings.

`sample` draws vehicles from the side (drawing.py), half of them buses, stored as JPEG or PNG, one in six lying on its
side with a note how to turn it, as telephones do.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import urllib.error
import urllib.request
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np

from pipelines.base.errors import ProjectError
from pipelines.vehicles.project import PROJECT

CHAPTER = "Chapter12"
FOLDERS = {"bus": "buses", "car": "cars"}
WEIGHTS = "https://github.com/google-coral/test_data/raw/master/"
FEWEST = 30


def fetch(folder: Path) -> None:
    """Downloads the photographs, as buses/ and cars/, and the MobileNet, which must have the card's digest.

    The photographs have no published digest: the archive's checksums and that there are thirty of each are checked.
    Raises ProjectError with the other way.
    """
    other_way = (
        "Put photographs into folders buses/ and cars/ and pass the folder around them: viaduct run vehicles --profile "
        "full --data FOLDER --set extractor=FILE."
    )
    try:
        with urllib.request.urlopen(PROJECT.data.url, timeout=60) as response:
            content = response.read()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _unpack(archive, folder)
        for name, digest in PROJECT.data.sha256.items():
            target = folder / "weights" / name
            target.parent.mkdir(exist_ok=True)
            with urllib.request.urlopen(WEIGHTS + name, timeout=60) as response, target.open("wb") as file:
                shutil.copyfileobj(response, file, 1 << 20)
            got = hashlib.sha256(target.read_bytes()).hexdigest()
            if got != digest:
                raise ProjectError(f"{PROJECT.name}: {name} has sha256 {got}; expected {digest}. {other_way}")
    except (urllib.error.URLError, OSError, zipfile.BadZipFile) as error:
        raise ProjectError(
            f"{PROJECT.name}: {PROJECT.data.url} cannot be fetched: {error}. {other_way}"
        ) from error
    for name in FOLDERS.values():
        count = len(list((folder / name).glob("*")))
        if count < FEWEST:
            raise ProjectError(
                f"{PROJECT.name}: the archive has {count} {name}; expected {FEWEST} or more. {other_way}"
            )


def _unpack(archive: zipfile.ZipFile, folder: Path) -> None:
    """The photographs alone, under the last part of their names."""
    for name in archive.namelist():
        path = PurePosixPath(name)
        if CHAPTER in path.parts and path.parent.name in FOLDERS.values() and path.suffix:
            target = folder / path.parent.name / path.name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(archive.read(name))


def sample(folder: Path, rows: int, seed: int) -> None:
    """Draws `rows` vehicles, buses and cars in turns, into buses/ and cars/; same seed, same bytes."""
    from PIL import Image

    from pipelines.vehicles.drawing import draw, look

    random = np.random.default_rng(seed)
    for name in FOLDERS.values():
        (folder / name).mkdir()
    for number in range(rows):
        kind = ("bus", "car")[number % 2]
        pixels = draw(look(kind, random), random)
        target = folder / FOLDERS[kind] / f"drawn_{number:05d}"
        if number % 6 == 0:
            note = Image.Exif()
            note[0x0112] = 6
            Image.fromarray(np.rot90(pixels)).save(target.with_suffix(".jpg"), "JPEG", quality=92, exif=note)
        elif number % 6 < 4:
            Image.fromarray(pixels).save(target.with_suffix(".jpg"), "JPEG", quality=92)
        else:
            Image.fromarray(pixels).save(target.with_suffix(".png"), "PNG", compress_level=1)
