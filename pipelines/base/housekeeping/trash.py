"""The trash, HOME/trash/<date>/<batch>: what was taken away can be put back for a week, whatever ended in between.

A batch is written down before anything is touched (`batch.json`: what, which artifacts, from where to where, why).
Then its artifacts become DELETED in ML Metadata, and then its files are renamed. So after a kill at any moment `mend`
finds either a thing whose artifacts are LIVE, which was not touched and is left alone, or one whose artifacts are
DELETED, whose files it moves on. A purge first renames the batch's list, so that what is half gone is never put back.
ML Metadata is reached through two functions of the caller's; nothing here decides what goes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from pipelines.base import home as home_folder
from pipelines.base import whole
from pipelines.base.errors import ViaductError
from pipelines.base.housekeeping.ages import DAY_S
from pipelines.base.housekeeping.planning import Thing

TRASH, LIST, PURGED = "trash", "batch.json", "purged.json"
KEPT_S = 7 * DAY_S
FULL = (errno.ENOSPC, errno.EDQUOT)


class States(Protocol):
    """The states of artifacts in ML Metadata."""

    def deleted(self, artifacts: Sequence[int]) -> bool:
        """Whether all of them are DELETED."""
        ...

    def mark(self, artifacts: Sequence[int], *, deleted: bool) -> None:
        """Makes them DELETED, or LIVE again; all or none."""
        ...


@dataclass(frozen=True)
class Item:
    """One thing in a batch. `moves` are (from, to) as texts; `to` lies in the batch's folder."""

    project: str
    kind: str
    name: str
    why: str
    bytes: int
    artifacts: tuple[int, ...]
    moves: tuple[tuple[str, str], ...]

    @property
    def untouched(self) -> bool:
        return not any(os.path.lexists(target) for _, target in self.moves)


@dataclass
class Batch:
    """A batch on the disk. `made` is the time (Unix seconds) from which its week counts."""

    folder: Path
    made: float
    items: list[Item]

    def write(self) -> None:
        body = {"made": self.made, "items": [asdict(item) for item in self.items]}
        whole.write(self.folder / LIST, json.dumps(body))

    @property
    def bytes(self) -> int:
        return sum(item.bytes for item in self.items)


@contextlib.contextmanager
def alone(home: Path) -> Iterator[None]:
    """One process at a time changes the trash. Raises ViaductError where another does, or HOME takes no files."""
    folder = home / TRASH
    home_folder.make(home, folder)
    try:
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise ViaductError(f"{folder} cannot be written: {error}. Nothing was changed.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ViaductError(
                f"Another `viaduct gc` is at work in {home}. Wait until it has ended."
            ) from None
        except OSError as error:
            raise ViaductError(
                f"{folder} lies on a file system without locks ({error}). Nothing was changed."
            ) from error
        yield


