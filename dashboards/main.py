"""`viaduct dashboard`: the web app on loopback. Flags, port and the line that says where it is; pages are app.py's."""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from dashboards.security import LOOPBACK
from pipelines.base.errors import ViaductError
from pipelines.base.paths import default_home

PORT = 8080
DEFAULT_SERVERS = ("http://127.0.0.1:8501",)


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until interrupted; returns the exit code. Raises ViaductError if the address or HOME cannot be had."""
    options = _parser().parse_args(argv)
    import uvicorn

    from dashboards.app import create_app
    from dashboards.pages.site import readable_home

    if options.host not in LOOPBACK and not options.allow_host:
        raise ViaductError(
            f"--host is {options.host!r}: whoever reaches that address could read every run. Keep 127.0.0.1 and "
            "put a proxy with accounts before it, naming its host with --allow-host."
        )
    home = readable_home(options.home)
    listener = _listen(options.host, options.port)
    port = listener.getsockname()[1]
    shown = f"[{options.host}]" if ":" in options.host else options.host
    print(f"Dashboard on http://{shown}:{port}/ for {home} (Ctrl-C ends it)", flush=True)
    app = create_app(home, options.server or DEFAULT_SERVERS, options.allow_host)
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, lifespan="on")
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="viaduct dashboard",
        description="Browse runs, data, models, lineage and serving; read-only, offline.",
    )
    parser.add_argument("--home", type=Path, default=default_home(), help="HOME (VIADUCT_HOME, %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=PORT, help=f"port; 0 takes a free one ({PORT})")
    parser.add_argument(
        "--server", action="append", default=[], metavar="URL",
        help=f"REST address of a model server, repeatable ({DEFAULT_SERVERS[0]})",
    )  # fmt: skip
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="further Host name to answer, repeatable",
    )
    return parser


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # From here on a connection waits instead of being refused: the printed address is good at once.
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ViaductError(
            f"Cannot listen on {host}:{port}: {error.strerror}. Choose another --port."
        ) from error
    return listener


if __name__ == "__main__":
    sys.exit(main())
