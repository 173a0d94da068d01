"""From folders of photographs, one for each kind, to rows and their splits."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pipelines.base import archives
from pipelines.base.errors import ProjectError
from pipelines.vehicles.features import IMAGE_KEY, KINDS, LABEL_KEY

SPLITS = ("train", "eval")
FOLDERS = {"buses": "bus", "bus": "bus", "cars": "car", "car": "car"}
# As in the seed: 60 % of each kind train.
EVAL_SHARE = 0.4
FEWEST = 5
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp")


def read_rows(files: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(split, row) of every photograph in a folder buses/ or cars/, in an order that looks random and never changes.

    Equal files are one photograph: it would be trained on and judged else. Raises ProjectError for a file that cannot
    be decoded, naming it, and for a kind of which there are fewer than five.
    """
    found: dict[str, dict[str, tuple[str, bytes]]] = {kind: {} for kind in KINDS}
    for file, content in _photographs(files):
        _check(file, content)
        digest = hashlib.sha256(content).hexdigest()
        found[FOLDERS[file.parent.name]].setdefault(digest, (f"{file.parent.name}/{file.name}", content))
    rows = []
    for label, kind in enumerate(KINDS):
        there = sorted(found[kind].items())
        if len(there) < FEWEST:
            raise ProjectError(
                f"vehicles: {len(there)} different photographs of a {kind} in {[str(file) for file in files][:3]}; "
                f"expected {FEWEST} or more in folders buses/ and cars/ ({', '.join(SUFFIXES)})."
            )
        judged = round(EVAL_SHARE * len(there))
        for rank, (digest, (name, content)) in enumerate(there):
            row = {IMAGE_KEY: content, LABEL_KEY: label, "name": name, "kind": kind}
            rows.append((digest, "eval" if rank < judged else "train", row))
    for _, split, row in sorted(rows, key=lambda one: one[0]):
        yield split, row


def _photographs(files: Sequence[Path]) -> Iterator[tuple[Path, bytes]]:
    """(path, content) of what lies in a folder of a kind, also in a zip archive of such folders."""
    for file in files:
        for path, read in archives.members("vehicles", file):
            if _is_photograph(path):
                yield file if path == PurePosixPath(file) else file / path, read()


def _is_photograph(file: PurePosixPath) -> bool:
    return file.parent.name in FOLDERS and file.suffix.lower() in SUFFIXES


def _check(file: Path, content: bytes) -> None:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ProjectError(f"vehicles: {file} cannot be decoded: {error}.") from error
