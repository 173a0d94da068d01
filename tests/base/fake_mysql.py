"""A MySQL that greets, lets one user log in by mysql_native_password, and takes the name of a database."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import struct
import threading
from typing import Any

SALT = bytes(range(1, 21))
OK = b"\x00\x00\x00\x02\x00\x00\x00"


class FakeMysql:
    """Listens on `port` of loopback until the block ends. `switch` asks for another plugin, `full` turns all away."""

    def __init__(self, user: str, password: str, databases: tuple[str, ...]) -> None:
        self._user, self._password, self._databases = user, password, databases
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.switch, self.full = b"", False

    def __enter__(self) -> FakeMysql:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, contextlib.suppress(OSError, IndexError):
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        if self.full:
            _send(connection, 0, b"\xff" + struct.pack("<H", 1040) + b"Too many connections")
            return
        greeting = b"\x0a8.0-fake\0" + struct.pack("<I", 7) + SALT[:8] + b"\0" + b"\xff\xff" + b"\x21\x02\x00"
        greeting += b"\xff\xff" + bytes([21]) + bytes(10) + SALT[8:] + b"\0" + b"mysql_native_password\0"
        _send(connection, 0, greeting)
        login = _receive(connection)
        user, _, rest = login[32:].partition(b"\0")
        token = rest[1 : 1 + rest[0]]
        number = 2
        if self.switch:
            _send(connection, number, b"\xfe" + self.switch + b"\0" + SALT + b"\0")
            token, number = _receive(connection), number + 2
        if user.decode() != self._user or token != self._token():
            _send(connection, number, _error(1045, f"Access denied for user '{user.decode()}'@'localhost'"))
            return
        _send(connection, number, OK)
        database = _receive(connection)[1:].decode()
        known = database in self._databases
        _send(connection, 1, OK if known else _error(1049, f"Unknown database '{database}'"))

    def _token(self) -> bytes:
        once = hashlib.sha1(self._password.encode()).digest()
        mask = hashlib.sha1(SALT + hashlib.sha1(once).digest()).digest()
        return bytes(a ^ b for a, b in zip(once, mask, strict=True))


def _error(code: int, text: str) -> bytes:
    return b"\xff" + struct.pack("<H", code) + b"#HY000" + text.encode()


def _receive(connection: socket.socket) -> bytes:
    head = connection.recv(4, socket.MSG_WAITALL)
    return connection.recv(int.from_bytes(head[:3], "little"), socket.MSG_WAITALL)


def _send(connection: socket.socket, number: int, content: bytes) -> None:
    connection.sendall(len(content).to_bytes(3, "little") + bytes([number]) + content)
