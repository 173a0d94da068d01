"""Where faces come from: the ORL database and pretrained weights from their publishers, or people drawn by parameters.

Nobody in the sample exists (drawing.py). It has the layout of the ORL archive: <person>/<picture>.pgm, 92 x 112 grey.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np

from pipelines.base import archives
from pipelines.base.errors import ProjectError
from pipelines.faces.project import PROJECT, WEIGHT_URLS

ARCHIVE, OFFICIAL_PICTURES = "att_faces.zip", 400
WEIGHTS = "weights"
PICTURES_EACH = 8


def fetch(folder: Path) -> None:
    """Downloads the ORL faces (4 MB) and the pretrained weights (9 MB), and checks both.

    The publisher of the pictures gives no digest: the archive's own checksums and their number are checked. Weights
    must have the digests on the card.
    """
    url, target = PROJECT.data.url, folder / ARCHIVE
    archives.fetch_zip(
        PROJECT.name,
        url,
        target,
        lambda name: name.endswith(".pgm"),
        "pictures",
        OFFICIAL_PICTURES,
        OTHER_WAY,
    )
    for name, url in WEIGHT_URLS.items():
        target = folder / WEIGHTS / name
        target.parent.mkdir(parents=True, exist_ok=True)
        archives.download(PROJECT.name, url, target, OTHER_WAY)
        got, expected = hashlib.sha256(target.read_bytes()).hexdigest(), PROJECT.data.sha256[name]
        if got != expected:
            raise ProjectError(
                f"{PROJECT.name}: {url} has sha256 {got}; expected {expected}. It serves something else; get the file "
                "elsewhere and name its folder: --set weights=FOLDER."
            )


OTHER_WAY = (
    "Put the pictures, one folder a person, into a folder and pass it: "
    "viaduct run faces --profile full --data FOLDER."
)


def sample(folder: Path, rows: int, seed: int) -> None:
    """Writes about `rows` pictures of drawn people, eight each, to drawn_faces.zip; same seed, same bytes."""
    from pipelines.faces.drawing import draw, moment, person

    random = np.random.default_rng(seed)
    with zipfile.ZipFile(folder / "drawn_faces.zip", "w") as archive:
        for number in range(max(8, round(rows / PICTURES_EACH))):
            someone = person(random)
            for shot in range(PICTURES_EACH):
                pixels = draw(someone, moment(someone, random), random)
                # With ZipInfo's own date the archive does not depend on when it was made.
                name = zipfile.ZipInfo(f"p{number + 1:03d}/{shot + 1:02d}.pgm")
                archive.writestr(name, pgm(pixels))


def pgm(pixels: np.ndarray) -> bytes:
    """A grey uint8 picture [height, width] as a binary PGM."""
    file = io.BytesIO()
    file.write(b"P5\n%d %d\n255\n" % pixels.shape[::-1])
    file.write(pixels.tobytes())
    return file.getvalue()
