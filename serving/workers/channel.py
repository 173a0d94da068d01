"""Messages between the supervisor and one worker: tuples over a socket pair, each way in order.

A message is `(kind, *arguments)` and is handled by the method of that kind in a table. Both ends are processes of
one program that trust each other, so messages are pickled. The end of the channel is how either side learns that
the other has ended, whatever ended it. Nothing here knows what the messages mean.
"""

from __future__ import annotations

import logging
import queue
import socket
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

logger = logging.getLogger(__name__)


class Channel:
    """One end. Handlers run on the channel's own thread, one at a time; `send` never waits and may be called from
    anywhere, also under locks. `on_end` is called once, on the same thread, when the other end has gone."""

    def __init__(
        self, end: socket.socket, handlers: Mapping[str, Callable[..., None]], on_end: Callable[[], None]
    ) -> None:
        self._connection = Connection(end.detach())
        self._handlers = handlers
        self._on_end = on_end
        self._outbox: queue.SimpleQueue[tuple[Any, ...] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._write, name="channel-write", daemon=True),
            threading.Thread(target=self._read, name="channel-read", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def send(self, *message: Any) -> None:
        """Puts a message in the queue; what is sent to an end that has gone is lost."""
        self._outbox.put(message)

    def flush(self, timeout_s: float) -> None:
        """Lets the queue run empty before this process ends."""
        self._outbox.put(None)
        self._threads[0].join(timeout_s)

    def _write(self) -> None:
        while (message := self._outbox.get()) is not None:
            try:
                self._connection.send(message)
            except OSError:
                return

    def _read(self) -> None:
        while True:
            try:
                kind, *arguments = self._connection.recv()
            except (EOFError, OSError):
                break
            try:
                self._handlers[kind](*arguments)
            except Exception:
                logger.exception("Message %r could not be handled", kind)
        self._outbox.put(None)
        self._on_end()
