"""Calls functions in a warm host (server.py), starting one when there is none.

Standard library only: the runner, Airflow's operator and the tests use it without importing TFX. `Call` is one
function call in a forked child. Nothing here waits for ever for a host that does not answer: see connection.py.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.base import home as home_folder
from pipelines.base.errors import ViaductError
from pipelines.base.forkserver.connection import STOPPED_S, Connection, HostError, check_running, owner_of
from pipelines.base.forkserver.containment import send, state_of
from pipelines.base.paths import CHECKOUT, INSTALLED, lock, python_path, workspace
from pipelines.base.whole import process_started

IDLE_VARIABLE = "VIADUCT_HOST_IDLE"
PYTHON_VARIABLE = "VIADUCT_TFX_PYTHON"
DEFAULT_IDLE_S = 300.0
START_TIMEOUT_S = 240.0
STOP_S = 15.0


class CallError(ViaductError):
    """The called function failed or its process ended; `cause` is one line, `log` the file with the rest.

    `refused` says that the project, its data or what was asked of it is wrong: another attempt would end as this one.
    """

    def __init__(self, cause: str, log: Path, code: int, *, refused: bool = False) -> None:
        super().__init__(cause)
        self.cause, self.log, self.code, self.refused = cause, log, code, refused


@dataclass(frozen=True)
class Request:
    """One call: an import path `package.module:function`, its keyword arguments, where log and result go."""

    call: str
    kwargs: dict[str, Any]
    log: Path
    result: Path
    env: dict[str, str]


def interpreter() -> str:
    """The Python that has TFX: VIADUCT_TFX_PYTHON where another one asks (a task of Airflow does), else this one."""
    return os.environ.get(PYTHON_VARIABLE) or sys.executable


def environment() -> dict[str, str]:
    """What a process with TFX finds in its environment: this one's, without what is about the caller's own Python.

    A scheduler's secrets (AIRFLOW*, the password of its database among them) are no business of a project's code.
    """
    kept = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith("AIRFLOW")}
    if interpreter() != sys.executable:
        own = str(Path(sys.executable).parent)
        rest = [part for part in kept.get("PATH", os.defpath).split(os.pathsep) if part != own]
        kept["PATH"] = os.pathsep.join([str(Path(interpreter()).parent), *rest])
        kept.pop("VIRTUAL_ENV", None)
    return {**kept, "PYTHONPATH": python_path(), "TF_USE_LEGACY_KERAS": "1"}


def socket_path(home: Path) -> Path:
    """One host per home, checkout, workspace, interpreter, lock and fork server code: what changes gets a fresh host.

    Every interpreter names the same one: nothing here is asked of the Python that computes it.
    """
    python = Path(interpreter())
    # Installed, each interpreter has its own copy of our code.
    code = "" if INSTALLED else str(CHECKOUT)
    own = "" if workspace() in (None, CHECKOUT) else f"|{workspace()}"
    digest = hashlib.sha256(f"{python.parent.resolve()}|{python.resolve()}|{code}{own}".encode())
    here = Path(__file__).parent
    for file in (lock(), here / "server.py", here / "containment.py"):
        digest.update(file.read_bytes() if file.exists() else b"")
    return home / "host" / f"{digest.hexdigest()[:12]}.sock"


# Hosts that `beginning` has started and nobody has asked for yet.
_begun: dict[Path, subprocess.Popen[bytes]] = {}


@contextlib.contextmanager
def beginning(home: Path) -> Iterator[None]:
    """Where no host runs, lets one warm up beside what the block does before it calls `ensure`.

    One that is still warming up when the block is left without that is ended. Raises as `ensure` does.
    """
    path = socket_path(home)
    home_folder.make(home, path.parent)
    if not owner_of(path):
        _begun[path] = _spawn(path)
    try:
        yield
    finally:
        process = _begun.pop(path, None)
        if process is not None and not answers(path):
            _end(process)


def ensure(home: Path, waiting: Callable[[float], None] | None = None) -> Path:
    """The socket of a host that answers, started if need be; `waiting(seconds)` is called while it warms up.

    Raises HostError, with the host's log, if it cannot start, and if it is stopped or does not answer; ViaductError
    if `home` cannot be written.
    """
    path = socket_path(home)
    home_folder.make(home, path.parent)
    spawned = [_begun.pop(path)] if path in _begun else []
    try:
        return _answering(path, spawned, waiting)
    except KeyboardInterrupt:
        # Who does not want to wait does not want it to go on warming up either.
        for process in spawned:
            _end(process)
        raise


def _answering(
    path: Path, spawned: list[subprocess.Popen[bytes]], waiting: Callable[[float], None] | None
) -> Path:
    """`path`, when a host answers there; what is started for it is added to `spawned`."""
    started = time.monotonic()
    while time.monotonic() - started < START_TIMEOUT_S:
        if _ping(path):
            return path
        owner = owner_of(path)
        check_running(owner)
        process = spawned[-1] if spawned else None
        if process is None or (process.poll() is not None and not owner):
            if process is not None and process.returncode != 0:
                raise HostError(f"The warm host could not start; its log: {path.with_suffix('.log')}")
            spawned.append(_spawn(path))
        if waiting is not None:
            waiting(time.monotonic() - started)
        time.sleep(0.1)
    raise HostError(
        f"The warm host did not answer within {START_TIMEOUT_S:.0f} s; its log: {path.with_suffix('.log')}"
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answers(path: Path) -> bool:
    """Whether a host listens at `path` and answers."""
    try:
        return _ping(path)
    except HostError:
        return False


def _ping(path: Path) -> bool:
    connection = Connection.to(path)
    if connection is None:
        return False
    try:
        connection.send({"ping": True})
        return connection.receive() is not None
    finally:
        connection.close()


def _spawn(path: Path) -> subprocess.Popen[bytes]:
    idle = os.environ.get(IDLE_VARIABLE) or str(DEFAULT_IDLE_S)
    if not _positive(idle):
        raise ViaductError(f"{IDLE_VARIABLE} is {idle!r}; expected a positive number of seconds.")
    server = "pipelines.base.forkserver.server"
    command = [interpreter(), "-m", server, "--socket", str(path), "--idle", idle]
    env = {**environment(), "TF_CPP_MIN_LOG_LEVEL": "2"}
    try:
        with open(path.with_suffix(".log"), "ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True
            )
    except OSError as error:
        raise HostError(f"The warm host could not be started: {error}") from error


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False


def stop(home: Path) -> bool:
    """Ends the host of `home` and its calls, and waits until it is gone; False if there was none.

    A host that is warming up, stopped or hangs is ended too. Raises HostError if it does not end.
    """
    pid = owner_of(socket_path(home))
    started = process_started(pid)
    if not pid or not started:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        send(pid, number)
        send(pid, signal.SIGCONT)
        end = time.monotonic() + STOP_S
        while time.monotonic() < end:
            # One that this process started stays as a zombie until somebody asks how it ended.
            if process_started(pid) != started or state_of(pid) == "Z":
                return True
            time.sleep(0.02)
    raise HostError(f"The warm host (process {pid}) does not end.")


class Call:
    """A running call. `wait()` returns its value; `cancel()` ends it; it ends too if this process dies.

    `pid` is the process that works. Raises HostError if the host is gone, refuses the call or does not answer.
    """

    def __init__(self, path: Path, request: Request) -> None:
        connection = Connection.to(path)
        if connection is None:
            raise HostError(f"The warm host at {path} went away; run again.")
        self._connection, self._request = connection, request
        body = {
            "call": request.call,
            "kwargs": request.kwargs,
            "log": str(request.log),
            "result": str(request.result),
            "env": request.env,
            "cwd": os.getcwd(),
        }
        try:
            connection.send(body)
            answer = connection.receive()
            if answer is None or "error" in answer:
                why = (
                    f"refused the call: {answer['error']}"
                    if answer
                    else "ended before the call began; run again"
                )
                raise HostError(f"The warm host at {path} {why}.")
        except BaseException:
            connection.close()
            raise
        self.pid: int = answer["pid"]
        self._watcher: int = answer["watcher"]
        self._started = process_started(self._watcher)

    def wait(self) -> Any:
        """Blocks until the call ended; raises CallError if it failed, was killed or its host died or is stopped."""
        try:
            answer = self._connection.receive(None, STOPPED_S)
        except HostError as error:
            self.cancel()
            raise CallError(str(error), self._request.log, -signal.SIGTERM) from None
        if answer is None:
            return read_result(self._request, -9, host_died=True)
        return read_result(self._request, answer["exit"])

    def cancel(self) -> None:
        """Ends the call: its process gets SIGTERM, then SIGKILL five seconds later. `wait()` then raises."""
        self._connection.hang_up()
        # A stopped host sees nothing of it.
        if state_of(self._connection.host) == "T" and process_started(self._watcher) == self._started:
            send(self._watcher, signal.SIGTERM)


def read_result(request: Request, code: int, *, host_died: bool = False) -> Any:
    """The value a finished call left in its result file, or CallError with its cause."""
    try:
        outcome = json.loads(request.result.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        outcome = {}
    if code == 0 and "value" in outcome:
        return outcome["value"]
    if "error" in outcome:
        raise CallError(outcome["error"], request.log, code, refused=outcome.get("refused", False))
    if host_died:
        raise CallError("the warm host ended, or the call was cancelled", request.log, code)
    how = (
        f"killed by signal {-code}" + (" (out of memory?)" if code == -9 else "")
        if code < 0
        else f"exit code {code}"
    )
    raise CallError(f"its process ended without a result: {how}", request.log, code)
