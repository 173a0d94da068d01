"""`python -m serving.main`: reads flags, serves, prints one line when ready, stops in order on SIGTERM.

    viaduct-serving ready grpc=127.0.0.1:8500 rest=127.0.0.1:8501 in 4.2 s

Tests and tools start a server inside their process with `start(argv)`. What the server does is put together
in `serving.server`; with `--workers` above 1 this process is the supervisor of several (`serving.workers`), otherwise
it is the server. `--help` explains every flag.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.server import Server

# TensorFlow reads these when it is imported, which happens when the first model loads. With oneDNN its
# buffers keep the memory of closed models; its start-up remarks are of no use to those who run a server.
_ENVIRONMENT = {"TF_ENABLE_ONEDNN_OPTS": "0", "TF_CPP_MIN_LOG_LEVEL": "2"}

SWITCH_INTERVAL_S = 0.5e-3


def _new_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def _address(host: str, port: int | None) -> str:
    return "-" if port is None else f"{host}:{port}"


def _versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    lines = []
    for package in ("tfx-viaduct", "tensorflow", "tensorflow-serving-api", "grpcio"):
        try:
            lines.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            lines.append(f"{package} not installed")
    return "\n".join(lines)


class RunningServer:
    """A server in a thread of this process. `stop` returns when it has ended; also usable in `with`."""

    def __init__(self, server: Server, host: str) -> None:
        self._server = server
        self._host = host
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="model-server", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        loop = _new_loop()
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._server.run(self._ready.set))
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()
            loop.close()

    @property
    def grpc_address(self) -> str:
        return _address(self._host, self._server.grpc_port)

    @property
    def rest_address(self) -> str:
        return _address(self._host, self._server.rest_port)

    @property
    def server(self) -> Server:
        return self._server

    def wait_ready(self, timeout_s: float = 120.0) -> RunningServer:
        """Waits until every model has loaded or failed. Raises what ended the server, or TimeoutError."""
        if not self._ready.wait(timeout_s):
            raise TimeoutError(f"The server was not ready after {timeout_s:g} s")
        if self._error is not None:
            raise self._error
        return self

    def stop(self) -> None:
        self._server.stop()
        self._thread.join(timeout=60)

    def __enter__(self) -> RunningServer:
        return self.wait_ready()

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(argv: Sequence[str]) -> RunningServer:
    """A server inside this process, on its own thread. Raises UsageError; `wait_ready` raises what comes later."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from serving import flags as flag_module
    from serving.server import Server

    flags, notes = flag_module.parse(argv)
    if flags.workers > 1:
        raise flag_module.UsageError(
            f"--workers is {flags.workers}, but a server inside another process is one worker; run serving.main"
        )
    for note in notes:
        logging.getLogger(__name__).warning("%s", note)
    return RunningServer(Server(flags), flags.host)


async def _serve(server: Server) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)

    def ready() -> None:
        seconds = time.monotonic() - server.started
        print(
            f"viaduct-serving ready grpc={_address(server.host, server.grpc_port)} "
            f"rest={_address(server.host, server.rest_port)} in {seconds:.1f} s",
            flush=True,
        )

    await server.run(ready)


def prepare(name: str = "") -> None:
    """Makes this process one that serves; `name` stands before its log lines."""
    for variable, value in _ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s %(levelname).1s {name}%(name)s: %(message)s")
    for chatty in ("watchfiles", "tensorflow", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    from serving.engine import tf_runtime

    tf_runtime.serve_only()


def serve(server: Server, run: Callable[[Server], Coroutine[Any, Any, None]] = _serve) -> int:
    """Runs the server on a loop of this thread; the exit code."""
    from serving.flags import UsageError

    # A version that loads keeps Python busy; with the usual 5 ms every request would wait that long for its turn.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    loop = _new_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(run(server))
    except (UsageError, OSError) as error:
        print(f"viaduct-serving: {error}", file=sys.stderr)
        return 1
    finally:
        loop.close()
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 after an orderly stop, 2 for a wrong command line, 1 where the server cannot run."""
    argv = list(sys.argv[1:] if argv is None else argv)
    prepare()
    from serving import flags as flag_module
    from serving.flags import UsageError

    try:
        flags, notes = flag_module.parse(argv)
        if flags.version:
            print(_versions())
            return 0
        for note in notes:
            logging.warning("%s", note)
        if flags.workers > 1:
            from serving.workers import supervisor

            return supervisor.run(flags, argv)
        from serving.server import Server

        server = Server(flags)
    except UsageError as error:
        print(f"viaduct-serving: {error}", file=sys.stderr)
        return 2
    return serve(server)


if __name__ == "__main__":
    # TensorFlow's threads may outlive a drained server; nothing is left to flush or to finish.
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
