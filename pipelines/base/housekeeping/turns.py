"""Whose turn it is with a project's artifacts: a node that looks for its inputs, or who clears artifacts away.

A node finds inputs and cached results in ML Metadata and then says there that it uses them. Between the two nobody
may delete what it found. So nodes hold a lock together while they look (moments, not while they work), and who clears
holds it alone while it decides, marks as DELETED and renames. What a node has said it uses is a root for the other
side. Standard library only; the lock ends with its holder's process, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from pipelines.base.errors import ViaductError
from pipelines.base.paths import Paths

LOCK = ".house.lock"
POLL_S = 0.05


class Busy(ViaductError):
    """Others hold the lock, and did so for as long as there was patience."""


@contextlib.contextmanager
def looking(paths: Paths) -> Iterator[None]:
    """Held by a node of the project while it looks for inputs and cached results; any number may."""
    with _locked(paths, fcntl.LOCK_SH, None):
        yield


@contextlib.contextmanager
def clearing(paths: Paths, patience_s: float) -> Iterator[None]:
    """Held by who takes artifacts of the project away. Raises Busy if nodes look for longer than `patience_s`."""
    with _locked(paths, fcntl.LOCK_EX, patience_s):
        yield


@contextlib.contextmanager
def _locked(paths: Paths, kind: int, patience_s: float | None) -> Iterator[None]:
    folder = paths.pipeline_root
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _take(handle, kind, patience_s, paths.project)
        yield
    finally:
        os.close(handle)


def _take(handle: int, kind: int, patience_s: float | None, project: str) -> None:
    end = None if patience_s is None else time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(handle, kind | (0 if end is None else fcntl.LOCK_NB))
            return
        except BlockingIOError:
            if end is not None and time.monotonic() >= end:
                raise Busy(f"{project}: its nodes are looking for their inputs") from None
            time.sleep(POLL_S)
        except OSError:
            # A network file system without locks: then nothing is cleared, and nodes go on as they always did.
            if kind == fcntl.LOCK_SH:
                return
            raise
