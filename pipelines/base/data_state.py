"""What raw data is, as one digest: names, kinds and content of its files, links followed.

The run's own fingerprint and the ExampleGens' cache keys are made of it, so that both see the same changes. A file
that was hashed before and has the same size, times (in nanoseconds), inode and name is not read again: its digest is
kept in a small memo. Nobody can set the time of a file's last change (ctime), so other content under an old time is
seen; a file younger than the clock's step is waited for. Standard library only. Only regular files are opened: a
pipe would block for ever, so it counts by its kind, as sockets, devices and broken links do.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pipelines.base import whole

MEMO = "data-states"  # under HOME: one JSON file per folder that holds data
FILE, FOLDER = "file", "folder"
_CLOCK_STEP_NS = 100_000_000
_WHOLE_SECONDS_STEP_NS = 2_100_000_000  # file systems that keep no fractions of a second
_READ_BYTES = 1 << 20

Signature = tuple[int, int, int, int]
Known = dict[str, tuple[Signature, str]]


def of(data: Path, memo: Path | None) -> str:
    """The digest (32 hex digits) of the file `data`, or of all files below the folder `data`."""
    return of_files(dict(files_below(data)), memo)


def of_files(files: Mapping[str, str], memo: Path | None) -> str:
    """The digest of `files`: paths, named by what their names mean, as the path relative to the data's folder.

    `memo` is the folder that remembers digests of content; without it every file is read.
    """
    folders: dict[str, list[tuple[str, str]]] = {}
    for name, path in files.items():
        folders.setdefault(os.path.dirname(path), []).append((name, path))
    contents: dict[str, str] = {}
    for parent, inside in folders.items():
        folder = os.path.realpath(parent)
        known = _recall(folder, memo)
        learnt: Known | None = None if memo is None else {}
        for name, path in inside:
            contents[name] = _state(path, known, learnt)
        _remember(folder, memo, known, learnt)
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(os.fsencode(name) + b"\0" + contents[name].encode() + b"\0")
    return digest.hexdigest()[:32]


def files_below(data: str | Path) -> Iterator[tuple[str, str]]:
    """(name relative to `data`, path) of everything below that is no folder, in order; links to folders are entered.

    A link that leads back to a folder above is given as it is, and so is a folder that cannot be listed.
    """
    if os.path.isdir(data):
        yield from _walk(os.fspath(data), "", ())
    else:
        yield os.path.basename(data), os.fspath(data)


def _walk(folder: str, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, str]]:
    try:
        status = os.stat(folder)
        with os.scandir(folder) as entries:
            children = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        yield prefix.rstrip("/"), folder
        return
    here = (status.st_dev, status.st_ino)
    if here in above:
        yield prefix.rstrip("/"), folder
        return
    for child in children:
        if _is_folder(child):
            yield from _walk(child.path, f"{prefix}{child.name}/", (*above, here))
        else:
            yield prefix + child.name, child.path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def kind(path: str | Path) -> str:
    """FILE, FOLDER, or in words what stands there instead: 'a named pipe', 'a link to nothing', ..."""
    try:
        return _kind_of_mode(os.stat(path).st_mode)
    except OSError as error:
        return _unreachable(path, error)


def _kind_of_mode(mode: int) -> str:
    kinds = (
        (stat.S_ISREG, FILE),
        (stat.S_ISDIR, FOLDER),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((words for is_kind, words in kinds if is_kind(mode)), "a device")


def _unreachable(path: str | Path, error: OSError) -> str:
    words = {errno.ENOENT: "a link to nothing", errno.ELOOP: "a link in a circle"}.get(error.errno or 0)
    if words is None or not os.path.islink(path):
        return f"not to be read ({error.strerror})"
    return f"{words} (to {os.readlink(path)!r})"


def _state(path: str, known: Known, learnt: Known | None) -> str:
    """The content's digest of a regular file, else its kind; what was hashed and may be trusted goes to `learnt`."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return _kind_of_mode(status.st_mode)
        before = known.get(os.path.basename(path))
        if before is not None and before[0] == _signature(status):
            return before[1]
        return _hashed(path, learnt)
    except OSError as error:
        return _unreachable(path, error)


def _hashed(path: str, learnt: Known | None) -> str:
    old_enough = learnt is not None and _wait_until_old(path)
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb", buffering=0) as file:
        first = _signature(os.fstat(file.fileno()))
        digest = hashlib.sha256()
        while data := file.read(_READ_BYTES):
            digest.update(data)
        last = _signature(os.fstat(file.fileno()))
    if learnt is not None and old_enough and first == last:
        learnt[os.path.basename(path)] = (last, digest.hexdigest())
    return digest.hexdigest()


def _wait_until_old(path: str) -> bool:
    """Waits until a later write would get another time; False where the file's clock is ahead of ours."""
    changed = os.stat(path).st_ctime_ns
    step = _CLOCK_STEP_NS if changed % 1_000_000_000 else _WHOLE_SECONDS_STEP_NS
    age = time.time_ns() - changed
    if 0 <= age < step:
        time.sleep((step - age) / 1e9)
    return age >= 0


def _signature(status: os.stat_result) -> Signature:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _memo_file(folder: str, memo: Path) -> Path:
    return memo / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:24]}.json"


def _recall(folder: str, memo: Path | None) -> Known:
    if memo is None:
        return {}
    try:
        written = json.loads(_memo_file(folder, memo).read_text(encoding="ascii"))["files"]
        return {name: ((*map(int, entry[:4]),), str(entry[4])) for name, entry in written.items()}  # type: ignore[misc]
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return {}


def _remember(folder: str, memo: Path | None, known: Known, learnt: Known | None) -> None:
    """Keeps what was learnt, and what was known of files that are still there. A memo not written costs time only."""
    if memo is None or not learnt:
        return
    there = set(_names(folder))
    kept = {name: entry for name, entry in {**known, **learnt}.items() if name in there}
    text = json.dumps({"folder": folder, "files": {n: [*sign, digest] for n, (sign, digest) in kept.items()}})
    with contextlib.suppress(OSError):
        memo.mkdir(parents=True, exist_ok=True)
        whole.write(_memo_file(folder, memo), text)


def _names(folder: str) -> Iterable[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return ()
