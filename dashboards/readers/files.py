"""Paths that may be read, and what was read once.

Every path from metadata, records or a URL goes through `Files.inside`: what does not lie under HOME, links
followed, is not read. Parsed artifacts are kept in a bounded cache, keyed by the file's size and time, because
artifacts are immutable and pages are read again and again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class Missing(Exception):
    """Something a page wanted is not there; the text says what, for people."""


class Cache:
    """The most recently used values, at most `entries` of them. Thread-safe; None is kept like any value."""

    def __init__(self, entries: int = 256) -> None:
        self._entries = entries
        self._lock = threading.Lock()
        self._values: OrderedDict[Any, Any] = OrderedDict()

    def get(self, key: Any, make: Callable[[], T]) -> T:
        """The value under `key`, made outside the lock if it is not there."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                kept: T = self._values[key]
                return kept
        value = make()
        self.put(key, value)
        return value

    def put(self, key: Any, value: Any) -> None:
        """Keeps `value` under `key`, in the place of what was there."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._entries:
                self._values.popitem(last=False)

    def peek(self, key: Any) -> Any:
        """The value under `key`, None if there is none."""
        with self._lock:
            return self._values.get(key)

    def __len__(self) -> int:
        return len(self._values)


class Files:
    """Reads below one HOME."""

    def __init__(self, home: Path, entries: int = 256) -> None:
        self.home = home.resolve()
        self.cache = Cache(entries)

    def inside(self, path: str | Path) -> Path:
        """`path` with links followed. Raises Missing if it lies outside HOME or does not exist."""
        text = str(path)
        if not text or "\0" in text:
            raise Missing("No path is recorded.")
        try:
            resolved = Path(text).resolve()
            there = resolved.is_relative_to(self.home) and resolved.exists()
        except (OSError, RuntimeError) as error:
            raise Missing(f"{text} cannot be read: {error}") from error
        if not resolved.is_relative_to(self.home):
            raise Missing(f"{text} lies outside HOME ({self.home}) and is not shown.")
        if not there:
            raise Missing(f"{text} has been deleted.")
        return resolved

    def parsed(self, path: str | Path, parse: Callable[[Path], T], *key: Any) -> T:
        """`parse(path)`, kept while the file stays the same. Raises Missing instead of OSError or ValueError.

        A folder counts by its own time: artifacts are folders that are written once.
        """
        resolved = self.inside(path)
        state = resolved.stat()
        try:
            return self.cache.get(
                (str(resolved), parse.__qualname__, key, state.st_mtime_ns, state.st_size),
                lambda: parse(resolved),
            )
        except Missing:
            raise
        except Exception as error:  # protobuf, json, struct: whatever a broken file makes its reader raise
            raise Missing(f"{resolved} cannot be read: {type(error).__name__}: {error}"[:500]) from error
