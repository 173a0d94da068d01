"""Ports that several processes share: the kernel spreads new connections over all that listen on one.

The supervisor reserves a port, so that every worker finds the same one and no other program gets it between two
workers; it never listens, and so is never given a connection.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import time
from collections.abc import Iterator

# Workers whose supervisor was killed finish what they have; a new supervisor waits so long for their ports.
PATIENCE_S = 5.0
# More connections than this are rare, and so many places cost a few milliseconds once.
HIGH_DESCRIPTOR = 10_000


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((host, port))
        # Needed against connections that linger after a restart, but from here on it would let another program in.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except BaseException:
        made.close()
        raise
    return made


def reserve(host: str, port: int, flag: str, patience_s: float = PATIENCE_S) -> socket.socket:
    """A socket that holds the port (0: any free one) for processes of this user that share it.

    Raises OSError that names `flag` where another program has the port.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            if port:
                # Another server's workers would share the port with ours, and nobody would notice.
                _bound(host, port, shared=False).close()
            return _bound(host, port, shared=True)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
                raise OSError(
                    f"Cannot listen on {host}:{port}: {error.strerror}. Choose another {flag}."
                ) from None
        time.sleep(0.1)


@contextlib.contextmanager
def closed_first() -> Iterator[None]:
    """Sockets opened within are the first that the kernel closes when this process is killed.

    It closes a dead process's files from the highest number down. Were listening sockets among the last, clients
    whose connections broke would connect to them again, be accepted by nobody, and fail a second time. So they get
    numbers above those of connections.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = HIGH_DESCRIPTOR if soft == resource.RLIM_INFINITY else min(HIGH_DESCRIPTOR, soft // 2)
    held: list[int] = []
    try:
        with open(os.devnull, "rb") as nothing:
            while not held or held[-1] < wanted:
                held.append(os.dup(nothing.fileno()))
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)
