"""The files of a model's releases, in `.release` under its served folder, and the lease of whoever steers them.

    plan.json               the standing plan: pushed versions wait for a release; and the version that is served now
    releases/0003-17.json   the third release, of version 17; `copy/` holds each a second time
    servers/HOST~PID~T.json what one server has counted and seen of the release in flight
    asks/*.json             what people have asked for and no controller has done yet
    lease                   locked by the controller; its number grows with each that takes it

Everything but the lease is written aside and renamed. Only who holds the lease writes releases, and no record that a
holder with a higher number has written is overwritten. It decides nothing. Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import logging
import os
import re
import secrets
import socket
from pathlib import Path
from typing import Any, NamedTuple

from serving.release import plan as plans
from serving.release import record
from serving.release.plan import Plan, PlanError
from serving.release.record import RecordError, Release

logger = logging.getLogger(__name__)

NAME = ".release"
_RECORD = re.compile(r"(\d{4,})-(\d+)\.json")
_numbers = itertools.count()


class Standing(NamedTuple):
    """The plan that every push is released by; `stable` was served when it was laid down (None: nothing was)."""

    plan: Plan
    stable: int | None


class LeaseLost(Exception):
    """Another controller steers; what this one wanted to write was not written."""


def process_started(pid: int) -> str:
    """The kernel's start time of a process, "" where there is none: it tells a number that is used again."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as status:
            return status.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def this_server() -> str:
    """Names this process among all that ever were."""
    host = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())
    return f"{host}~{os.getpid()}~{process_started(os.getpid())}"


def lives(server: str) -> bool:
    """Whether the process of that name may still run; those of other hosts may."""
    host, pid, started = server.split("~")
    return host != this_server().split("~")[0] or process_started(int(pid)) == started


def write(target: Path, text: str, *, flushed: bool = False) -> None:
    """Replaces a file, whole; its folder is made where it is missing. `flushed`: it outlives a loss of power."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{os.getpid()}.{next(_numbers)}.tmp")
    try:
        with open(aside, "w", encoding="utf-8") as file:
            file.write(text)
            if flushed:
                file.flush()
                os.fsync(file.fileno())
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any]:
    """A JSON object; {} where there is none that can be read."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


