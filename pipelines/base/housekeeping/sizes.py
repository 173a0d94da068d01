"""What takes the space under HOME: bytes on the disk by project and kind. Reads only; follows no link."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pipelines.base.production import project_of

BLOCK = 512
# Folders of HOME that hold a folder for each project, and what their content is called.
BY_PROJECT = {
    "data": "raw data",
    "samples": "samples",
    "warehouse": "raw data",
    "runs": "runs: records, logs, IR",
    "serving": "served versions",
}
# Below HOME/pipelines/<project>: the output's key, or a folder that TFX or a Trainer keeps beside it.
BY_KEY = {
    "examples": "examples",
    "transformed_examples": "examples",
    "model": "models",
    "model_run": "training logs",
    "checkpoints": "checkpoints",
    "updated_analyzer_cache": "analyzer caches",
    ".system": "leavings of executions",
}
REST = "other artifacts"


class Row(NamedTuple):
    """Bytes of one kind of one project ('' where it is nobody's)."""

    project: str
    kind: str
    bytes: int


def of(path: Path, seen: set[tuple[int, int]] | None = None) -> int:
    """Bytes that a file, or all below a folder, takes on the disk; 0 where there is nothing (any more).

    A file of several names counts once within `seen`.
    """
    seen = set() if seen is None else seen
    try:
        status = path.lstat()
    except OSError:
        return 0
    total = 0
    if status.st_nlink == 1 or not stat.S_ISREG(status.st_mode):
        total += status.st_blocks * BLOCK
    elif (status.st_dev, status.st_ino) not in seen:
        seen.add((status.st_dev, status.st_ino))
        total += status.st_blocks * BLOCK
    if stat.S_ISDIR(status.st_mode):
        total += sum(of(child, seen) for child in children(path))
    return total


def children(folder: Path) -> list[Path]:
    """What is in `folder`, by name; [] where it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def rows(home: Path) -> list[Row]:
    """Every byte under `home` once, the largest part first."""
    seen: set[tuple[int, int]] = set()
    total: Counter[tuple[str, str]] = Counter()
    for project, kind, path in _parts(home):
        total[project, kind] += of(path, seen)
    return sorted((Row(*key, count) for key, count in total.items() if count), key=lambda row: -row.bytes)


def _parts(home: Path) -> Iterator[tuple[str, str, Path]]:
    for top in children(home):
        if top.name == "pipelines":
            for project in children(top):
                yield from _artifacts(project.name, project)
        elif top.name in BY_PROJECT and top.is_dir() and not top.is_symlink():
            for inside in children(top):
                owner = project_of(inside.name) if top.name == "serving" else inside.name
                yield owner, BY_PROJECT[top.name], inside
        elif top.name.startswith("metadata.sqlite"):
            yield "", "ML Metadata", top
        else:
            yield (
                "",
                {"trash": "trash", "host": "warm host", "airflow": "Airflow"}.get(top.name, "other"),
                top,
            )


def _artifacts(project: str, folder: Path) -> Iterator[tuple[str, str, Path]]:
    for node in children(folder):
        if node.name.startswith("store-") and node.is_dir():
            yield from _artifacts(project, node)
            continue
        inside: Iterable[Path] = children(node) if node.is_dir() and not node.is_symlink() else ()
        for key in inside:
            yield project, BY_KEY.get(key.name, REST), key
        if not inside:
            yield project, REST, node


def free(home: Path) -> tuple[int, int]:
    """(bytes that this user may still write, bytes of the whole disk) of HOME's disk."""
    status = os.statvfs(home)
    return status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
