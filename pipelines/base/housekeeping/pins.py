"""Pins: runs that a person wants to keep. A pin is a small file in the run's folder and outlives everything else."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.base import run_record, whole
from pipelines.base.errors import ViaductError, close_match
from pipelines.base.paths import Paths

PIN = "pinned.json"


def folder_of(home: Path, run_id: str) -> Path:
    """The folder of a run, whose project need not be named. Raises ViaductError with a close match."""
    found = [path for path in (home / "runs").glob("*/*") if path.name == run_id and path.is_dir()]
    if not found:
        known = {record.run_id for record in _newest(home)}
        raise ViaductError(close_match("Run", run_id, known))
    return found[0]


def _newest(home: Path, most: int = 50) -> list[run_record.RunRecord]:
    projects = [folder.name for folder in (home / "runs").glob("*") if folder.is_dir()]
    records = [record for name in projects for record in run_record.read_all(Paths.of(name, home))]
    return sorted(records, key=lambda record: record.started)[-most:]


def pin(home: Path, run_id: str, why: str = "") -> Path:
    """Pins a run; a second time changes who, when and why. Returns the pin's file."""
    file = folder_of(home, run_id) / PIN
    try:
        who = getpass.getuser()
    except (KeyError, OSError):
        who = "unknown"
    try:
        whole.write(file, json.dumps({"who": who, "when": time.time(), "why": why}))
    except OSError as error:
        raise ViaductError(f"{run_id} cannot be pinned: {error}.") from error
    return file


def unpin(home: Path, run_id: str) -> bool:
    """Takes a pin away; False if there was none."""
    file = folder_of(home, run_id) / PIN
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ViaductError(f"{run_id} cannot be unpinned: {error}.") from error
    return True


def read(folder: Path) -> dict[str, Any] | None:
    """The pin of the run in `folder`: {'who', 'when', 'why'}; None if it has none. What cannot be read is a pin too."""
    file = folder / PIN
    if not file.exists():
        return None
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        return said if isinstance(said, dict) else {}
    except (OSError, ValueError):
        return {}


def of_project(paths: Paths) -> Iterator[tuple[str, str]]:
    """(run id, why it is pinned) of the project's pinned runs."""
    for file in sorted(paths.runs.glob(f"*/{PIN}")):
        said = read(file.parent)
        if said is not None:
            yield file.parent.name, str(said.get("why", ""))
