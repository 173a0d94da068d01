"""Serves the REST application with uvicorn on the process's event loop, and cuts off slow clients.

uvicorn waits for a request's bytes as long as a client likes; here each request has to be complete within a
time. Signals, TLS files and ports come from `serving.main`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_TIMEOUT = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: 52\r\n\r\n" + b'{\n    "error": "The request did not arrive in time"\n}'
)


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with a limit on how long one request may take to arrive."""

    read_timeout_s = 30.0
    _timer: asyncio.TimerHandle | None = None
    _waiting = True

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.read_timeout_s, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Most requests arrive in one piece, and then no timer is ever made for them.
        if self._waiting and self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(self.read_timeout_s, self._too_slow)

    def on_message_begin(self) -> None:
        self._waiting = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._waiting = False
        self._stop_timer()
        super().on_message_complete()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
                self.transport.write(_TIMEOUT)
            self.transport.close()


class RestServer:
    """`start` serves on an open socket; `stop` lets running requests finish within a time."""

    def __init__(
        self,
        app: Any,
        listener: socket.socket,
        *,
        read_timeout_s: float = 30.0,
        tls: tuple[str, str, str | None, bool] | None = None,
    ) -> None:
        """`tls`: key file, certificate file, CA file for clients, whether clients must show a certificate."""
        protocol = type("Protocol", (PatientProtocol,), {"read_timeout_s": read_timeout_s})
        key, cert, ca, verify = tls or (None, None, None, False)
        self._config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=2048,
            ssl_keyfile=key,
            ssl_certfile=cert,
            ssl_ca_certs=ca,
            ssl_cert_reqs=ssl.CERT_REQUIRED if verify else ssl.CERT_NONE,
        )
        self._listener = listener
        self._server = uvicorn.Server(self._config)
        self._loop_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._config.load()
        self._server.lifespan = self._config.lifespan_class(self._config)
        await self._server.startup(sockets=[self._listener])
        self._loop_task = asyncio.get_running_loop().create_task(self._server.main_loop())

    async def stop(self, drain_s: float) -> None:
        self._config.timeout_graceful_shutdown = max(1, int(drain_s))
        self._server.should_exit = True
        if self._loop_task is not None:
            await self._loop_task
        await self._server.shutdown(sockets=[self._listener])


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises OSError that says what to do where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise OSError(
            f"Cannot listen for REST on {host}:{port}: {error.strerror}. Choose another --rest_api_port."
        ) from None
    listener.setblocking(False)
    return listener
