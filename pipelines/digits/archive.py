"""MNIST's four files from one zip, for `--data mnist.zip`: unpacked once under HOME, whole, within limits."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path, PurePosixPath

from components import unpacking
from pipelines.base import data_state, whole
from pipelines.base.errors import ProjectError
from pipelines.base.paths import Paths

NAME = re.compile(r"(train|t10k)-(images[-.]idx3|labels[-.]idx1)-ubyte(\.gz)?")


def folder_of(paths: Paths, data: str) -> str:
    """`data`, or for a zip the folder with what it held. Raises ProjectError for one without the four files.

    The folder is named by the archive's content, so another archive of the same name is another folder.
    """
    archive = Path(data)
    if not data or archive.suffix.lower() != ".zip" or not archive.is_file():
        return data
    digest = data_state.of(archive, paths.home / data_state.MEMO)
    folder = paths.pipeline_root / ".unpacked" / digest[:16]
    if not folder.exists():
        with whole.folder(folder) as aside:
            _unpack(archive, aside)
    return str(folder)


def _unpack(file: Path, folder: Path) -> None:
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise ProjectError(f"digits: {file} is no zip archive ({error}); fetch it again.") from error
    with archive:
        unpacking.check_archive(str(file), archive, file.stat().st_size)
        members = {PurePosixPath(name).name: name for name in archive.namelist() if not name.endswith("/")}
        wanted = {name: member for name, member in members.items() if NAME.fullmatch(name)}
        if len(wanted) != 4:
            raise ProjectError(
                f"digits: {file} holds {sorted(members)[:8]}; expected MNIST's four files: train- and t10k-, "
                "images-idx3-ubyte and labels-idx1-ubyte, plain or .gz."
            )
        for name, member in wanted.items():
            (folder / name).write_bytes(unpacking.read_member(str(file), archive, member))
