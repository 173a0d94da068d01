"""Asks something slow for no longer than a page may wait, and keeps what it last said for when it does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from dashboards.readers.files import Cache

# Answers that are remembered; each is a list of a few hundred small messages at most.
MOST = 512


class Busy(Exception):
    """There is no answer in time and none from before."""


class Patient:
    """Remembers answers. Thread-safe. `late` is what a question raises that was not answered in time.

    After a late one everybody is answered from memory for `pause_s` seconds: nobody waits behind it.
    """

    def __init__(self, late: type[Exception], pause_s: float) -> None:
        self._late, self._pause_s = late, pause_s
        self._answers = Cache(MOST)
        self._lock = threading.Lock()
        # Since when there was no answer, when to ask again, and the oldest answer given from memory meanwhile.
        self._since: float | None = None
        self._again = 0.0
        self._oldest: float | None = None

    def get(self, key: Any, ask: Callable[[], Any]) -> Any:
        """`ask()`, or what `key` was answered last where that comes too late. Raises Busy, and what `ask` raises."""
        began = time.monotonic()
        if self._since is not None and began < self._again:
            return self._from_memory(key)
        try:
            answer = ask()
        except self._late:
            with self._lock:
                self._since = began if self._since is None else self._since
                self._again = time.monotonic() + self._pause_s
            return self._from_memory(key)
        with self._lock:
            self._since = self._oldest = None
        self._answers.put(key, (time.monotonic(), answer))
        return answer

    def waiting(self) -> float | None:
        """For how many seconds there has been no answer; None while there is one."""
        since = self._since
        return None if since is None else time.monotonic() - since

    def age(self) -> float | None:
        """How many seconds old the oldest answer is that was given again since then."""
        oldest = self._oldest
        return None if oldest is None else time.monotonic() - oldest

    def _from_memory(self, key: Any) -> Any:
        known = self._answers.peek(key)
        if known is None:
            raise Busy("There is no answer yet.")
        at, answer = known
        with self._lock:
            self._oldest = at if self._oldest is None else min(at, self._oldest)
        return answer