class Folder:
    """The release files below one model's base path. Any number of them may stand on one folder."""

    def __init__(self, base_path: str | os.PathLike[str]) -> None:
        self.base = Path(base_path)
        self.path = self.base / NAME
        self._lease: int | None = None
        self.fence = 0

    @property
    def exists(self) -> bool:
        return self.path.is_dir()

    # The standing plan.

    def standing(self) -> Standing | None:
        path = self.path / "plan.json"
        if not path.exists():
            return None
        value = read(path)
        try:
            stable = value.get("stable")
            return Standing(plans.from_json(value["plan"]), None if stable is None else int(stable))
        except (KeyError, TypeError, ValueError, PlanError) as error:
            # Pushes wait all the same: whoever laid down a plan does not want them to take all at once.
            logger.error("%s cannot be read (%s); the usual plan stands in", path, error)
            return Standing(Plan(), None)

    def lay_down(self, plan: Plan | None, stable: int | None) -> None:
        """Sets the standing plan, or takes it away."""
        path = self.path / "plan.json"
        if plan is None:
            path.unlink(missing_ok=True)
        else:
            write(path, json.dumps({"plan": plan.as_json(), "stable": stable}, indent=1) + "\n", flushed=True)

    # Releases.

    def numbers(self) -> list[tuple[int, int]]:
        """(number, candidate) of every release, oldest first."""
        with contextlib.suppress(OSError):
            names = {p.name for d in ("releases", "copy") for p in (self.path / d).glob("*.json")}
            found = [match for name in names if (match := _RECORD.fullmatch(name))]
            return sorted((int(match[1]), int(match[2])) for match in found)
        return []

    def newest(self) -> Release | None:
        """The release that counts. One whose files cannot be believed is taken as rolled back."""
        numbers = self.numbers()
        return self.release(*numbers[-1]) if numbers else None

    def release(self, number: int, candidate: int) -> Release:
        name = f"{number:04d}-{candidate}.json"
        complaints = []
        for part in ("releases", "copy"):
            try:
                found = record.from_text((self.path / part / name).read_bytes())
            except (OSError, RecordError) as error:
                complaints.append(f"{part}/{name}: {error}")
                continue
            if complaints:
                return found.moved(found.state, f"{complaints[0]}; went on from the copy", who="record")
            return found
        older = [v for v in self.versions() if v < candidate]
        lost = Release(number, max(older, default=candidate), candidate)
        return lost.moved("rolled_back", "; ".join(complaints), who="record")

    def versions(self) -> list[int]:
        """The versions that are there."""
        with contextlib.suppress(OSError):
            return sorted(int(p.name) for p in self.base.iterdir() if p.name.isdecimal() and p.is_dir())
        return []

    def save(self, release: Release) -> None:
        """Writes a release. Raises LeaseLost where another controller's number is higher."""
        name = f"{release.number:04d}-{release.candidate}.json"
        for part in ("releases", "copy"):
            with contextlib.suppress(OSError, RecordError):
                if record.from_text((self.path / part / name).read_bytes()).fence > release.fence:
                    raise LeaseLost(f"{name} was written by a controller with a higher number")
        text = record.to_text(release)
        write(self.path / "copy" / name, text, flushed=True)
        write(self.path / "releases" / name, text, flushed=True)

    def whole(self, release: Release) -> bool:
        """Whether the files of a release can be believed."""
        name = f"{release.number:04d}-{release.candidate}.json"
        try:
            for part in ("releases", "copy"):
                record.from_text((self.path / part / name).read_bytes())
        except (OSError, RecordError):
            return False
        return True

    # The lease.

    def take(self) -> bool:
        """Whether this object may steer. The lock ends with the process, however that ends."""
        if self._lease is not None:
            return True
        handle = os.open(self.path / "lease", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return False
        said = re.match(rb"(\d+)", os.pread(handle, 64, 0))
        newest = self.newest()
        self.fence = max(int(said[1]) if said else 0, newest.fence if newest else 0) + 1
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{self.fence} {this_server()}\n".encode(), 0)
        self._lease = handle
        return True

    def give_back(self) -> None:
        handle, self._lease = self._lease, None
        if handle is not None:
            os.close(handle)

    # What people ask for.

    def ask(self, what: dict[str, Any]) -> Path:
        """Leaves a command for the controller; the path of its answer."""
        name = (
            f"{os.getpid()}-{secrets.token_hex(8)}"  # the journal keeps it: no other may ever have the same
        )
        write(self.path / "asks" / f"{name}.json", json.dumps(what))
        return self.path / "asks" / f"{name}.answer"

    def asks(self) -> list[Path]:
        with contextlib.suppress(OSError):
            found = (p for p in (self.path / "asks").glob("*.json") if not p.name.startswith("."))
            return sorted(found, key=lambda path: path.stat().st_mtime_ns)
        return []

    @staticmethod
    def answer(ask: Path, text: str, *, done: bool) -> None:
        write(ask.with_suffix(".answer"), json.dumps({"text": text, "done": done}))
        ask.unlink(missing_ok=True)

    # What servers report.

    def report(self, value: dict[str, Any]) -> None:
        """Writes what this process has counted."""
        write(self.path / "servers" / f"{this_server()}.json", json.dumps(value))

    def forget_reports(self, number: int) -> None:
        """Removes what servers that have ended reported of other releases."""
        with contextlib.suppress(OSError):
            for path in (self.path / "servers").glob("*.json"):
                if path.name.count("~") == 2 and not lives(path.stem) and read(path).get("release") != number:
                    path.unlink(missing_ok=True)

    def reports(self, number: int) -> dict[str, dict[str, Any]]:
        """By server: what was reported of a release."""
        with contextlib.suppress(OSError):
            files = [p for p in (self.path / "servers").glob("*.json") if p.name.count("~") == 2]
            found = {p.stem: read(p) for p in files if not p.name.startswith(".")}
            return {name: value for name, value in found.items() if value.get("release") == number}
        return {}
