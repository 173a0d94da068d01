"""ML Metadata's store in a process of its own, because its library holds Python still while it waits for a lock.

Within this process a locked database (or a server that does not answer) would stop every page and Ctrl-C for a
minute. A call that takes too long ends the other process instead; the next call starts a new one. It ends with this
process, however that ends, because its end of the pipe closes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dashboards.readers.files import Missing

ATTEMPTS = 4
# How long the process may take to import ML Metadata, which no lock holds up.
START_S = 60.0
ROOT = Path(__file__).parents[2]
PROGRAM = "import sys; from dashboards.readers.store import serve; serve(int(sys.argv[1]))"


class Late(Exception):
    """The store did not answer in time."""


class StoreProcess:
    """Calls methods of a MetadataStore. Thread-safe, one call at a time; the process starts with the first call."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection[Any, Any] | None = None

    def call(self, limit_s: float, method: str, *given: Any) -> Any:
        """What the method returns. Raises Missing for an error of the store, Late after `limit_s` seconds."""
        if not self._lock.acquire(timeout=limit_s):
            raise Late
        try:
            return self._answer(limit_s, method, given)
        finally:
            self._lock.release()

    def _answer(self, limit_s: float, method: str, given: tuple[Any, ...]) -> Any:
        for again in (True, False):
            try:
                pipe = self._pipe or self._start()
                pipe.send((method, given))
                if not pipe.poll(limit_s):
                    self.end()
                    raise Late
                fine, answer = pipe.recv()
            except (EOFError, OSError) as error:
                # It was ended from outside since the last call: once more, with a new one.
                self.end()
                if not again:
                    raise Missing(f"ML Metadata's process ended: {error}") from error
                continue
            if not fine:
                raise Missing(answer)
            return answer
        raise AssertionError("unreachable")

    def _start(self) -> Connection[Any, Any]:
        ours, theirs = Pipe()
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        theirs.close()
        ours.poll(START_S)
        ours.recv()
        # Through the pipe, since an address may hold a password, which everyone could read in a list of processes.
        ours.send(self._url)
        self._pipe = ours
        return ours

    def end(self) -> None:
        """Ends the process, if there is one."""
        if self._process is not None and self._pipe is not None:
            self._pipe.close()
            self._process.kill()
            self._process.wait()
        self._process = self._pipe = None

    def __del__(self) -> None:
        self.end()


def serve(descriptor: int) -> None:
    """The other process: answers until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe: Connection[Any, Any] = Connection(descriptor)
    import ml_metadata  # noqa: F401

    pipe.send("ready")
    store = _Opened(pipe.recv())
    while True:
        try:
            method, given = pipe.recv()
        except EOFError:
            return
        try:
            answer = (True, store.call(method, given))
        except Missing as missing:
            answer = (False, str(missing))
        try:
            pipe.send(answer)
        except OSError:
            return


class _Opened:
    """A store that is opened when it is first asked, and again where it was lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._store: Any = None

    def call(self, method: str, given: tuple[Any, ...]) -> Any:
        """Waits a little where a writer holds the database. Raises Missing."""
        from ml_metadata import errors

        from pipelines.base.errors import ProjectError

        for attempt in range(ATTEMPTS):
            try:
                if self._store is None:
                    self._store = self._open()
                return getattr(self._store, method)(*given)
            except (errors.StatusError, RuntimeError, ProjectError) as error:
                self._store = None
                if attempt == ATTEMPTS - 1:
                    raise Missing(f"ML Metadata cannot be read: {self._cause(error)}"[:500]) from error
                time.sleep(0.05 * 2**attempt)
        raise AssertionError("unreachable")

    def _cause(self, error: Exception) -> str:
        """What is told of the store's `error`: a server's refusal, which it leaves out, or its own words."""
        from pipelines.base import metadata
        from pipelines.base.errors import ProjectError

        if isinstance(error, ProjectError):
            return str(error)
        if metadata.is_trouble(error):
            return metadata.explain(self._url, error)
        return f"{type(error).__name__}: {error}"

    def _open(self) -> Any:
        from ml_metadata import MetadataStore
        from ml_metadata.proto import metadata_store_pb2

        from pipelines.base.metadata import connection_config

        config = connection_config(self._url)
        if config.HasField("sqlite"):
            if not Path(config.sqlite.filename_uri).exists():
                raise Missing("There is no ML Metadata database yet; the first run makes it.")
            config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
        return MetadataStore(config)
