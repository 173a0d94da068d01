"""Notices changes below local model folders at once, so that a push need not wait for the next poll.

Only hints: it calls `kick`, and the source looks for itself. Where folders cannot be watched (another file
system, no inotify left) polling alone does the work.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

RECHECK_S = 5.0


def _matters(change: object, path: str) -> bool:
    """Whether a change may be a version's. What users did is written all the time, and is none."""
    return f"{os.sep}.feedback{os.sep}" not in path


class Watcher:
    """Watches what `folders()` names, and follows when the names change."""

    def __init__(self, folders: Callable[[], list[str]], kick: Callable[[], None]) -> None:
        self._folders = folders
        self._kick = kick
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="model-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the watching; does nothing where it never began."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _existing(self) -> list[str]:
        return sorted(f for f in self._folders() if os.path.isdir(f))

    def _run(self) -> None:
        from watchfiles import watch

        while not self._stop.is_set():
            folders = self._existing()
            if not folders:
                self._stop.wait(RECHECK_S)
                continue
            try:
                changes = watch(
                    *folders, stop_event=self._stop, debounce=200, step=50, yield_on_timeout=True,
                    rust_timeout=int(RECHECK_S * 1000), watch_filter=_matters, raise_interrupt=False,
                )  # fmt: skip
                for change in changes:
                    if change:
                        self._kick()
                    if self._existing() != folders:
                        break
            except Exception as error:
                logger.warning("Folders cannot be watched (%s); new versions are seen by polling", error)
                return
