"""Where traffic signs come from: the official training archive, or drawn ones in the layout of its PNG edition.

`sample` resembles the real thing in what makes it hard: 43 classes of which many differ by a number or a small
symbol, plates that fade, tilt, stand in shadows and against any background, light from night to glare, blur and noise
that eat small signs, and tracks: three frames of one sign alike, other signs of its class not. All classes have the
same number of tracks, which real ones do not; symbols are simpler than real ones (plates.py, drawing.py).
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from pipelines.base import archives
from pipelines.traffic_signs.features import CLASSES
from pipelines.traffic_signs.project import PROJECT
from pipelines.traffic_signs.rows import BOX_COLUMNS, SPLITS

ARCHIVE = "GTSRB_Final_Training_Images.zip"
OFFICIAL_PICTURES = 39_209
FRAMES = 3


def fetch(folder: Path) -> None:
    """Downloads the official training archive (276 MB) and counts its pictures; ProjectError says what to do.

    The publisher gives no digest: the archive's own checksums and the published number of pictures are checked.
    """
    url, target = PROJECT.data.url + ARCHIVE, folder / ARCHIVE
    other_way = (
        "Put the archive, or its class folders with the GT-*.csv, into a folder and pass it: "
        "viaduct run traffic_signs --profile full --data FOLDER."
    )
    archives.fetch_zip(
        PROJECT.name,
        url,
        target,
        lambda name: name.endswith(".ppm"),
        "pictures",
        OFFICIAL_PICTURES,
        other_way,
    )


def sample(folder: Path, rows: int, seed: int) -> None:
    """Writes about `rows` drawn signs, three frames a track, to images.zip and annotations.csv; same seed, same bytes.

    Every class gets the same number of tracks, three or more: one for each split.
    """
    from PIL import Image

    from pipelines.traffic_signs.drawing import track

    random = np.random.default_rng(seed)
    tracks = max(len(SPLITS), round(rows / (CLASSES * FRAMES)))
    lines = [",".join(("path", "width", "height", "class_id", *BOX_COLUMNS))]
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for label in range(CLASSES):
            for number in range(tracks):
                for frame, (pixels, box) in enumerate(track(label, FRAMES, random)):
                    name = f"{label:05d}/{label:05d}_{number:05d}_{frame:05d}.png"
                    png = io.BytesIO()
                    Image.fromarray(pixels).save(png, "PNG", compress_level=1)
                    # With ZipInfo's own date the archive does not depend on when it was made.
                    archive.writestr(zipfile.ZipInfo(name), png.getvalue())
                    height, width, _ = pixels.shape
                    lines.append(",".join(map(str, (name, width, height, label, *box))))
    (folder / "annotations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
