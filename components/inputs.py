"""Which files an input split means: the pattern is one, the folder it starts from and its files' names are names.

A folder called `data[1]` is that folder. What is no regular file is never opened: folders are passed over with a
word, pipes, sockets, devices and links that lead nowhere are refused. Remote folders ("gs://...") are listed by TFX's
file systems, which take the whole path as a pattern. It reads no file.
"""

from __future__ import annotations

import glob
import os

from components.records import is_remote
from components.shards import InputError
from pipelines.base import data_state


def as_pattern(name: str) -> str:
    """The pattern that matches the file name `name` only: no `*`, `[` or `{SPAN}` in it means anything."""
    return glob.escape(name).replace("{", "[{]")


def matches(base: str, pattern: str) -> list[str]:
    """Paths below the folder `base` that match, sorted; hidden ones and markers (`.x`, `_SUCCESS`) are left out.

    `**` stands for folders at any depth; a file that is reached in two ways through it is given once.
    """
    if is_remote(base):
        from tfx.dsl.io import fileio

        paths = [str(path) for path in fileio.glob(os.path.join(base, pattern))]
    else:
        deep = "**" in pattern
        paths = [os.path.join(base, name) for name in glob.glob(pattern, root_dir=base, recursive=deep)]
        if deep:
            shortest = sorted(paths, key=lambda path: (path.count(os.sep), path))
            paths = list({os.path.realpath(path): path for path in reversed(shortest)}.values())
    return sorted(path for path in paths if os.path.basename(path)[:1] not in (".", "_"))


def data_files(base: str, pattern: str) -> list[str]:
    """The files among the matches. Raises InputError for what can be no data, as a named pipe."""
    from absl import logging

    files = []
    for path in matches(base, pattern):
        if not is_folder(path):
            files.append(path)
        elif "**" not in pattern:
            logging.warning(
                "%s is a folder and passed over; its files are matched by %r", path, pattern + "/*"
            )
    return files


def is_folder(path: str) -> bool:
    """False for a regular file. Raises InputError for what is neither, saying what it is."""
    if is_remote(path):
        from tfx.dsl.io import fileio

        return bool(fileio.isdir(path))
    what = data_state.kind(path)
    if what in (data_state.FILE, data_state.FOLDER):
        return what == data_state.FOLDER
    raise InputError(
        f"{path} is {what}, expected a file. Remove it from the data, or put a copy of what it stands for there."
    )


def size_of(path: str) -> int:
    """Bytes as stored."""
    if is_remote(path):
        from tfx.dsl.io import fileio

        return int(fileio.stat(path).length)
    return os.stat(path).st_size


def files_below(folder: str) -> list[tuple[str, str]]:
    """(path relative to `folder`, with slashes, path) of what is below and no folder; see data_state.files_below."""
    if not is_remote(folder):
        return list(data_state.files_below(folder))
    from tfx.dsl.io import fileio

    paths = [os.path.join(parent, name) for parent, _, names in fileio.walk(folder) for name in sorted(names)]
    return [(path[len(folder.rstrip("/")) + 1 :], path) for path in paths]


def nothing_matches(base: str, pattern: str, what: str, expected: str) -> InputError:
    """The error for a pattern that no `what` matches: what is there instead, what was expected, what to do."""
    reason = ""
    if is_remote(base):
        pass
    elif not os.path.isdir(base):
        reason = f" The folder {base!r} does not exist."
    elif below := sorted(glob.glob(f"{pattern}/**/*.*", root_dir=base, recursive=True)):
        reason = (
            f" Sub-folders are not searched, and there is {below[0]!r}: the pattern {pattern + '/*'!r} goes one folder "
            "deeper, '**/*' to any depth."
        )
    return InputError(
        f"No {what} matches {os.path.join(base, pattern)!r}.{reason} Expected {expected}; check --data or "
        "input_base, and the pattern of the input split."
    )
