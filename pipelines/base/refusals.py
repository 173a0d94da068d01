"""Why a database server does not take ML Metadata in, in one sentence without the password.

ML Metadata's own errors leave the cause out: PostgreSQL's goes to its C++ log, MySQL's nowhere. Asked only after a
connection has failed. Standard library only, but for the store that is opened once more.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

TIMEOUT_S = 5.0
NATIVE = b"mysql_native_password"
# PostgreSQL says these with FATAL too, and takes us in a moment later.
PASSING = ("starting up", "shutting down", "recovery mode", "too many", "terminating connection", "remaining")
FINAL_OF_MYSQL = (1044, 1045, 1049, 1130, 1142, 1227, 1698)
LONG_PASSWORD, PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH = 0x1, 0x200, 0x8000, 0x80000


@dataclass(frozen=True)
class Refusal:
    """What the server holds against us; `final` where trying again would bring the same."""

    cause: str
    final: bool


def unreachable(host: str, port: int) -> Refusal | None:
    """Why no connection to `host:port` can be made; None if one can."""
    try:
        socket.create_connection((host, port), TIMEOUT_S).close()
    except socket.gaierror:
        return Refusal(f"there is no host {host!r}", final=True)
    except ConnectionRefusedError:
        return Refusal(f"connection refused: nothing listens on port {port} of {host!r}", final=False)
    except TimeoutError:
        return Refusal(f"port {port} of {host!r} did not answer within {TIMEOUT_S:.0f} s", final=False)
    except OSError as error:
        return Refusal(f"port {port} of {host!r} cannot be reached: {error.strerror or error}", final=False)
    return None


def of_postgresql(connect: Callable[[], object], told: str) -> Refusal:
    """What the server said to `connect`, which is called once more; `told` is the error of the time before."""
    logged = re.findall(r"PostgreSQL error: (.+)", _logged(connect))
    text = logged[-1] if logged else told
    sentence = " ".join(text.partition("\n")[0].split())
    sentence = re.sub(r"^(PostgreSQL metadata source error: ?)?((FATAL|ERROR): )?", "", sentence)
    denied = ("FATAL" in text or "permission denied" in text or "no password" in text) and not any(
        word in text for word in PASSING
    )
    return Refusal(sentence or "the server gave no reason", final=denied)


def _logged(action: Callable[[], object]) -> str:
    """What the process wrote to its standard error (file 2, where C++ writes) while `action` ran and failed."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            with contextlib.suppress(Exception):
                action()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        return file.read().decode("utf-8", "replace")


def of_mysql(host: str, port: int, user: str, password: str, database: str) -> Refusal | None:
    """What a MySQL or MariaDB server says when `user` logs in as ML Metadata does and asks for `database`.

    None if it has no objection. https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html
    """
    try:
        with socket.create_connection((host, port), TIMEOUT_S) as connection:
            return _log_in(connection, user.encode(), password.encode(), database.encode())
    except (OSError, struct.error, IndexError, ValueError):
        return Refusal(f"port {port} of {host!r} does not answer as MySQL does", final=False)


def _log_in(connection: socket.socket, user: bytes, password: bytes, database: bytes) -> Refusal | None:
    _, greeting = _receive(connection)
    if greeting[0] == 0xFF:
        return _refusal(greeting)
    rest = greeting[greeting.index(0, 1) + 1 :]
    token = _token(password, rest[4:12] + rest[31:43])
    abilities = LONG_PASSWORD | PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH
    body = struct.pack("<IIB23x", abilities, 1 << 24, 33) + user + b"\0"
    _send(connection, 1, body + bytes([len(token)]) + token + NATIVE + b"\0")
    number, answer = _receive(connection)
    if answer[0] == 0xFE:
        plugin, _, salt = answer[1:].partition(b"\0")
        if plugin != NATIVE:
            way = plugin.decode("ascii", "replace")
            return Refusal(
                f"its user logs in by {way}; ML Metadata can by {NATIVE.decode()} only", final=True
            )
        _send(connection, number + 1, _token(password, salt[:20]))
        _, answer = _receive(connection)
    if answer[0] != 0xFF:
        _send(connection, 0, b"\x02" + database)
        _, answer = _receive(connection)
    return _refusal(answer) if answer[0] == 0xFF else None


def _token(password: bytes, salt: bytes) -> bytes:
    """mysql_native_password: SHA1(p) xor SHA1(salt + SHA1(SHA1(p))); nothing for an empty password."""
    if not password:
        return b""
    once = hashlib.sha1(password).digest()
    mask = hashlib.sha1(salt + hashlib.sha1(once).digest()).digest()
    return bytes(a ^ b for a, b in zip(once, mask, strict=True))


def _refusal(packet: bytes) -> Refusal:
    (code,) = struct.unpack_from("<H", packet, 1)
    text = re.sub(rb"^#.{5}", b"", packet[3:]).decode("utf-8", "replace")
    return Refusal(" ".join(text.split()), final=code in FINAL_OF_MYSQL)


def _receive(connection: socket.socket) -> tuple[int, bytes]:
    """(number, content) of the next packet."""
    head = _exactly(connection, 4)
    return head[3], _exactly(connection, int.from_bytes(head[:3], "little"))


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        chunk = connection.recv(count - len(received))
        if not chunk:
            raise ConnectionError("the server hung up")
        received += chunk
    return received


def _send(connection: socket.socket, number: int, content: bytes) -> None:
    connection.sendall(len(content).to_bytes(3, "little") + bytes([number]) + content)
