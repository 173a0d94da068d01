"""Watches model folders and says which versions are wanted: the source of aspired versions.

A version is a sub-folder whose name is a number (`1`, `00000123`). The source polls in its own thread, or
when `kick` is called; it never loads anything. A base path that cannot be read changes nothing: what is
served stays served. Standard library only.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from serving.core.policy import VersionPolicy, select_versions

logger = logging.getLogger(__name__)

MARKERS = ("saved_model.pb", "saved_model.pbtxt")
# A folder without a marker may still be arriving (copies are not atomic); after this long it is tried anyway.
ARRIVAL_S = 5.0
MAX_VERSION = 2**63 - 1


@dataclass(frozen=True)
class Monitored:
    """One model to watch."""

    name: str
    base_path: str
    policy: VersionPolicy = field(default_factory=VersionPolicy)


def find_versions(base_path: str) -> dict[int, str]:
    """Version numbers under `base_path` with their folders. Raises OSError where it cannot be listed."""
    versions: dict[int, str] = {}
    with os.scandir(base_path) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            digits = entry.name.isascii() and entry.name.isdigit()
            if digits and int(entry.name) <= MAX_VERSION and entry.is_dir():
                versions[int(entry.name)] = entry.path
    return versions


def fingerprint(path: str) -> object:
    """Names, sizes and times of the files below `path`: a change means that another attempt makes sense."""
    seen = []
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                stat = os.stat(os.path.join(folder, name))
            except OSError:
                continue
            seen.append((os.path.join(folder, name), stat.st_size, stat.st_mtime_ns))
    return tuple(sorted(seen))


def _arriving(path: str) -> bool:
    if any(os.path.exists(os.path.join(path, marker)) for marker in MARKERS):
        return False
    try:
        return time.time() - os.stat(path).st_mtime < ARRIVAL_S
    except OSError:
        return True


Choose = Callable[[Monitored, Collection[int], Collection[int]], Collection[int]]


def by_policy(model: Monitored, versions: Collection[int], broken: Collection[int]) -> Collection[int]:
    """The usual way to choose among a model's versions."""
    return select_versions(model.policy, versions, broken)


class Source:
    """Polls the configured models and calls `aspire(name, {version: folder})`.

    `aspire` is called for every readable model at every poll (it must be idempotent), and once with `{}` for
    a model that left the configuration. `broken(name)` names the versions that failed to load. `choose(model,
    versions, broken)` says which are wanted; one that is wanted without being there is asked for under the folder that
    it had. Thread-safe.
    """

    def __init__(
        self,
        aspire: Callable[[str, dict[int, str]], None],
        broken: Callable[[str], Collection[int]],
        poll_wait_s: float = 1.0,
        choose: Choose = by_policy,
    ) -> None:
        self._aspire = aspire
        self._choose = choose
        self._broken = broken
        self.poll_wait_s = poll_wait_s
        self._models: dict[str, Monitored] = {}
        self._complaints: dict[str, str] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def configure(self, models: Iterable[Monitored]) -> None:
        """Replaces the watched models and polls at once, in the caller's thread."""
        wanted = {m.name: m for m in models}
        with self._lock:
            gone = [name for name in self._models if name not in wanted]
            self._models = wanted
            for name in gone:
                self._complaints.pop(name, None)
                self._aspire(name, {})
        self.poll()

    def poll(self) -> None:
        with self._lock:
            for model in self._models.values():
                self._poll_one(model)

    def complaint(self, name: str) -> str | None:
        """Why the last poll of a model found nothing to serve, or None."""
        return self._complaints.get(name)

    def base_paths(self) -> list[str]:
        with self._lock:
            return [m.base_path for m in self._models.values()]

    def models(self) -> list[Monitored]:
        """What is watched now."""
        with self._lock:
            return list(self._models.values())

    def _poll_one(self, model: Monitored) -> None:
        try:
            versions = find_versions(model.base_path)
        except OSError as error:
            why = error.strerror or type(error).__name__
            self._complain(
                model.name, f"Could not find base path {model.base_path} for servable {model.name}: {why}"
            )
            return
        wanted = self._choose(model, versions, self._broken(model.name))
        if not versions:
            self._complain(
                model.name,
                f"No versions of servable {model.name} found under base path {model.base_path}. "
                "Did you forget to name your leaf directory as a number (eg. '/1/')?",
            )
        elif model.policy.kind == "specific" and model.policy.specific - set(wanted):
            missing = ", ".join(str(v) for v in sorted(model.policy.specific - set(wanted)))
            self._complain(
                model.name,
                f"Version(s) {missing} of servable {model.name}, which were requested to be served as "
                f"specific versions in the servable's version policy, were not found under {model.base_path}",
            )
        else:
            self._complaints.pop(model.name, None)
        here = self._arrived(wanted, versions, model)
        self._aspire(model.name, {v: versions.get(v, os.path.join(model.base_path, str(v))) for v in here})

    def _arrived(
        self, wanted: Collection[int], versions: dict[int, str], model: Monitored
    ) -> Collection[int]:
        """`wanted` without folders whose files are still being copied; older ones stay until they are in."""
        arriving = {v for v in wanted if v in versions and _arriving(versions[v])}
        if not arriving:
            return wanted
        rest = {v: p for v, p in versions.items() if v not in arriving}
        return self._choose(model, rest, self._broken(model.name))

    def _complain(self, name: str, text: str) -> None:
        if self._complaints.get(name) != text:
            logger.warning("%s", text)
        self._complaints[name] = text

    def start(self) -> None:
        """Starts polling. A wait of 0 means that the folders were read once, by `configure`."""
        self._thread = threading.Thread(target=self._run, name="model-source", daemon=True)
        self._thread.start()

    def kick(self) -> None:
        """Polls soon instead of at the next interval."""
        self._wake.set()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            self._wake.wait(self.poll_wait_s if self.poll_wait_s > 0 else None)
            self._wake.clear()
            if self._stopping:
                return
            try:
                self.poll()
            except Exception:
                logger.exception("Polling the model folders failed; trying again at the next interval")
