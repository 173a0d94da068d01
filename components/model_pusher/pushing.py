"""Copies a model aside, then renames it to its version's number.

TFX's own Pusher copies file by file into the final folder and names versions by the second: a full disk leaves half
a version where the server looks, and two pushes in one second are one. Standard library only.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

RECORD = "viaduct_push.json"


class PushError(Exception):
    """The model could not be pushed; what was served before is untouched."""


def push(model: Path, base: Path) -> Path:
    """Copies the SavedModel folder `model` to `base/<version>` and returns that folder.

    The version is the time in seconds, or one more than the newest where that is not larger. Nothing appears
    under its final name before all of it is written and flushed.
    """
    newest = max(versions(base), default=0)
    if newest and _source_of(base / str(newest)) == str(model):
        return base / str(newest)
    aside = base / f".push-{os.getpid()}-{time.time_ns()}"
    try:
        base.mkdir(parents=True, exist_ok=True)
        shutil.copytree(model, aside)
        (aside / "assets.extra").mkdir(exist_ok=True)
        (aside / "assets.extra" / RECORD).write_text(json.dumps({"model": str(model)}), encoding="utf-8")
        _flush(aside)
        return _claim(aside, base, max(int(time.time()), newest + 1))
    except (OSError, shutil.Error) as error:
        raise PushError(
            f"Model {model} could not be copied to {base}: {error}. Nothing was pushed; the version served before "
            f"stays. Free space or mend the folder's permissions, then run again."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def versions(base: Path) -> list[int]:
    """The version numbers under `base`, unsorted; other names are ignored."""
    if not base.is_dir():
        return []
    return [int(path.name) for path in base.iterdir() if path.name.isdecimal() and path.is_dir()]


def _source_of(version: Path) -> str:
    try:
        return json.loads((version / "assets.extra" / RECORD).read_text(encoding="utf-8"))["model"]
    except (OSError, ValueError, KeyError):
        return ""


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
