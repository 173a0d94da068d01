"""A warm host: one process that has imported TFX, TensorFlow and Beam and forks a child for each call.

Importing the stack costs 12-18 CPU seconds; a fork costs milliseconds. The host runs no TensorFlow op, opens no
metadata and starts no thread, so its children start clean; none of our own project code is imported before the
fork, so an edited file is seen by the next child. It listens on a Unix socket that only its user can open
(permissions 0600), one connection per call, and ends after a time without calls.

Protocol, a JSON line each way: the request {call, kwargs, log, result, env, cwd}; the answers {"pid": n, "watcher": n},
then {"exit": code}; or {"error": text} to a request that is none, one that does not come in time or is too long. The
request {"ping": true} is answered {"pong": pid}. A caller that closes its connection ends its call. What the call
returned or raised is in the `result` file. Each call is a worker and its watcher (containment.py), so that what a node
started ends with it. The caller's side is client.py.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import gc
import importlib
import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from pipelines.base import leftovers, stack, whole
from pipelines.base.forkserver import containment

REQUEST_LIMIT = 8 << 20
REQUEST_TIME_S = 10.0
REQUEST_KEYS: dict[str, type] = {
    "call": str,
    "kwargs": dict,
    "log": str,
    "result": str,
    "env": dict,
    "cwd": str,
}
WAITING_LIMIT = 100
END_S = 10.0


@dataclass
class _Call:
    """A connection; when its request has come, `watcher` is the process that watches over the call."""

    connection: socket.socket
    received: bytearray = field(default_factory=bytearray)
    since: float = field(default_factory=time.monotonic)
    watcher: int = 0
    closed: bool = False

    def signal(self, number: int) -> None:
        if self.watcher:
            containment.send(self.watcher, number)


def invoke(call: str, kwargs: dict[str, Any], result: str) -> int:
    """Runs `package.module:function` and writes {"value": ...} or {"error", "kind", "refused"} to `result`.

    Returns the exit code: 0, 1 for an error, 130 when interrupted. Used by the host's children and, where
    there is no host, in a process of its own.
    """
    from pipelines.base.ir import describe, is_refusal

    outcome: dict[str, Any]
    code = 0
    try:
        module, _, function = call.partition(":")
        with leftovers.temporary_folder():
            outcome = {"value": getattr(importlib.import_module(module), function)(**kwargs)}
    except KeyboardInterrupt:
        outcome, code = {"error": "interrupted"}, 130
    except BaseException as error:
        traceback.print_exc()
        outcome = {"error": describe(error), "kind": type(error).__name__, "refused": is_refusal(error)}
        code = 1
    whole.write(Path(result), json.dumps(outcome))
    sys.stdout.flush()
    sys.stderr.flush()
    return code


class Host:
    """Serves calls on `path` until `idle_s` have passed without one. Single-threaded: forking stays safe.

    `lock` is the open file that says that this is the only host of `path`; no child may keep it.
    """

    def __init__(self, path: Path, idle_s: float, lock: int | None = None) -> None:
        self._path, self._idle_s, self._lock = path, idle_s, lock
        self._selector = selectors.DefaultSelector()
        self._calls: list[_Call] = []
        self._last_busy = time.monotonic()
        self._stopping = False
        # The calls need file descriptors as well.
        self._waiting_limit = min(WAITING_LIMIT, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)

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
        self._wake, self._waking = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._waking, False)
        signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "_stopping", True))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        containment.adopt_orphans()
        self._selector.register(listener, selectors.EVENT_READ, "listen")
        self._selector.register(self._wake, selectors.EVENT_READ, "wake")
        try:
            while not self._done():
                for key, _ in self._selector.select(timeout=0.5):
                    self._handle(key)
                self._reap()
                self._refuse_the_silent()
        finally:
            self._end()

    def _done(self) -> bool:
        if self._calls:
            self._last_busy = time.monotonic()
        return self._stopping or time.monotonic() - self._last_busy > self._idle_s

    def _end(self) -> None:
        """Ends the calls and waits for them, so that who waits for the host's end has waited for theirs."""
        self._stopping = True
        self._path.unlink(missing_ok=True)
        self._listener.close()
        for call in self._calls:
            call.signal(containment.END_NOW)
        end = time.monotonic() + END_S
        while any(call.watcher for call in self._calls) and time.monotonic() < end:
            self._reap()
            time.sleep(0.01)
        containment.end_children(0.1)

    def _handle(self, key: selectors.SelectorKey) -> None:
        if key.data == "listen":
            self._accept()
        elif key.data == "wake":
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)
        else:
            self._receive(key.data)

    def _accept(self) -> None:
        waiting = [call for call in self._calls if not call.watcher]
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            # No file descriptor is left: those who hold one and ask nothing make room, or those who wait wait on.
            if waiting:
                self._refuse(waiting[0], str(error))
            else:
                time.sleep(0.05)
            return
        connection.setblocking(False)
        call = _Call(connection)
        self._calls.append(call)
        self._selector.register(connection, selectors.EVENT_READ, call)
        self._last_busy = time.monotonic()
        if len(waiting) >= self._waiting_limit:
            self._refuse(waiting[0], f"more than {self._waiting_limit} connections ask for nothing")

    def _receive(self, call: _Call) -> None:
        if call.closed:
            return
        try:
            chunk = call.connection.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._close(call)
            call.signal(signal.SIGTERM)
            return
        if call.watcher:
            return
        part, newline, _ = chunk.partition(b"\n")
        call.received += part
        if len(call.received) > REQUEST_LIMIT:
            self._refuse(call, f"the request is longer than {REQUEST_LIMIT:,} bytes")
        elif newline:
            line, call.received = bytes(call.received), bytearray()
            self._answer_request(call, line)

    def _answer_request(self, call: _Call, line: bytes) -> None:
        try:
            request = read_request(line)
            if request is None:
                self._say(call, {"pong": os.getpid()})
                self._close(call)
            else:
                self._start(call, request)
        except (ValueError, OSError) as error:
            self._refuse(call, str(error))

    def _start(self, call: _Call, request: dict[str, Any]) -> None:
        """Forks the call's two processes. Raises OSError where the machine has no room for them."""
        read, write = os.pipe()
        host = os.getpid()
        try:
            call.watcher = os.fork()
            if call.watcher == 0:
                os.close(read)
                self._become_child(request, host, write)
        except OSError:
            os.close(read)
            raise
        finally:
            os.close(write)
        with open(read, "rb", buffering=0) as told:
            worker = int(told.read(20) or 0)
        self._say(call, {"pid": worker, "watcher": call.watcher})

    def _become_child(self, request: dict[str, Any], host: int, write: int) -> NoReturn:
        """The call's watcher and worker, which have nothing of the host's open; never returns."""
        try:
            signal.set_wakeup_fd(-1)
            self._selector.close()
            self._listener.close()
            os.close(self._wake)
            os.close(self._waking)
            for call in self._calls:
                call.connection.close()
            if self._lock is not None:
                os.close(self._lock)
            containment.contain(
                lambda: _called(request, write), host, lambda worker: _tell(write, str(worker).encode())
            )
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def _refuse_the_silent(self) -> None:
        now = time.monotonic()
        for call in [c for c in self._calls if not c.watcher and now - c.since > REQUEST_TIME_S]:
            self._refuse(call, f"no whole request came within {REQUEST_TIME_S:.0f} s")

    def _refuse(self, call: _Call, why: str) -> None:
        self._say(call, {"error": why})
        self._close(call)

    def _close(self, call: _Call) -> None:
        """Closes the connection; a call that runs is kept until its processes have ended."""
        if not call.closed:
            call.closed = True
            self._selector.unregister(call.connection)
            call.connection.close()
        if not call.watcher and call in self._calls:
            self._calls.remove(call)

    def _reap(self) -> None:
        """Answers the calls whose processes have ended."""
        ended = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            ended = True
            for call in [c for c in self._calls if c.watcher == pid]:
                call.watcher = 0
                if not self._stopping:
                    self._say(call, {"exit": os.waitstatus_to_exitcode(status)})
                self._close(call)
        if ended:
            # Whatever has become a child of the host's has lost its watcher.
            watchers = {call.watcher for call in self._calls}
            for orphan in set(containment.children_of(os.getpid())) - watchers:
                containment.send(orphan, signal.SIGKILL)

    def _say(self, call: _Call, message: dict[str, Any]) -> None:
        if not call.closed:
            with contextlib.suppress(OSError):
                call.connection.sendall(json.dumps(message).encode() + b"\n")


