"""Beam's portable job service and two worker pools as processes of their own, as deploy/README.md starts them.

For the tests of named runners: starts, ends and kills them, and says which arguments name them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pipelines.base.paths import CHECKOUT

START_S, WORKER_START_S = 300.0, 90


class Services:
    """A job service, two pools and their front, with logs in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = dict(zip(("jobs", "front", "pool-1", "pool-2"), _free_ports(4), strict=True))

    def start(self) -> None:
        """Starts what does not run, and waits until each listens."""
        folder = CHECKOUT / "deploy" / "beam"
        pool = ["-m", "apache_beam.runners.worker.worker_pool_main"]
        commands = {
            "jobs": [
                str(folder / "job_service.py"),
                f"--port={self.ports['jobs']}",
                f"--worker_start_s={WORKER_START_S}",
            ],
            "pool-1": [*pool, f"--service_port={self.ports['pool-1']}"],
            "pool-2": [*pool, f"--service_port={self.ports['pool-2']}"],
            "front": [
                str(folder / "worker_front.py"),
                f"--port={self.ports['front']}",
                *(f"localhost:{self.ports[name]}" for name in ("pool-1", "pool-2")),
            ],
        }
        for name, command in commands.items():
            if name not in self._processes:
                self._processes[name] = self._spawn(name, command)
        for name in commands:
            self._wait_for(name)

    def arguments(self) -> list[str]:
        """Beam arguments that name the job service, with two workers."""
        return [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{self.ports['jobs']}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{self.ports['front']}",
            "--direct_num_workers=2",
            # How long the job service may be busy before it is taken for dead; its default is a minute.
            "--job_server_timeout=3600",
        ]

    def kill(self, name: str) -> None:
        """SIGKILL to a process and all it started."""
        process = self._processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def stop(self) -> None:
        for name in list(self._processes):
            self.kill(name)

    def _spawn(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        environment = {
            **os.environ,
            "PATH": path,  # a pool starts `python`
            # The tests' own steps too: `tests` is also the name of a package that some library installs.
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(Path(__file__).parent)]),
            "TF_USE_LEGACY_KERAS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        with open(self._folder / f"{name}.log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=CHECKOUT,
                start_new_session=True,
            )

    def _wait_for(self, name: str) -> None:
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("localhost", self.ports[name]), 1):
                return
            if self._processes[name].poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"{name} did not start:\n{self.log(name)[-2000:]}")


@contextlib.contextmanager
def services(folder: Path) -> Iterator[Services]:
    """Running services, ended with the block."""
    made = Services(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
