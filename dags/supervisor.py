"""Keeps Airflow's services running: what systemd or a container's restart policy does elsewhere.

`python -m dags.supervisor FOLDER` with Airflow's environment. A service that ends is started again, after what it
left in its session has been ended, so that no orphan goes on beside its successor. So is one that lives and gives no
sign of life: a scheduler that lost its database can wait for its own workers for ever. SIGTERM ends everything.
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
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.base import whole

SERVICES = {
    "api-server": ["airflow", "api-server"],
    "dag-processor": ["airflow", "dag-processor"],
    # Logs are read from the disk they are written to; nobody needs the log server that would listen on all addresses.
    "scheduler": ["airflow", "scheduler", "--skip-serve-logs"],
    "triggerer": ["airflow", "triggerer", "--skip-serve-logs"],
}
# Services by the names that Airflow's health page has for them.
HEALTH_NAMES = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}
URL_VARIABLE = "AIRFLOW__API__BASE_URL"
HEALTH_EVERY_S = 10.0
START_S = 60.0
SILENCE_S = 20.0  # beyond the time after which Airflow itself calls a service unhealthy
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
    silent_since: float = field(default=0.0)


def sessions_processes(session: int) -> list[int]:
    """Processes of a session, by the kernel's own table."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if int(fields[3]) == session and fields[0] != "Z":
                    pids.append(int(entry.name))
    return pids


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
        self._asked = 0.0

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: setattr(self, "_stopping", True))
        try:
            while not self._stopping:
                for service in self._services:
                    self._tend(service)
                if time.monotonic() - self._asked > HEALTH_EVERY_S:
                    self._end_the_silent()
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
        with (self._folder / f"{service.name}.log").open("ab") as log:
            service.process = subprocess.Popen(
                service.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        service.started = time.monotonic()
        pids = {s.name: s.process.pid for s in self._services if s.process is not None}
        whole.write(self._folder / "services.json", json.dumps(pids))

    def _end_the_silent(self) -> None:
        """Ends services that Airflow has not heard of for too long; they are then started again."""
        told, self._asked = health(os.environ.get(URL_VARIABLE, "")), time.monotonic()
        for service in self._services:
            status = told.get(HEALTH_NAMES.get(service.name, ""), {}).get("status")
            now = time.monotonic()
            if status != "unhealthy" or service.process is None or now - service.started < START_S:
                service.silent_since = 0.0
                continue
            service.silent_since = service.silent_since or now
            if now - service.silent_since >= SILENCE_S:
                print(f"{service.name} gives no sign of life; ending it", flush=True)
                service.silent_since = 0.0
                end_session(service.process.pid)

    def _end_all(self) -> None:
        running = [service.process for service in self._services if service.process is not None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in running:
            end_session(process.pid)
            process.wait()
        (self._folder / "services.json").unlink(missing_ok=True)


def health(url: str) -> dict[str, Any]:
    """What Airflow's health page says; {} where there is none, or no answer (of an API server that starts)."""
    try:
        with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=5) as answer:
            return json.loads(answer.read())
    except (OSError, ValueError):
        return {}


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
