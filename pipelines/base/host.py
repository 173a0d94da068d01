"""A warm host: one process that has imported TFX, TensorFlow and Beam and forks a child for each call.

Importing the stack costs 12-18 CPU seconds; a fork costs milliseconds. The host runs no TensorFlow op, opens no
metadata and starts no thread, so its children start clean; none of our own project code is imported before the
fork, so an edited file is seen by the next child. It listens on a Unix socket that only its user can open
(permissions 0600), one connection per call, and ends after a time without calls.

Protocol, a JSON line each way: the request {call, kwargs, log, result, env, cwd}; the answers {"pid": n}, then
{"exit": code}. A caller that closes its connection ends its child. What the call returned or raised is in the
`result` file. The caller's side is host_client.py.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.base import stack

TERM_GRACE_S = 5.0
PR_SET_PDEATHSIG = 1


@dataclass
class _Call:
    connection: socket.socket
    received: bytes = b""
    pid: int = 0
    closed: bool = False
    kill_at: float = field(default=float("inf"))


def invoke(call: str, kwargs: dict[str, Any], result: str) -> int:
    """Runs `package.module:function` and writes {"value": ...} or {"error": ..., "trace": ...} to `result`.

    Returns the exit code: 0, 1 for an error, 130 when interrupted. Used by the host's children and, where
    there is no host, in a process of its own.
    """
    from pipelines.base.ir import describe

    outcome: dict[str, Any]
    code = 0
    try:
        module, _, function = call.partition(":")
        outcome = {"value": getattr(importlib.import_module(module), function)(**kwargs)}
    except KeyboardInterrupt:
        outcome, code = {"error": "interrupted"}, 130
    except BaseException as error:
        traceback.print_exc()
        outcome, code = {"error": describe(error), "kind": type(error).__name__}, 1
    aside = f"{result}.{os.getpid()}.tmp"
    Path(aside).write_text(json.dumps(outcome), encoding="utf-8")
    os.replace(aside, result)
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def die_with_parent() -> None:
    """Asks the kernel to kill this process when its parent ends (Linux; elsewhere nothing happens)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Host:
    """Serves calls on `path` until `idle_s` have passed without one. Single-threaded: forking stays safe."""

    def __init__(self, path: Path, idle_s: float) -> None:
        self._path, self._idle_s = path, idle_s
        self._selector = selectors.DefaultSelector()
        self._calls: list[_Call] = []
        self._last_busy = time.monotonic()
        self._stopping = False

    def serve(self) -> None:
        """Binds, then serves. The socket's file appears only when everything is imported."""
        listener = self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        mask = os.umask(0o177)
        bind_to(listener, self._path)
        os.umask(mask)
        listener.listen(64)
        listener.setblocking(False)
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "_stopping", True))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._selector.register(listener, selectors.EVENT_READ, "listen")
        self._selector.register(wake_read, selectors.EVENT_READ, "wake")
        try:
            while not self._done():
                for key, _ in self._selector.select(timeout=0.5):
                    self._handle(key, wake_read)
                self._reap()
                self._enforce_kills()
        finally:
            for call in self._calls:
                self._signal(call, signal.SIGKILL)
            self._path.unlink(missing_ok=True)

    def _done(self) -> bool:
        if self._calls:
            self._last_busy = time.monotonic()
        return self._stopping or time.monotonic() - self._last_busy > self._idle_s

    def _handle(self, key: selectors.SelectorKey, wake_read: int) -> None:
        if key.data == "listen":
            with contextlib.suppress(BlockingIOError):
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                call = _Call(connection)
                self._calls.append(call)
                self._selector.register(connection, selectors.EVENT_READ, call)
        elif key.data == "wake":
            with contextlib.suppress(BlockingIOError):
                os.read(wake_read, 4096)
        else:
            self._receive(key.data)

    def _receive(self, call: _Call) -> None:
        try:
            chunk = call.connection.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._caller_gone(call)
            return
        call.received += chunk
        if call.pid == 0 and b"\n" in call.received:
            self._start(call, json.loads(call.received.partition(b"\n")[0]))

    def _start(self, call: _Call, request: dict[str, Any]) -> None:
        pid = os.fork()
        if pid == 0:
            self._become_child(request)
        call.pid = pid
        self._answer(call, {"pid": pid})

    def _become_child(self, request: dict[str, Any]) -> None:
        """The child: own process group, own log, the caller's environment; never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.setpgid(0, 0)
            die_with_parent()
            self._selector.close()
            self._listener.close()
            for call in self._calls:
                call.connection.close()
            log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
            os.environ.clear()
            os.environ.update(request["env"])
            os.chdir(request["cwd"])
            _redirect_logging()
            code = invoke(request["call"], request["kwargs"], request["result"])
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _caller_gone(self, call: _Call) -> None:
        call.closed = True
        self._selector.unregister(call.connection)
        call.connection.close()
        if call.pid == 0:
            self._calls.remove(call)
        elif call.kill_at == float("inf"):
            self._signal(call, signal.SIGTERM)
            call.kill_at = time.monotonic() + TERM_GRACE_S

    def _enforce_kills(self) -> None:
        for call in self._calls:
            if time.monotonic() > call.kill_at:
                self._signal(call, signal.SIGKILL)

    def _signal(self, call: _Call, number: int) -> None:
        if call.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(call.pid, number)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for call in [c for c in self._calls if c.pid == pid]:
                # What the child started in its group ends with it.
                self._signal(call, signal.SIGKILL)
                self._answer(call, {"exit": os.waitstatus_to_exitcode(status)})
                if not call.closed:
                    self._selector.unregister(call.connection)
                    call.connection.close()
                self._calls.remove(call)

    def _answer(self, call: _Call, message: dict[str, Any]) -> None:
        if not call.closed:
            with contextlib.suppress(OSError):
                call.connection.sendall(json.dumps(message).encode() + b"\n")


def _redirect_logging() -> None:
    """absl keeps the stream it found when it was imported; point it at the child's log."""
    import logging

    from absl import logging as absl_logging

    absl_logging.use_absl_handler()
    absl_logging.get_absl_handler().python_handler.stream = sys.stderr
    absl_logging.set_verbosity(absl_logging.INFO)
    logging.getLogger().setLevel(logging.INFO)


def bind_to(listener: socket.socket, path: Path) -> None:
    """Binds by a path of any length: the kernel's limit is 108 bytes, /proc/self/fd keeps below it."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        listener.bind(short_path(path, folder))
    finally:
        os.close(folder)


def short_path(path: Path, folder: int) -> str:
    """`path` itself, or by way of the open folder `folder` where it is too long for a socket address."""
    return str(path) if len(os.fsencode(path)) < 100 else f"/proc/self/fd/{folder}/{path.name}"


def main(argv: list[str] | None = None) -> int:
    """Starts a host unless one holds the lock already (exit code 0 then as well)."""
    parser = argparse.ArgumentParser(description="Warm host for pipeline nodes; started on demand.")
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--idle", type=float, required=True, help="seconds without calls after which it ends")
    arguments = parser.parse_args(argv)
    lock = open(arguments.socket.with_suffix(".lock"), "w")  # noqa: SIM115
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    lock.write(str(os.getpid()))
    lock.flush()
    stack.import_all()
    gc.collect()
    gc.freeze()
    Host(arguments.socket, arguments.idle).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