def read_request(line: bytes) -> dict[str, Any] | None:
    """The call that a line asks for, None for a ping. Raises ValueError that says what is wrong with it."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the request is no JSON: {error}") from None
    if request == {"ping": True}:
        return None
    if not isinstance(request, dict):
        raise ValueError(f"the request is {type(request).__name__}, expected an object")
    for key, kind in REQUEST_KEYS.items():
        if not isinstance(request.get(key), kind):
            got = repr(request[key])[:80] if key in request else "nothing"
            raise ValueError(f"the request's {key!r} is {got}, expected {kind.__name__}")
    if not all(isinstance(value, str) for value in request["env"].values()):
        raise ValueError("the request's 'env' holds values that are no texts")
    return request


def _called(request: dict[str, Any], write: int) -> int:
    """The worker: own log, the caller's environment and folder, then the call; returns the exit code."""
    _tell(write)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    _redirect_logging()
    return invoke(request["call"], request["kwargs"], request["result"])


def _tell(handle: int, text: bytes = b"") -> None:
    with contextlib.suppress(OSError):
        if text:
            os.write(handle, text)
        os.close(handle)


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
    # Not opened with "w": who comes second must not empty what the holder wrote.
    lock = os.open(arguments.socket.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    stack.import_all()
    gc.collect()
    gc.freeze()
    Host(arguments.socket, arguments.idle, lock).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
