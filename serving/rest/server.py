"""Serves the REST application with uvicorn on the process's event loop: the listening socket, start and orderly stop.

What happens on a connection is in `serving.rest.connections`. Signals, TLS files and ports come from
`serving.server`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl

import uvicorn

from serving.rest.app import RestApi
from serving.rest.connections import RestProtocol

BACKLOG = 2048


class RestServer:
    """`start` serves on an open socket; `stop` lets running requests finish within a time."""

    def __init__(
        self,
        app: RestApi,
        listener: socket.socket,
        *,
        read_timeout_s: float = 30.0,
        idle_s: float = 50.0,
        tls: tuple[str, str, str | None, bool] | None = None,
    ) -> None:
        """`listener`: a bound socket; `start` listens on it. `idle_s`: how long a kept connection may be silent.

        `tls`: key file, certificate file, CA file for clients, whether clients must show a certificate."""
        members = {"read_timeout_s": read_timeout_s, "respond": staticmethod(app.respond)}
        protocol = type("Protocol", (RestProtocol,), members)
        key, cert, ca, verify = tls or (None, None, None, False)
        self._config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=idle_s,  # type: ignore[arg-type]  # it only goes to call_later
            ssl_keyfile=key,
            ssl_certfile=cert,
            ssl_ca_certs=ca,
            ssl_cert_reqs=ssl.CERT_REQUIRED if verify else ssl.CERT_NONE,
        )
        self._listener = listener
        self._server = uvicorn.Server(self._config)
        self._loop_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._listener.listen(BACKLOG)
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


def bind(
    host: str, port: int, api: str = "REST", flag: str = "--rest_api_port", *, shared: bool = False
) -> socket.socket:
    """A bound TCP socket that does not listen yet; `shared`: other processes may listen on the same port. Raises
    OSError that says what to do where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(
            f"Cannot listen for {api} on {host}:{port}: {error.strerror}. Choose another {flag}."
        ) from None
    listener.setblocking(False)
    return listener
