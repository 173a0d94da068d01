"""Copies a model aside, then renames it to its version's number; one push at a time, and no model twice in a row.

TFX's own Pusher copies file by file into the final folder and names versions by the second: a full disk leaves half
a version where the server looks, and two pushes in one second are one. Nothing heavy is imported.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipelines.base import data_state, whole
from pipelines.base.errors import ViaductError

RECORD = "assets.extra/viaduct_push.json"
HIGHEST = 2**63 - 1  # the server keeps versions as int64
# Where the server looks for the plan by which it gives pushed versions traffic (`serving.release.folder`).
PLAN = ".release/plan.json"


class PushError(ViaductError):
    """The model could not be pushed; what was served before is untouched."""


def push(model: Path, base: Path, plan: Mapping[str, object] | None = None) -> Path:
    """Copies the SavedModel folder `model` to `base/<version>` and returns that folder.

    The version is the time in seconds, or one more than the newest where that is not larger. Where the newest has
    the same files with the same content, nothing is copied and its folder is returned. Nothing appears under its
    final name before all of it is written and flushed. Pushes to one `base` wait for each other (on file systems
    that know locks). With a `plan` the version waits there for a release of the server's; the plan is laid down first.
    Without one a plan that an earlier push laid down is taken away, and one that a person did is not.
    """
    try:
        base.mkdir(parents=True, exist_ok=True)
        with _alone(base):
            newest = max(versions(base), default=0)
            if newest and is_same(model, base / str(newest)):
                return base / str(newest)
            _lay_down(plan, base, newest or None)
            return _copy(model, base, max(int(time.time()), newest + 1))
    except (OSError, shutil.Error) as error:
        raise PushError(
            f"Model {model} could not be copied to {base}: {error}. Nothing was pushed; the version served before "
            f"stays. Free space or mend the folder's permissions, then run again."
        ) from error


def _lay_down(plan: Mapping[str, object] | None, base: Path, served: int | None) -> None:
    """Writes or removes the standing plan. `stable` in it is the version that was served when the first one came."""
    file = base / PLAN
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = {}
    if plan is None:
        if before.get("by") == "card":
            file.unlink(missing_ok=True)
        return
    file.parent.mkdir(exist_ok=True)
    stable = before.get("stable", served)
    whole.write(file, json.dumps({"plan": dict(plan), "stable": stable, "by": "card"}, indent=1) + "\n")


def versions(base: Path) -> list[int]:
    """The version numbers under `base`, unsorted; other names are ignored."""
    if not base.is_dir():
        return []
    numbers = [int(path.name) for path in base.iterdir() if path.name.isdecimal() and path.is_dir()]
    return [number for number in numbers if number < HIGHEST]


def is_same(model: Path, version: Path) -> bool:
    """Whether `version` holds the files of `model`, byte for byte, beside the record of its push."""
    files = [_files(folder) for folder in (model, version)]
    sizes = [{name: os.stat(path).st_size for name, path in part.items()} for part in files]
    return sizes[0] == sizes[1] and len({data_state.of_files(part, None) for part in files}) == 1


def _files(folder: Path) -> dict[str, str]:
    return {name: path for name, path in data_state.files_below(folder) if name != RECORD}


@contextlib.contextmanager
def _alone(base: Path) -> Iterator[None]:
    """Holds a lock on the folder itself, so that no file of ours lies where servers look."""
    handle = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Network file systems may refuse it; a version is whole and has a number of its own without it too.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _copy(model: Path, base: Path, version: int) -> Path:
    aside = whole.aside_of(base / "push")
    try:
        shutil.copytree(model, aside)
        (aside / RECORD).parent.mkdir(exist_ok=True)
        (aside / RECORD).write_text(json.dumps({"model": str(model)}), encoding="utf-8")
        _flush(aside)
        return _claim(aside, base, version)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Forces the files to the disk, so that a full one is noticed before the rename."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _claim(aside: Path, base: Path, version: int) -> Path:
    """Renames to the first free version number from `version` on; a concurrent push takes another number."""
    while True:
        target = base / str(version)
        try:
            os.rename(aside, target)
        except OSError:
            if not target.exists():
                raise
            version += 1
        else:
            return target
