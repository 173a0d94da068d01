"""A connection to a host with a time limit on every step, and who the host is: its process, and whether it is stopped.

Standard library only. What the lines mean is client.py's.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import time
from pathlib import Path
from typing import Any

from pipelines.base.errors import ViaductError
from pipelines.base.forkserver.containment import state_of
from pipelines.base.forkserver.server import short_path

ANSWER_S = 20.0
# How often a wait looks whether the host is stopped, and how long a call under way bears with one that is.
LOOK_S = 1.0
STOPPED_S = 10.0


class HostError(ViaductError):
    """The host could not be started, does not answer or does not end."""


class Connection:
    """One connection to the host at `path`. Raises HostError where the host does not answer in time."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket, self._received = opened, b""
        credentials = opened.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        self.host: int = struct.unpack("3i", credentials)[0]

    @classmethod
    def to(cls, path: Path, limit_s: float = ANSWER_S) -> Connection | None:
        """A connection, None where nobody listens. A host whose queue is full is waited for."""
        end = time.monotonic() + limit_s
        while True:
            opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                opened.settimeout(limit_s)
                _connect(opened, path)
                connection = cls(opened)
                check_running(connection.host)
                return connection
            except BlockingIOError:
                opened.close()
                check_running(owner_of(path))
                if time.monotonic() > end:
                    raise HostError(_silent(owner_of(path), limit_s)) from None
                time.sleep(0.05)
            except OSError:
                opened.close()
                return None
            except HostError:
                opened.close()
                raise

    def send(self, message: dict[str, Any], limit_s: float = ANSWER_S) -> None:
        """Sends a line. A host that has closed meanwhile may still have answered why."""
        self._socket.settimeout(limit_s)
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except TimeoutError:
            check_running(self.host)
            raise HostError(_silent(self.host, limit_s)) from None
        except OSError:
            pass

    def receive(self, limit_s: float | None = ANSWER_S, stopped_s: float = 0.0) -> dict[str, Any] | None:
        """The next line, None if the host has closed; no limit for None, but a host stopped for `stopped_s` raises."""
        begun = running = time.monotonic()
        while b"\n" not in self._received:
            self._socket.settimeout(LOOK_S)
            try:
                chunk = self._socket.recv(1 << 16)
            except TimeoutError:
                now = time.monotonic()
                if state_of(self.host) != "T":
                    running = now
                elif now - running >= stopped_s:
                    check_running(self.host)
                if limit_s is not None and now - begun > limit_s:
                    raise HostError(_silent(self.host, limit_s)) from None
                continue
            except OSError:
                chunk = b""
            if not chunk:
                return None
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def hang_up(self) -> None:
        """Ends the connection; a `receive` in another thread returns None."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()


def check_running(host: int) -> None:
    """Raises HostError if the process `host` is stopped (SIGSTOP)."""
    if host and state_of(host) == "T":
        raise HostError(
            f"The warm host (process {host}) is stopped and answers nobody. `viaduct host stop` ends it, and the next "
            f"run starts another; `kill -CONT {host}` lets it go on."
        )


def owner_of(path: Path) -> int:
    """The process of the host of `path`, also while it warms up; 0 if there is none.

    Its number stands in the lock beside the socket; another process that has the number by now is not taken for it.
    """
    try:
        pid = int(path.with_suffix(".lock").read_text())
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        socket_file = arguments[arguments.index(b"--socket") + 1]
    except (OSError, ValueError, IndexError):
        return 0
    return pid if os.path.realpath(socket_file) == os.path.realpath(os.fsencode(path)) else 0


def _connect(opened: socket.socket, path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        opened.connect(short_path(path, folder))
    finally:
        os.close(folder)


def _silent(host: int, limit_s: float) -> str:
    process = f" (process {host})" if host else ""
    return (
        f"The warm host{process} did not answer within {limit_s:.0f} s. `viaduct host stop` ends it, and the next run "
        "starts another."
    )