def batches(home: Path) -> list[Batch]:
    """All that can be put back, oldest first; a list that cannot be read is passed over and never purged."""
    found = []
    for file in sorted((home / TRASH).glob(f"*/*/{LIST}")):
        try:
            body = json.loads(file.read_text(encoding="utf-8"))
            found.append(Batch(file.parent, float(body["made"]), [_item(item) for item in body["items"]]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda batch: (batch.made, batch.folder.name))


def _item(body: dict[str, Any]) -> Item:
    moves = tuple((str(a), str(b)) for a, b in body["moves"])
    return Item(**{**body, "artifacts": tuple(body["artifacts"]), "moves": moves})


def plan(home: Path, things: Iterable[Thing], now: float) -> Batch:
    """A batch for `things`, nothing of it on the disk yet."""
    day = home / TRASH / time.strftime("%Y-%m-%d", time.gmtime(now))
    folder = (
        day / f"{time.strftime('%H%M%S', time.gmtime(now))}-{os.getpid()}-{time.monotonic_ns() % 10**6:06d}"
    )
    items = [
        Item(
            thing.project,
            thing.kind,
            thing.name,
            thing.why,
            thing.bytes,
            thing.artifacts,
            tuple((str(path), str(folder / f"{i}-{j}-{path.name}")) for j, path in enumerate(thing.paths)),
        )
        for i, thing in enumerate(things)
    ]
    return Batch(folder, now, items)


def throw(batch: Batch, states: States) -> list[str]:
    """Takes the batch's things away; what could not be moved is left as it was, and told, a line each.

    Raises ViaductError where not even the list could be written, and whatever `states` raises; then nothing is changed.
    """
    if not batch.items:
        return []
    try:
        batch.folder.mkdir(parents=True)
        batch.write()
    except OSError as error:
        shutil.rmtree(batch.folder, ignore_errors=True)
        raise ViaductError(_not_written(batch, error)) from error
    artifacts = sorted({artifact for item in batch.items for artifact in item.artifacts})
    try:
        if artifacts:
            states.mark(artifacts, deleted=True)
    except Exception:
        # If nobody can say whether they are DELETED now, the list stays, and a later `mend` asks again.
        with contextlib.suppress(Exception):
            if not states.deleted(artifacts):
                _purge(batch)
        raise
    failed = _move_all(batch, batch.items, states)
    _forget_empty(batch)
    return failed


def _not_written(batch: Batch, error: OSError) -> str:
    what = f"The list of what goes cannot be written to {batch.folder.parent}: {error}. Nothing was changed."
    if error.errno in FULL:
        what += (
            " `viaduct gc --empty-trash` frees what lies in the trash already; else make some room by hand."
        )
    return what


def _move_all(batch: Batch, items: list[Item], states: States) -> list[str]:
    """Moves those `items` of the batch; the ones that cannot be are put back, LIVE again and off the list."""
    failed: list[str] = []
    for item in list(items):
        try:
            _move(item)
        except OSError as error:
            _back(item)
            failed.append(f"{item.kind} {item.name} stays: {_told(error)}")
            with contextlib.suppress(Exception):
                if item.untouched:
                    if item.artifacts:
                        states.mark(item.artifacts, deleted=False)
                    batch.items.remove(item)
    if failed:
        with contextlib.suppress(OSError):
            batch.write()
    return failed


def _told(error: OSError) -> str:
    if error.errno == errno.EXDEV:
        return f"it lies on another disk than HOME/{TRASH} ({error})"
    return str(error)


def _move(item: Item) -> None:
    for source, target in item.moves:
        # Moved before a kill, or gone by itself: both are well.
        if os.path.lexists(source) and not os.path.lexists(target):
            os.rename(source, target)


def _back(item: Item) -> None:
    for source, target in item.moves:
        if os.path.lexists(target) and not os.path.lexists(source):
            with contextlib.suppress(OSError):
                Path(source).parent.mkdir(parents=True, exist_ok=True)
                os.rename(target, source)


def mend(home: Path, states: States) -> list[str]:
    """Ends what a killed process began: purges go on, things whose artifacts are DELETED move, others are forgotten.

    Returns what could not be moved, a line each.
    """
    failed = []
    for file in (home / TRASH).glob(f"*/*/{PURGED}"):
        _remove(file.parent)
    for batch in batches(home):
        before = len(batch.items)
        batch.items = [item for item in batch.items if not (item.untouched and not _gone(item, states))]
        # Of files alone it may be that somebody made them anew meanwhile: those stay.
        begun = [item for item in batch.items if item.artifacts and _is_begun(item)]
        failed += _move_all(batch, begun, states)
        if len(batch.items) != before:
            with contextlib.suppress(OSError):
                batch.write()
        _forget_empty(batch)
    for day in (home / TRASH).glob("*-*-*"):
        for folder in day.iterdir():
            if not any((folder / name).exists() for name in (LIST, PURGED)):
                whole.sweep(folder)  # killed before its list was there: it holds nothing else
                with contextlib.suppress(OSError):
                    folder.rmdir()
        with contextlib.suppress(OSError):
            day.rmdir()
    return failed


def _gone(item: Item, states: States) -> bool:
    return bool(item.artifacts) and states.deleted(item.artifacts)


def _is_begun(item: Item) -> bool:
    return any(os.path.lexists(s) and not os.path.lexists(target) for s, target in item.moves)


def _forget_empty(batch: Batch) -> None:
    if not batch.items:
        _purge(batch)


def restore(home: Path, states: States, wanted: Callable[[Item], bool]) -> tuple[list[Item], list[str]]:
    """Puts back what `wanted` says: (what came back, why others did not). Files first, then LIVE in ML Metadata."""
    restored: list[Item] = []
    failed: list[str] = []
    for batch in batches(home):
        for item in [item for item in batch.items if wanted(item)]:
            try:
                _put_back(item)
                if item.artifacts:
                    states.mark(item.artifacts, deleted=False)
            except OSError as error:
                failed.append(f"{item.kind} {item.name} stays in the trash: {error}")
                continue
            restored.append(item)
            batch.items.remove(item)
        if batch.items:
            with contextlib.suppress(OSError):
                batch.write()
        _forget_empty(batch)
    return restored, failed


def _put_back(item: Item) -> None:
    taken = [s for s, target in item.moves if os.path.lexists(s) and os.path.lexists(target)]
    if taken:
        raise FileExistsError(errno.EEXIST, "something is there by now", taken[0])
    if item.moves and not any(os.path.lexists(path) for move in item.moves for path in move):
        raise FileNotFoundError(errno.ENOENT, "its files are gone", item.moves[0][1])
    for source, target in item.moves:
        if os.path.lexists(target):
            Path(source).parent.mkdir(parents=True, exist_ok=True)
            os.rename(target, source)


def purge(home: Path, older_than: float, now: float) -> tuple[int, list[str]]:
    """Removes batches older than `older_than` seconds for good: (bytes, why some could not be)."""
    freed, failed = 0, []
    for batch in batches(home):
        if now - batch.made < older_than:
            continue
        try:
            _purge(batch)
            freed += batch.bytes
        except OSError as error:
            failed.append(f"{batch.folder} cannot be purged: {error}")
    return freed, failed


def _purge(batch: Batch) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.rename(batch.folder / LIST, batch.folder / PURGED)
    _remove(batch.folder)


def _remove(folder: Path) -> None:
    """The list goes last: without it nobody would know that the rest may go."""
    for path in list(folder.iterdir()):
        if path.name != PURGED:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    (folder / PURGED).unlink(missing_ok=True)
    folder.rmdir()
    with contextlib.suppress(OSError):
        folder.parent.rmdir()
