"""Keeps webserver, scheduler and triggerer running: what systemd or a container's restart policy does elsewhere.

`python -m dags.supervisor FOLDER` with Airflow's environment. A service that ends is started again, after what it
left in its session has been ended, so that no orphan goes on beside its successor. SIGTERM ends everything.
Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

SERVICES = {
    "webserver": ["airflow", "webserver"],
    # Logs are read from the disk they are written to; nobody needs the log server that would listen on all addresses.
    "scheduler": [sys.executable, "-m", "dags.scheduler", "--skip-serve-logs"],
    "triggerer": ["airflow", "triggerer", "--skip-serve-logs"],
}
TERM_GRACE_S = 15.0
LONGEST_PAUSE_S = 20.0
POLL_S = 0.5


@dataclass
class _Service:
    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause_s: float = 1.0
    not_before: float = field(default=0.0)


def sessions_processes(session: int) -> list[int]:
    """Processes of a session, by the kernel's own table."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if int(fields[3]) == session and fields[0] != "Z":
                    found.append(int(entry.name))
    return found


def end_session(session: int, grace_s: float = TERM_GRACE_S) -> None:
    """SIGTERM to every process of the session, SIGKILL to what is left after `grace_s`."""
    for number, patience in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 2.0)):
        deadline = time.monotonic() + patience
        for pid in sessions_processes(session):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        while sessions_processes(session):
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        else:
            return


class Supervisor:
    """Owns the services' processes; single-threaded."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._services = [_Service(name, command) for name, command in SERVICES.items()]
        self._stopping = False

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: setattr(self, "_stopping", True))
        try:
            while not self._stopping:
                for service in self._services:
                    self._tend(service)
                time.sleep(POLL_S)
        finally:
            self._end_all()

    def _tend(self, service: _Service) -> None:
        now = time.monotonic()
        if service.process is not None:
            if service.process.poll() is None:
                return
            print(f"{service.name} ended with {service.process.returncode}; starting it again", flush=True)
            end_session(service.process.pid)
            lived = now - service.started
            service.pause_s = 1.0 if lived > 60 else min(LONGEST_PAUSE_S, service.pause_s * 2)
            service.process, service.not_before = None, time.monotonic() + service.pause_s
        if time.monotonic() >= service.not_before:
            self._start(service)

    def _start(self, service: _Service) -> None:
        (self._folder / f"airflow-{service.name}.pid").unlink(missing_ok=True)
        (self._folder / "airflow-webserver-monitor.pid").unlink(missing_ok=True)
        with (self._folder / f"{service.name}.log").open("ab") as log:
            service.process = subprocess.Popen(
                service.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        service.started = time.monotonic()
        pids = {s.name: s.process.pid for s in self._services if s.process is not None}
        aside = self._folder / ".services.json.tmp"
        aside.write_text(json.dumps(pids))
        os.replace(aside, self._folder / "services.json")

    def _end_all(self) -> None:
        running = [service.process for service in self._services if service.process is not None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in running:
            end_session(process.pid)
            process.wait()
        (self._folder / "services.json").unlink(missing_ok=True)


def end_leftovers(folder: Path) -> list[str]:
    """Ends services whose supervisor was killed; returns their names. A reused process number is left alone."""
    try:
        services = json.loads((folder / "services.json").read_text())
    except (OSError, ValueError):
        return []
    left = [name for name, pid in services.items() if any(_is_of(folder, p) for p in sessions_processes(pid))]
    for name in left:
        end_session(services[name])
    (folder / "services.json").unlink(missing_ok=True)
    return left


def _is_of(folder: Path, pid: int) -> bool:
    try:
        return f"AIRFLOW_HOME={folder}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes() + b"\0"
    except OSError:
        return False


def lock_of(folder: Path) -> Path:
    """The file whose lock says that a supervisor runs; it holds the supervisor's process number."""
    return folder / "supervisor.pid"


def running(folder: Path) -> int:
    """The process number of the supervisor of `folder`, 0 if there is none."""
    try:
        with lock_of(folder).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(lock_of(folder).read_text() or 0)
    except OSError:
        return 0
    return 0


def main(argv: list[str]) -> int:
    folder = Path(argv[0])
    lock = lock_of(folder).open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    end_leftovers(folder)
    Supervisor(folder).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
