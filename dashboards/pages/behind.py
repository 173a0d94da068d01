"""What takes seconds, made behind a page that is shown before it is done.

One thread makes one thing, however often it is asked for meanwhile; what was made is kept for a while. It does not
know what it makes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from dashboards.readers.files import Cache, Missing

KEPT = 32
# A page that does not wait is made first: threads of one process take turns.
BEGIN_S = 0.3
T = TypeVar("T")


class Behind:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made = Cache(KEPT)
        self._making: dict[Hashable, threading.Thread] = {}

    def get(self, key: Hashable, make: Callable[[], T], wait_s: float | None) -> T | None:
        """What `make` gives for `key`; None if it is not there after `wait_s` seconds (None waits for it).

        Raises Missing with the reason if `make` failed; the next call tries again.
        """
        with self._lock:
            made = self._made.peek(key)
            thread = self._making.get(key)
            if made is None and thread is None:
                thread = self._making[key] = threading.Thread(
                    target=self._make,
                    args=(key, make, 0.0 if wait_s is None else BEGIN_S),
                    daemon=True,
                    name="behind a page",
                )
                thread.start()
        if made is None and thread is not None:
            thread.join(wait_s)
            made = self._made.peek(key)
        if made is None:
            return None
        value, error = made
        if error is not None:
            self._made.put(key, None)
            raise Missing(f"{type(error).__name__}: {error}"[:500]) from error
        result: T = value
        return result

    def _make(self, key: Hashable, make: Callable[[], Any], begin_s: float) -> None:
        time.sleep(begin_s)
        try:
            made: tuple[Any, Exception | None] = (make(), None)
        except Exception as error:  # told to whoever asks next
            made = (None, error)
        with self._lock:
            self._made.put(key, made)
            del self._making[key]
