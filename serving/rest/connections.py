"""HTTP/1.1 connections of the REST API: uvicorn's, with a time limit for slow clients and a short way for short calls.

uvicorn waits for a request's bytes as long as a client likes; here each request has to be complete within a
time. And it makes a task and an ASGI conversation for each request, which cost more than a small model does; here
a short call is begun as soon as it is complete, and most are answered before there is anything to wait for.
Sockets and the server's start and end are in `serving.rest.server`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.rest.app import STARTED, Receive, Reply

T = TypeVar("T")

_TIMEOUT = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: 52\r\n\r\n" + b'{\n    "error": "The request did not arrive in time"\n}'
)

# When the server stops, how long a kept connection may still ask for something. Its answer says that it was the last;
# closing at once would lose what is on its way.
LINGER_S = 0.25
# Headers that make a request more than a plain call: uvicorn's own way knows what to do.
_SPECIAL = frozenset((b"transfer-encoding", b"x-forwarded-for", b"x-forwarded-proto"))
_SHORT_DIGITS = 5  # of a Content-Length: bodies under 100 kB


class Started(Generic[T]):
    """A coroutine that runs at once, without a task, until it is `done` or has to wait; then awaiting it goes on."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self.done = False
        self.result: T
        try:
            self._awaited = coroutine.send(None)
        except StopIteration as end:
            self.done, self.result = True, end.value
        else:
            # The mark of a future that somebody is about to wait for; until that is so, others may.
            self._awaited._asyncio_future_blocking = False

    def __await__(self) -> Generator[Any, Any, T]:
        if self.done:
            return self.result
        step: Callable[[Any], Any] = self._coroutine.send
        awaited = self._awaited
        awaited._asyncio_future_blocking = True
        while True:
            try:
                value = yield awaited
                step = self._coroutine.send
            except BaseException as error:
                value, step = error, self._coroutine.throw
            try:
                awaited = step(value)
            except StopIteration as end:
                result: T = end.value
                return result


class RestProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with a limit on how long one request may take to arrive, and with short calls
    begun at once."""

    read_timeout_s = 30.0
    respond: Callable[[dict[str, Any], Receive], Coroutine[Any, Any, Reply | None]]
    _timer: asyncio.TimerHandle | None = None
    _waiting = True
    _held: list[bytes] | None = None
    _last = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.read_timeout_s, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        while data:
            try:
                self.parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                if self.parser.get_method() == b"CONNECT":
                    self.send_400_response("Invalid HTTP request received.")
                    return
                data = self._without_upgrade() + data[upgrade.args[0] :]
            except httptools.HttpParserError:
                self.send_400_response("Invalid HTTP request received.")
                return
        # Most requests arrive in one piece, and then no timer is ever made for them.
        if self._waiting and self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(self.read_timeout_s, self._too_slow)

    def on_message_begin(self) -> None:
        self._waiting = True
        super().on_message_begin()

    def _without_upgrade(self) -> bytes:
        """The head of the request again without its wish for another protocol, and a fresh parser for it: one that
        has met such a wish reads no body. Java's HttpClient and `curl --http2` ask that way."""
        head = self.parser.get_method() + b" " + self.url + b" HTTP/1.1\r\n"
        for name, value in self.headers:
            if name == b"connection":
                value = b"close" if b"close" in value.lower() else b"keep-alive"
            if name not in (b"upgrade", b"http2-settings"):
                head += name + b": " + value + b"\r\n"
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return head + b"\r\n"

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        if self._is_short_call():
            self._held = []
        else:
            self._begin_usually()

    def on_body(self, body: bytes) -> None:
        if self._held is not None:
            self._held.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._waiting = False
        self._stop_timer()
        if self._held is None:
            super().on_message_complete()
        else:
            body, self._held = b"".join(self._held), None
            self._begin(body)

    def _is_short_call(self) -> bool:
        parser = self.parser
        if (
            not self.url.startswith(b"/v1/models/")
            or b"?" in self.url
            or parser.get_method() != b"POST"
            or parser.get_http_version() != "1.1"
            or not parser.should_keep_alive()
            or self.expect_100_continue
            or self.flow.write_paused
            or self._answering
        ):
            return False
        short = False
        for name, value in self.headers:
            if name == b"content-length":
                short = len(value) <= _SHORT_DIGITS
            elif name in _SPECIAL:
                return False
        return short

    def _begin(self, body: bytes) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["method"] = "POST"
        scope["raw_path"] = self.url
        started = Started(self.respond(scope, receive))
        if not started.done:
            scope[STARTED] = started
            self._begin_usually()
            super().on_message_complete()
        elif started.result is not None:
            self._write(started.result)

    def _begin_usually(self) -> None:
        """As a task of uvicorn's."""
        super().on_headers_complete()
        if self._last:
            self.cycle.keep_alive = False

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _write(self, reply: Reply) -> None:
        parts = [STATUS_LINE[reply.status]]
        for name, value in (*self.server_state.default_headers, *reply.headers):
            parts += (name, b": ", value, b"\r\n")
        close = reply.close or self._last
        parts += (b"connection: close\r\n\r\n" if close else b"\r\n", reply.body)
        self.transport.write(b"".join(parts))
        if close:
            self.transport.close()
        self.on_response_complete()

    def shutdown(self) -> None:
        """The server stops: the next answer is this connection's last, and it does not stay open without one."""
        self._last = True
        if self.cycle is not None:
            self.cycle.keep_alive = False
        self.loop.call_later(LINGER_S, self._close_idle)

    def _close_idle(self) -> None:
        if self._held is None and not self._answering and not self.transport.is_closing():
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            if not self._answering or not self.cycle.response_started:
                self.transport.write(_TIMEOUT)
            self.transport.close()
