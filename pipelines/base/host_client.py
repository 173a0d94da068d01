"""Calls functions in a warm host (host.py), starting one when there is none.

Standard library only: the runner, Airflow's operator and the tests use it without importing TFX. `Call` is one
function call in a forked child; `direct` is the same call in a process of its own, without a host.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.base.host import short_path
from pipelines.base.paths import CHECKOUT
from pipelines.base.project import ProjectError

IDLE_VARIABLE = "VIADUCT_HOST_IDLE"
DEFAULT_IDLE_S = 300.0
START_TIMEOUT_S = 240.0


class CallError(ProjectError):
    """The called function failed or its process ended; `cause` is one line, `log` the file with the rest."""

    def __init__(self, cause: str, log: Path, code: int) -> None:
        super().__init__(cause)
        self.cause, self.log, self.code = cause, log, code


@dataclass(frozen=True)
class Request:
    """One call: an import path `package.module:function`, its keyword arguments, where log and result go."""

    call: str
    kwargs: dict[str, Any]
    log: Path
    result: Path
    env: dict[str, str]


def socket_path(home: Path) -> Path:
    """One host per home, checkout, interpreter, lock and host code: what changes gets a fresh host."""
    digest = hashlib.sha256(f"{sys.prefix}|{sys.version}|{CHECKOUT}".encode())
    for file in (CHECKOUT / "requirements.lock", Path(__file__).with_name("host.py")):
        digest.update(file.read_bytes() if file.exists() else b"")
    return home / "host" / f"{digest.hexdigest()[:12]}.sock"


def ensure(home: Path, waiting: Callable[[float], None] | None = None) -> Path:
    """The socket of a host that answers, started if need be; `waiting(seconds)` is called while it warms up.

    Raises ProjectError with the host's log if it cannot start.
    """
    path = socket_path(home)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProjectError(f"HOME {home} cannot be written: {error}. Set VIADUCT_HOME to another.") from error
    started = time.monotonic()
    process = None
    while time.monotonic() - started < START_TIMEOUT_S:
        connection = _connect(path)
        if connection is not None:
            connection.close()
            return path
        if process is None or (process.poll() is not None and not _locked(path)):
            if process is not None and process.returncode != 0:
                raise ProjectError(f"The warm host could not start; its log: {path.with_suffix('.log')}")
            process = _spawn(path)
        if waiting is not None:
            waiting(time.monotonic() - started)
        time.sleep(0.1)
    raise ProjectError(
        f"The warm host did not answer within {START_TIMEOUT_S:.0f} s; its log: {path.with_suffix('.log')}"
    )


def answers(path: Path) -> bool:
    """Whether a host listens at `path`."""
    connection = _connect(path)
    if connection is None:
        return False
    connection.close()
    return True


def _spawn(path: Path) -> subprocess.Popen[bytes]:
    idle = os.environ.get(IDLE_VARIABLE, str(DEFAULT_IDLE_S))
    command = [sys.executable, "-m", "pipelines.base.host", "--socket", str(path), "--idle", idle]
    env = {
        **os.environ,
        "PYTHONPATH": _python_path(),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_USE_LEGACY_KERAS": "1",
    }
    with open(path.with_suffix(".log"), "ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True
        )


def _python_path() -> str:
    return os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])])


def _locked(path: Path) -> bool:
    try:
        with open(path.with_suffix(".lock")) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _connect(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = None
    try:
        folder = os.open(path.parent, os.O_RDONLY)
        connection.connect(short_path(path, folder))
    except OSError:
        connection.close()
        return None
    finally:
        if folder is not None:
            os.close(folder)
    return connection


def stop(home: Path) -> bool:
    """Ends the host of `home`; False if there was none."""
    path = socket_path(home)
    if _connect(path) is None:
        return False
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(path.with_suffix(".lock").read_text()), 15)
    return True


class Call:
    """A running call. `wait()` returns its value; `cancel()` ends it; the child ends too if this process dies."""

    def __init__(self, path: Path, request: Request) -> None:
        connection = _connect(path)
        if connection is None:
            raise ProjectError(f"The warm host at {path} went away; run again.")
        self._connection, self._request = connection, request
        body = {
            "call": request.call,
            "kwargs": request.kwargs,
            "log": str(request.log),
            "result": str(request.result),
            "env": request.env,
            "cwd": os.getcwd(),
        }
        connection.sendall(json.dumps(body).encode() + b"\n")
        self._lines = connection.makefile("r", encoding="utf-8")
        first = self._lines.readline()
        self.pid = json.loads(first)["pid"] if first else 0

    def wait(self) -> Any:
        """Blocks until the call ended; raises CallError if it failed, was killed or its host died."""
        try:
            line = self._lines.readline()
        except OSError:
            line = ""
        code = json.loads(line)["exit"] if line else -9
        return read_result(self._request, code, host_died=not line)

    def cancel(self) -> None:
        """Ends the call: its process gets SIGTERM, then SIGKILL five seconds later. `wait()` then raises."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


def direct(request: Request) -> Any:
    """The same call in a fresh process without a host; it pays the imports itself. Raises CallError."""
    program = (
        "import json,sys; from pipelines.base import stack; "
        "from pipelines.base.host import invoke, die_with_parent; die_with_parent(); stack.light(); "
        "r=json.loads(sys.stdin.read()); sys.exit(invoke(r['call'], r['kwargs'], r['result']))"
    )
    body = json.dumps({"call": request.call, "kwargs": request.kwargs, "result": str(request.result)})
    with open(request.log, "ab") as log:
        done = subprocess.run(
            [sys.executable, "-c", program],
            input=body.encode(),
            stdout=log,
            stderr=log,
            env={**request.env, "PYTHONPATH": _python_path()},
            check=False,
        )
    return read_result(request, done.returncode)


def read_result(request: Request, code: int, *, host_died: bool = False) -> Any:
    """The value a finished call left in its result file, or CallError with its cause."""
    try:
        outcome = json.loads(request.result.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        outcome = {}
    if code == 0 and "value" in outcome:
        return outcome["value"]
    if "error" in outcome:
        raise CallError(outcome["error"], request.log, code)
    if host_died:
        raise CallError("the warm host ended, or the call was cancelled", request.log, code)
    how = (
        f"killed by signal {-code}" + (" (out of memory?)" if code == -9 else "")
        if code < 0
        else f"exit code {code}"
    )
    raise CallError(f"its process ended without a result: {how}", request.log, code)
