"""Files and folders that appear whole or not at all: written aside, then renamed.

The name of what is written aside says who writes it, so that `sweep` can tell the leavings of a process that was
killed from the work of one that lives. Standard library only. A rename is atomic on one file system; nothing here
flushes to the disk (`components.model_pusher` does, before its rename).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

FOREIGN_AGE_S = 24 * 3600.0
_ASIDE = re.compile(r"\..+\.(?P<host>[^~]*)~(?P<pid>\d+)~(?P<started>\d*)~\d+\.tmp")
# How earlier releases named what they wrote aside: `.sample.4711.tmp`, `.push-4711-1700000000000000000`.
_EARLIER_ASIDE = re.compile(r".*\.(?P<pid>\d+)\.tmp|\.push-(?P<pusher>\d+)-\d+", re.DOTALL)
_numbers = itertools.count()


def aside_of(target: Path) -> Path:
    """A hidden name beside `target` that no other writer, of this process or another, has."""
    pid = os.getpid()
    owner = f"{_host()}~{pid}~{process_started(pid)}~{next(_numbers)}"
    return target.with_name(f".{target.name}.{owner}.tmp")


@contextlib.contextmanager
def file(target: Path) -> Iterator[Path]:
    """The path to write to; it becomes `target` when the block ends well and is removed when it does not.

    The folder of `target` must be there. An older `target` is replaced.
    """
    aside = aside_of(target)
    try:
        yield aside
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """An empty folder that becomes `target` when the block ends well and is removed when it does not.

    Missing parents are made. Where `target` stands already, `replace` removes it first; else OSError.
    """
    aside = aside_of(target)
    try:
        aside.mkdir(parents=True)
        yield aside
        if replace and target.exists():
            shutil.rmtree(target)
        os.rename(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write(target: Path, content: str | bytes, *, private: bool = False) -> None:
    """Replaces `target` by a file with `content` (text as UTF-8); `private` gives it mode 0600."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with file(target) as aside:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        with open(handle, "wb") as opened:
            opened.write(data)


def sweep(directory: Path) -> list[Path]:
    """Removes what killed writers left aside in `directory` (not below it); returns what was removed.

    An aside of a process that lives on this machine is kept, and one of another machine for a day.
    """
    removed = []
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            if is_abandoned(path):
                _remove(path)
                removed.append(path)
    return removed


def is_abandoned(path: Path) -> bool:
    """Whether `path` was written aside by a process that is no longer there."""
    match = _ASIDE.fullmatch(path.name)
    if match is None:
        earlier = _EARLIER_ASIDE.fullmatch(path.name)
        return earlier is not None and not process_started(int(earlier["pid"] or earlier["pusher"]))
    if match["host"] == _host():
        return process_started(int(match["pid"])) != match["started"] or not match["started"]
    with contextlib.suppress(OSError):
        return time.time() - path.lstat().st_mtime > FOREIGN_AGE_S
    return False


def process_started(pid: int) -> str:
    """The kernel's start time of process `pid` as text, '' if there is none: it tells a reused number."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as status:
            return status.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
