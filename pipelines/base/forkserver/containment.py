"""Ends a process together with all it started, in whatever session or process group that is.

`contain` splits a process in two: a worker that does the work, and its watcher, which adopts what the worker leaves
(the kernel's child subreaper), kills it when the worker has ended, and exits as the worker did. A watcher ends its
worker when it is told to, and at once when its own parent dies, by SIGKILL too. Linux only (prctl, /proc).

What escapes: processes that a service outside starts on request (systemd, docker), and a worker's orphans where the
watcher and its parent are both killed by SIGKILL at the same moment.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
TERM_GRACE_S = 5.0
ORPHANS_S = 10.0
# To a watcher: end everything now. The kernel sends it too when the watcher's parent has died.
END_NOW = signal.SIGUSR1
_WATCHED = (signal.SIGCHLD, signal.SIGTERM, END_NOW)
_AGES_S = 3600.0


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Asks the kernel to send this process `number` when its parent ends (Linux; elsewhere nothing happens)."""
    _prctl(PR_SET_PDEATHSIG, number)


def adopt_orphans() -> None:
    """Makes this process the parent of what its descendants leave when they end."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def contain(work: Callable[[], int], parent: int, tell: Callable[[int], None]) -> NoReturn:
    """Runs `work` in a forked worker, which exits with the code it returns; never returns.

    For a process that was just forked by `parent` and has one thread. `tell` is given the worker's pid. SIGTERM to
    the calling process becomes SIGTERM to the worker's group, and SIGKILL some seconds later; END_NOW kills at once.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    adopt_orphans()
    die_with_parent(END_NOW)
    if os.getppid() != parent:
        os._exit(1)
    watcher = os.getpid()
    worker = os.fork()
    if worker == 0:
        _work(work, watcher)
    _own_group(worker)
    tell(worker)
    status = _watch(worker)
    end_children()
    _exit_as(status)


def _work(work: Callable[[], int], watcher: int) -> NoReturn:
    code = 1
    try:
        die_with_parent()
        if os.getppid() == watcher:
            _own_group(0)
            for number in _WATCHED:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
            code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _own_group(pid: int) -> None:
    # Both do it, so that the group is there whoever comes first.
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)


def _watch(worker: int) -> int:
    """The worker's wait status, once it has ended by itself or been ended."""
    kill_at = float("inf")
    while True:
        status = _reap(worker)
        if status is not None:
            return status
        left = kill_at - time.monotonic()
        if left <= 0:
            send_group(worker, signal.SIGKILL)
            left = 1.0
        told = signal.sigtimedwait(_WATCHED, min(left, _AGES_S))
        if told is None or told.si_signo == signal.SIGCHLD:
            continue
        if told.si_signo == signal.SIGTERM:
            send_group(worker, signal.SIGTERM)
            kill_at = min(kill_at, time.monotonic() + TERM_GRACE_S)
        else:
            kill_at = 0.0


def _reap(worker: int) -> int | None:
    """Waits for what has ended; the worker's status if it is among it."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in (0, worker):
            return status if pid else None


def end_children(limit_s: float = ORPHANS_S) -> None:
    """Kills this process's children, and theirs as they come to it, until there are none (or `limit_s` is over)."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            for child in children_of(os.getpid()):
                send(child, signal.SIGKILL)
            time.sleep(0.01)


def children_of(parent: int) -> list[int]:
    """The processes whose parent is `parent`, zombies among them."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return [pid for pid in pids if _stat(pid)[1:2] == [str(parent)]]


def state_of(pid: int) -> str:
    """The kernel's letter for what `pid` does (R, S, D, T for stopped, Z for ended); '' if there is no such process."""
    return "".join(_stat(pid)[:1])


def _stat(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as status:
            return status.read().rpartition(")")[2].split()
    except OSError:
        return []


def send(pid: int, number: int) -> None:
    """Sends a signal; nothing happens if the process is gone or another's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def send_group(pid: int, number: int) -> None:
    """Sends a signal to the process group `pid`; nothing happens if it is gone or another's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _exit_as(status: int) -> NoReturn:
    """Ends this process with the code or by the signal that `status` tells, without a core file."""
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if number:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
    os._exit(128 + number if number else os.WEXITSTATUS(status))
