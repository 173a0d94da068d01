"""Calls what a run needs done, each call in a process of its own: a child of the warm fork server, or a fresh process.

A call has a name within its run; its log, progress and result are the files of that name in the run's folder.
Standard library only; when to call what is runner.py's and Airflow's business.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from pipelines.base import run_folder
from pipelines.base.errors import ViaductError
from pipelines.base.forkserver import client as forkserver
from pipelines.base.forkserver.client import Call, CallError, Request
from pipelines.base.paths import working_folder
from pipelines.base.run_folder import RunFolder

TERM_GRACE_S = 5.0
PROBE_BYTES = 1 << 16
FULL = (errno.ENOSPC, errno.EDQUOT)
# Contained before anything heavy is imported, while there is one thread: what a node starts ends with it.
PROGRAM = """
import json, sys
from pipelines.base.forkserver.containment import contain
call = json.loads(sys.argv[1])
def work():
    from pipelines.base import stack
    stack.light()
    from pipelines.base.forkserver.server import invoke
    return invoke(call["call"], call["kwargs"], call["result"])
contain(work, int(sys.argv[2]), lambda pid: None)
"""


class Started(Protocol):
    """A call under way. `cancel` may come from another thread; `wait` then raises CallError."""

    pid: int

    def wait(self) -> Any: ...

    def cancel(self) -> None: ...


class Caller:
    """Makes the calls of one run; safe to use from several threads.

    `start` says in which kind of process. After `cancel` no call begins any more, but the metadata can still be told.
    """

    def __init__(self, folder: RunFolder, start: Callable[[Request], Started]) -> None:
        self._folder, self._start = folder, start
        self._lock = threading.Lock()
        self._under_way: dict[str, Started] = {}
        self._cancelled = False

    def ready(self, say: Callable[[str], None]) -> None:
        """Sees to it that calls can begin; `say` is told if that takes a while."""
        if self._start is not warm:
            return
        told = False

        def waiting(seconds: float) -> None:
            nonlocal told
            if not told and seconds > 1:
                say("Warming up: importing TFX, TensorFlow and Beam once (10-20 s) ...")
                told = True

        forkserver.ensure(self._folder.paths.home, waiting)

    def call(self, name: str, function: str, kwargs: dict[str, Any], limit_s: float | None = None) -> Any:
        """The value of `package.module:function` called with `kwargs`. Blocks until it has ended.

        Raises CallError if it failed, was killed or cancelled, or took longer than `limit_s` seconds and was ended.
        """
        with self._lock:
            if self._cancelled:
                raise CallError("the run was cancelled", self._folder.log(name), 130)
            started = self._under_way[name] = self._start(self._request(name, function, kwargs))
        try:
            with _limited(started, limit_s) as over:
                return started.wait()
        except CallError as error:
            if over.is_set():
                cause = f"it took longer than {limit_s / 3600:g} h, the card's node_hours, and was ended"  # type: ignore[operator]
                raise CallError(cause, error.log, error.code) from None
            raise _with_full_disk(error, self._folder.path) from None
        except BaseException:
            started.cancel()
            raise
        finally:
            with self._lock:
                del self._under_way[name]

    def pid(self, name: str) -> int:
        """The process of the call under way that is called `name`, 0 if there is none."""
        with self._lock:
            return self._under_way[name].pid if name in self._under_way else 0

    def cancel(self) -> None:
        """Ends what is under way; the calls' threads see a CallError."""
        with self._lock:
            self._cancelled = True
            under_way = list(self._under_way.values())
        for started in under_way:
            started.cancel()

    def settle(self, reason: str, node: str = "") -> str:
        """Has ML Metadata say that what the run, or one node of it, had in hand failed; '' or why it could not be told.

        A process that was killed cannot say so itself, and the fork server may have ended with it: then a process of
        its own does, which costs a second.
        """
        paths = self._folder.paths
        kwargs = {
            "project": paths.project,
            "home": str(paths.home),
            "run_id": self._folder.run_id,
            "reason": reason,
            "node": node,
        }
        untold = ""
        # A fork server that was killed still takes a connection for some milliseconds: asking it is how to know.
        for start in (warm, process) if self._start is warm else (self._start,):
            try:
                start(
                    self._request(f"settle-{node or 'run'}", "pipelines.base.jobs:fail_active", kwargs)
                ).wait()
                return ""
            except (ViaductError, OSError) as error:
                untold = str(error)
        return untold

    def _request(self, name: str, function: str, kwargs: dict[str, Any]) -> Request:
        self._folder.make()
        folder = self._folder.path
        env = {
            **forkserver.environment(),
            "VIADUCT_PROGRESS": str(run_folder.progress_file(folder, name)),
            "VIADUCT_HOME": str(self._folder.paths.home),
        }
        result = run_folder.result_file(folder, name)
        # A result of an earlier attempt must not be taken for this one's.
        result.unlink(missing_ok=True)
        return Request(function, kwargs, run_folder.log_file(folder, name), result, env)


def warm(request: Request) -> Started:
    """A child of the fork server of the request's HOME."""
    return Call(forkserver.socket_path(Path(request.env["VIADUCT_HOME"])), request)


def process(request: Request) -> Started:
    """A fresh process, which pays the imports itself and needs no fork server."""
    return _Process(request)


class _Process:
    """A call in a process of its own, contained with all it starts; it ends with the thread that started it."""

    def __init__(self, request: Request) -> None:
        self._request = request
        call = {"call": request.call, "kwargs": request.kwargs, "result": str(request.result)}
        with request.log.open("ab") as log:
            self._process = subprocess.Popen(
                [forkserver.interpreter(), "-u", "-c", PROGRAM, json.dumps(call), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=request.env,
                cwd=working_folder(),
                start_new_session=True,
            )
        self.pid = self._process.pid

    def wait(self) -> Any:
        return forkserver.read_result(self._request, self._process.wait())

    def cancel(self) -> None:
        """SIGTERM for the process, which gives its worker a few seconds, then SIGKILL."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(TERM_GRACE_S + 3)
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


@contextlib.contextmanager
def _limited(started: Started, limit_s: float | None) -> Iterator[threading.Event]:
    """Cancels `started` when the time is over, and sets the event it gives."""
    over = threading.Event()

    def end() -> None:
        over.set()
        started.cancel()

    timer = None if limit_s is None else threading.Timer(min(limit_s, threading.TIMEOUT_MAX), end)
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield over
    finally:
        if timer is not None:
            timer.cancel()


def _with_full_disk(error: CallError, folder: Path) -> CallError:
    """The error with its likely cause in front where `folder` takes no more bytes: a full disk is told as that."""
    if not is_full(folder):
        return error
    return CallError(f"the disk of {folder} is full; make room and run again", error.log, error.code)


def is_full(folder: Path) -> bool:
    """Whether a small file in `folder` does not fit on the disk any more (or into the user's quota)."""
    probe = folder / f".probe.{os.getpid()}.{threading.get_ident()}"
    try:
        probe.write_bytes(b"x" * PROBE_BYTES)
    except OSError as error:
        return error.errno in FULL
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return False
