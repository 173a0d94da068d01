"""Unary gRPC calls over HTTP/2 for load generators: the same prepared bytes again and again, at little cost.

gRPC's own asyncio client takes some 230 us of a core for a call, several times what it measures; this one about 45 us.
It knows what a unary call needs of HTTP/2 (RFC 9113) and of gRPC's mapping onto it, and no more: no TLS, no
compression, no streaming. What it answers is tested against grpcio. Calls that a server never saw are sent again, as
gRPC does.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any
from urllib.parse import unquote

from serving.bench import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 2, 4, 5
WINDOW, LARGEST_WINDOW = 65535, 2**31 - 1
REFUSED_STREAM, CANCEL = 7, 8
# Beyond it a new connection is made: numbers of streams end at 2^31.
LAST_STREAM = 2**30
# How often a call is sent, and a connection made, where no server has taken notice.
TRIES = 3

_HEAD = struct.Struct(">IBI").unpack_from
_WORD = struct.Struct(">I").pack
_END_STREAM = bytes([END_STREAM])
# Flags of a header block in one piece.
_PLAIN = (END_HEADERS, END_HEADERS | END_STREAM)

# HTTP/2 error of a reset stream -> status, as gRPC's mapping says; everything else is INTERNAL.
_RESETS = {
    REFUSED_STREAM: "UNAVAILABLE",
    CANCEL: "CANCELLED",
    11: "RESOURCE_EXHAUSTED",
    12: "PERMISSION_DENIED",
}
# Status of HTTP -> status of a call that a proxy answered without gRPC.
_HTTP = {"400": "INTERNAL", "401": "UNAUTHENTICATED", "403": "PERMISSION_DENIED", "404": "UNIMPLEMENTED",
         "429": "UNAVAILABLE", "502": "UNAVAILABLE", "503": "UNAVAILABLE", "504": "UNAVAILABLE"}  # fmt: skip
CODES = ("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
         "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
         "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED")  # fmt: skip


class CallFailed(Exception):
    """A call without a good answer: the name of a gRPC status and its text. `unseen`: the server never saw it."""

    def __init__(self, code: str, text: str, *, unseen: bool = False) -> None:
        super().__init__(f"{code}: {text}")
        self.code, self.text, self.unseen = code, text, unseen


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return struct.pack(">I", len(body) << 8 | kind) + struct.pack(">BI", flags, stream) + body


def request_headers(authority: str, path: str, timeout_s: float) -> bytes:
    """The header block of every call."""
    return b"".join(
        [
            hpack.METHOD_POST,
            hpack.SCHEME_HTTP,
            hpack.literal(hpack.PATH, path),
            hpack.literal(hpack.AUTHORITY, authority),
            hpack.literal("te", "trailers"),
            hpack.literal(hpack.CONTENT_TYPE, "application/grpc"),
            hpack.literal("grpc-timeout", f"{max(1, round(timeout_s * 1000))}m"),
        ]
    )


def outcome(block: bytes) -> CallFailed | None:
    """What a block of trailers says; None for OK."""
    try:
        status, text, http = hpack.first_of(block, ["grpc-status", "grpc-message", hpack.STATUS])
    except hpack.HpackError as error:
        return CallFailed("UNKNOWN", f"the trailers cannot be read: {error}")
    if status is None:
        return CallFailed(_HTTP.get(http or "", "UNKNOWN"), f"an answer without grpc-status (HTTP {http})")
    known = status.isdigit() and int(status) < len(CODES)
    if status == "0":
        return None
    return CallFailed(CODES[int(status)] if known else "UNKNOWN", unquote(text or ""))


class _Call:
    """One call on its stream. `unsent` is what of the message the server has not given us room for yet."""

    __slots__ = ("answer", "due", "parts", "unsent", "waiter", "window")

    def __init__(self, waiter: asyncio.Future[bytes], due: float, window: int) -> None:
        self.waiter, self.due, self.window = waiter, due, window
        self.unsent = b""
        self.parts: list[bytes] = []


class Wire(asyncio.Protocol):
    """One TCP connection from its greeting to its end. `usable`: it takes new calls. `greeted`: the server has said
    its first word; a ConnectionError where it never does."""

    def __init__(self, headers: bytes, timeout_s: float, outcomes: dict[bytes, CallFailed | None]) -> None:
        self.usable = False
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._headers = headers
        self._begin = frame(HEADERS, END_HEADERS, 0, headers)[:5]
        self._timeout_s = timeout_s
        self._outcomes = outcomes
        self._transport: Any = None
        self._timer: asyncio.TimerHandle | None = None
        self._calls: dict[int, _Call] = {}
        self._stream = 1
        self._buffer = b""
        self._room, self._first_window, self._largest = WINDOW, WINDOW, 16384
        self._received = 0
        self._block: tuple[int, int, list[bytes]] | None = None

    # Calls.

    def call(self, message: bytes) -> asyncio.Future[bytes]:
        """Sends a call; its answer's message, or CallFailed."""
        loop = asyncio.get_running_loop()
        call = _Call(loop.create_future(), loop.time() + self._timeout_s, self._first_window)
        stream = self._stream
        self._stream += 2
        self.usable = self._stream < LAST_STREAM
        self._calls[stream] = call
        size = len(message)
        if size <= self._room and size <= call.window and size <= self._largest:
            self._room -= size
            number = stream.to_bytes(4, "big")
            data = _WORD(size << 8 | DATA) + _END_STREAM
            self._transport.write(b"".join((self._begin, number, self._headers, data, number, message)))
        else:
            call.unsent = message
            self._transport.write(frame(HEADERS, END_HEADERS, stream, self._headers))
            self._send_more(stream, call)
        return call.waiter

    def _send_more(self, stream: int, call: _Call) -> None:
        while call.unsent:
            size = min(len(call.unsent), self._room, call.window, self._largest)
            if size <= 0:
                return
            part, call.unsent = call.unsent[:size], call.unsent[size:]
            self._room -= size
            call.window -= size
            self._transport.write(frame(DATA, 0 if call.unsent else END_STREAM, stream, part))

    def _settle(self, stream: int, failure: CallFailed | None) -> None:
        call = self._calls.pop(stream, None)
        if call is None or call.waiter.done():
            return
        if failure is not None:
            # One of its own each: an exception remembers where it was raised.
            call.waiter.set_exception(CallFailed(failure.code, failure.text, unseen=failure.unseen))
            return
        data = call.parts[0] if len(call.parts) == 1 else b"".join(call.parts)
        if len(data) < 5 or data[0] or len(data) != 5 + int.from_bytes(data[1:5], "big"):
            call.waiter.set_exception(CallFailed("INTERNAL", "an answer that is no message"))
        else:
            call.waiter.set_result(data[5:])

    # The connection.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        settings = [(HEADER_TABLE_SIZE, 0), (ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, LARGEST_WINDOW)]
        body = b"".join(struct.pack(">HI", *setting) for setting in settings)
        room = struct.pack(">I", LARGEST_WINDOW - WINDOW)
        transport.write(PREFACE + frame(SETTINGS, 0, 0, body) + frame(WINDOW_UPDATE, 0, 0, room))
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._timeout_s / 10, self._expire)

    def connection_lost(self, error: Exception | None) -> None:
        self.usable = False
        if self._timer is not None:
            self._timer.cancel()
        why = str(error or "closed by the server")
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionError(why))
        for stream in list(self._calls):
            self._settle(stream, CallFailed("UNAVAILABLE", f"the connection was lost: {why}"))

    def close(self) -> None:
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def _expire(self) -> None:
        """Ends what is past its deadline; the server's answer usually comes first."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for stream, call in list(self._calls.items()):
            if call.due < now - 0.1:
                self._transport.write(frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)))
                text = f"no answer within {self._timeout_s:g} s"
                self._settle(stream, CallFailed("DEADLINE_EXCEEDED", text))
        self._timer = loop.call_later(self._timeout_s / 10, self._expire)

    # Frames.

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        at, end = 0, len(data)
        while end - at >= 9:
            word, flags, stream = _HEAD(data, at)
            after = at + 9 + (word >> 8)
            if after > end:
                break
            kind = word & 255
            # What nearly every answer consists of: headers, of which nothing matters, a message, known trailers.
            if kind != HEADERS or flags not in _PLAIN or self._block is not None:
                self._frame(kind, flags, stream, data[at + 9 : after])
            elif flags & END_STREAM:
                block = data[at + 9 : after]
                if block in self._outcomes:
                    self._settle(stream, self._outcomes[block])
                else:
                    self._frame(kind, flags, stream, block)
            at = after
        self._buffer = data[at:] if at < end else b""

    def _frame(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == DATA:
            self._take(stream, body[1 : len(body) - body[0]] if flags & PADDED else body, len(body))
            if flags & END_STREAM:
                self._settle(stream, CallFailed("UNKNOWN", "an answer without trailers"))
        elif kind == HEADERS:
            if flags & PADDED:
                body = body[1 : len(body) - body[0]]
            if flags & PRIORITY:
                body = body[5:]
            self._block = (stream, flags, [body])
            if flags & END_HEADERS:
                self._end_block()
        elif kind == CONTINUATION and self._block is not None:
            self._block[2].append(body)
            if flags & END_HEADERS:
                self._end_block()
        else:
            self._control(kind, flags, stream, body)

    def _end_block(self) -> None:
        assert self._block is not None
        stream, flags, parts = self._block
        self._block = None
        if not flags & END_STREAM:
            return
        block = b"".join(parts)
        if block not in self._outcomes:
            if len(self._outcomes) > 1000:
                self._outcomes.clear()
            self._outcomes[block] = outcome(block)
        self._settle(stream, self._outcomes[block])

    def _take(self, stream: int, part: bytes, size: int) -> None:
        call = self._calls.get(stream)
        if call is not None:
            call.parts.append(part)
        self._received += size
        if self._received >= 2**30:
            # Long before the server runs out of room for all streams together.
            self._transport.write(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self._received)))
            self._received = 0

    def _control(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            self._settings(body)
        elif kind == PING and not flags & ACK:
            self._transport.write(frame(PING, ACK, 0, body))
        elif kind == WINDOW_UPDATE:
            self._give_room(stream, int.from_bytes(body, "big") & LARGEST_WINDOW)
        elif kind == RST_STREAM:
            number = int.from_bytes(body, "big")
            text = f"the server ended the stream (HTTP/2 error {number})"
            code = _RESETS.get(number, "INTERNAL")
            self._settle(stream, CallFailed(code, text, unseen=number == REFUSED_STREAM))
        elif kind == GOAWAY:
            self._go_away(int.from_bytes(body[:4], "big") & LARGEST_WINDOW)

    def _settings(self, body: bytes) -> None:
        for at in range(0, len(body) - 5, 6):
            name, value = struct.unpack_from(">HI", body, at)
            if name == INITIAL_WINDOW_SIZE:
                for call in self._calls.values():
                    call.window += value - self._first_window
                self._first_window = value
            elif name == MAX_FRAME_SIZE:
                self._largest = value
        self._transport.write(frame(SETTINGS, ACK, 0, b""))
        if not self.greeted.done():
            self.usable = True
            self.greeted.set_result(None)
        self._give_room(0, 0)

    def _give_room(self, stream: int, size: int) -> None:
        if stream == 0:
            self._room += size
            for number, call in list(self._calls.items()):
                self._send_more(number, call)
        elif (one := self._calls.get(stream)) is not None:
            one.window += size
            self._send_more(stream, one)

    def _go_away(self, last: int) -> None:
        """The server takes no new streams; those above `last` it has not seen."""
        self.usable = False
        for stream in [s for s in self._calls if s > last]:
            self._settle(stream, CallFailed("UNAVAILABLE", "the server is closing", unseen=True))
        if not self._calls:
            self.close()


class Connection:
    """Calls to one server: over one `Wire` at a time, made when it is first needed and anew when it takes no more.
    May be shared by several clients of one loop."""

    def __init__(self, host: str, port: int, path: str, timeout_s: float) -> None:
        self._where = (host, port)
        self._headers = request_headers(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}", path, timeout_s
        )
        self._timeout_s = timeout_s
        self._outcomes: dict[bytes, CallFailed | None] = {}
        self._wire: Wire | None = None
        self._making: asyncio.Task[Wire] | None = None

    async def call(self, message: bytes) -> bytes:
        """The answer's message to a `framed` one. Raises CallFailed; what no server has seen is sent again first."""
        failure = CallFailed("UNAVAILABLE", "the server is closing")
        for _ in range(TRIES):
            wire = self._wire
            if wire is None or not wire.usable:
                wire = await self._connected()
                if not wire.usable:
                    continue
            try:
                return await wire.call(message)
            except CallFailed as error:
                if not error.unseen:
                    raise
                failure = error
        raise failure

    async def _connected(self) -> Wire:
        """A new wire; those who ask at the same time share it."""
        if self._making is None or self._making.done():
            self._making = asyncio.get_running_loop().create_task(self._make())
        self._wire = await asyncio.shield(self._making)
        return self._wire

    async def _open(self, wire: Wire) -> None:
        await asyncio.get_running_loop().create_connection(lambda: wire, *self._where)

    async def _make(self) -> Wire:
        tries = TRIES
        while True:
            wire = Wire(self._headers, self._timeout_s, self._outcomes)
            try:
                await asyncio.wait_for(self._open(wire), self._timeout_s)
                await asyncio.wait_for(wire.greeted, self._timeout_s)
                return wire
            except (TimeoutError, OSError) as error:
                wire.close()
                # Accepted and dropped before a word was said: nobody listens there any more, but another may.
                tries -= 1
                dropped = wire.greeted.done() and not wire.greeted.cancelled()
                if not dropped or not tries:
                    raise CallFailed(
                        "UNAVAILABLE", f"no connection: {error or type(error).__name__}"
                    ) from None

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()


def framed(message: bytes) -> bytes:
    """A message as gRPC sends it, uncompressed."""
    return b"\0" + struct.pack(">I", len(message)) + message
