"""One worker as the supervisor holds it: its process, its channel, its seat among the others."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from serving.telemetry.metrics import Values
from serving.workers.agreement import Report
from serving.workers.channel import Channel
from serving.workers.epoch import Epoch
from serving.workers.fleet import Fleet, Seat

# After the channel has ended the process has this long to end too.
GONE_S = 20.0


class Worker:
    """Starts the process. Everything is called on the channel's thread: `on_open(worker)` when it has opened its
    ports, `on_end(worker)` when it has ended; both once.

    `on_question(worker, kind, number, *arguments)` is called with what the worker asks.
    """

    def __init__(
        self,
        number: int,
        flags: Sequence[str],
        fleet: Fleet,
        epoch: Epoch,
        *,
        counts: bool,
        on_open: Callable[[Worker], None],
        on_end: Callable[[Worker], None],
        on_question: Callable[..., None],
    ) -> None:
        self.number = number
        self.started = time.monotonic()
        self.values: Values = {}
        self.code: int | None = None
        self.seat: Seat
        self.ports: tuple[int | None, int | None] = (None, None)
        self._answers: dict[int, threading.Event] = {}
        self._fleet = fleet
        self._on_open = on_open
        self._on_end = on_end
        ours, theirs = socket.socketpair()
        with theirs:
            passed = (theirs.fileno(), epoch.descriptor)
            command = [sys.executable, "-m", "serving.workers.worker", *map(str, (*passed, number)), *flags]
            try:
                self._popen = subprocess.Popen(command, pass_fds=passed, stdin=subprocess.DEVNULL)
            except BaseException:
                ours.close()
                raise
        handlers: dict[str, Callable[..., None]] = {
            "state": lambda name, version, report: fleet.report(self.seat, name, version, Report(*report)),
            "loaded": lambda *key: fleet.loaded(self.seat, key),
            "opened": self._opened,
            "values": self._keep,
            "synced": lambda number: self._answered(number),
            "apply": lambda *rest: on_question(self, "apply", *rest),
            "gather": lambda *rest: on_question(self, "gather", *rest),
        }
        self._channel = Channel(ours, handlers, self._ended)
        self.send = self._channel.send
        self.seat = Seat(number, self.send, counts)
        self._channel.start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self.code is None

    def await_answer(self, kind: str, number: int) -> threading.Event:
        """Sends a numbered message; the event is set when it is answered or the worker has ended."""
        event = self._answers[number] = threading.Event()
        self.send(kind, number)
        if not self.alive:
            event.set()
        return event

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            self._popen.kill()

    def why(self) -> str:
        """How the process ended, for people."""
        assert self.code is not None
        if self.code >= 0:
            return f"ended with exit code {self.code}"
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-self.code).name}"
        return f"was killed by signal {-self.code}"

    def _opened(self, grpc: int | None, rest: int | None) -> None:
        self.ports = (grpc, rest)
        self._fleet.opened(self.seat)
        self._on_open(self)

    def _keep(self, number: int, values: Values) -> None:
        self.values = values
        self._answered(number)

    def _answered(self, number: int) -> None:
        event = self._answers.pop(number, None)
        if event is not None:
            event.set()

    def _ended(self) -> None:
        """The channel has ended, so the process has ended or is of no use any more."""
        try:
            code = self._popen.wait(GONE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._popen.wait()
        self.code = code
        self._fleet.leave(self.seat)
        for event in list(self._answers.values()):
            event.set()
        self._on_end(self)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
