"""Archives that a project's raw data come in: fetched, checked against what was published, read member by member.

Errors begin with the project's name and are for people. Nothing is unpacked here. Standard library only.
"""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from pipelines.base.errors import ProjectError

Read = Callable[[], bytes]


def members(project: str, file: Path) -> Iterator[tuple[PurePosixPath, Read]]:
    """(path, reader) of a file, or of each file in it if it is a zip. Raises ProjectError for a zip that is none."""
    if file.suffix.lower() != ".zip":
        yield PurePosixPath(file.as_posix()), file.read_bytes
        return
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise ProjectError(f"{project}: {file} is no zip archive; fetch it again.") from error
    for name in archive.namelist():
        if not name.endswith("/"):
            yield PurePosixPath(name), lambda name=name: archive.read(name)  # type: ignore[misc]


def download(project: str, url: str, target: Path, other_way: str) -> None:
    """Saves what `url` gives as `target`. ProjectError ends in `other_way`, what a person can do instead."""
    try:
        with urllib.request.urlopen(url, timeout=60) as response, target.open("wb") as file:
            shutil.copyfileobj(response, file, 1 << 20)
    except (urllib.error.URLError, OSError) as error:
        raise ProjectError(f"{project}: {url} cannot be fetched: {error}. {other_way}") from error


def fetch_zip(
    project: str,
    url: str,
    target: Path,
    counts: Callable[[str], bool],
    what: str,
    official: int,
    other_way: str,
) -> None:
    """`download` of a zip for which no digest is published: its own checksums, and that as many names count as there
    are `official` ones of `what`, are checked. Raises ProjectError as that does."""
    download(project, url, target, other_way)
    try:
        with zipfile.ZipFile(target) as archive:
            broken, found = archive.testzip(), sum(map(counts, archive.namelist()))
    except zipfile.BadZipFile as error:
        raise ProjectError(f"{project}: {url} is no zip archive. {other_way}") from error
    if broken or found != official:
        raise ProjectError(
            f"{project}: {target.name} has {found:,} {what}, first broken member {broken!r}; expected {official:,} "
            f"and none. {other_way}"
        )
