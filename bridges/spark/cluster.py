"""Spark on this machine: a master and workers on loopback, for `make spark` and for tests. Not a deployment.

    python -m bridges.spark.cluster up | down

Processes are those of the pyspark package. Anyone on this machine can submit work to them, as Spark's standalone
mode has it without a secret; nobody else can, since they listen on 127.0.0.1 alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from bridges.errors import BridgeError
from bridges.spark.session import DEFAULT_PORT, check_java
from pipelines.base import whole
from pipelines.base.errors import ViaductError
from pipelines.base.paths import default_home

START_S, END_S = 180.0, 20.0
HOST = "127.0.0.1"
_MASTER_URL = re.compile(r"Starting Spark master at (spark://\S+)")
_REGISTERED = "Successfully registered with master"


@dataclass
class Cluster:
    """A master and its workers; logs and work folders below `folder`. `start` before the rest; `stop` ends all."""

    folder: Path
    port: int = 0
    cores: int = 1
    memory: str = "1g"
    url: str = ""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, workers: int = 2) -> str:
        """The address `spark://...`, once all workers are registered. Raises BridgeError, and leaves nothing then."""
        check_java()
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            # Port 0: the master takes a free one and says which, so nobody else can take it in between.
            arguments = ["--host", HOST, "--port", str(self.port), "--webui-port", "0"]
            self._launch("master", "org.apache.spark.deploy.master.Master", arguments)
            self.url = self._says("master", _MASTER_URL)[1]
            for number in range(workers):
                self.add_worker(f"worker-{number}", wait=False)
            for number in range(workers):
                self._says(f"worker-{number}", re.compile(_REGISTERED))
        except BaseException:
            self.stop()
            raise
        return self.url

    def add_worker(self, name: str, wait: bool = True) -> None:
        """One more worker, or one in the place of a dead one."""
        arguments = ["--host", HOST, "--webui-port", "0", "-c", str(self.cores), "-m", self.memory]
        work = str(self.folder / name)
        self._launch(name, "org.apache.spark.deploy.worker.Worker", [*arguments, "-d", work, self.url])
        if wait:
            self._says(name, re.compile(_REGISTERED))

    def executors(self, worker: str) -> list[int]:
        """The processes of a worker's executors."""
        return _children(self.processes[worker].pid)

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.processes.clear()

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _launch(self, name: str, program: str, arguments: Sequence[str]) -> None:
        environment = {**os.environ, "SPARK_LOCAL_IP": HOST, "SPARK_DAEMON_MEMORY": "512m"}
        with self.log(name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [str(spark_home() / "bin" / "spark-class"), program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def _says(self, name: str, pattern: re.Pattern[str]) -> re.Match[str]:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            text = self.log(name).read_text(errors="replace")
            if match := pattern.search(text):
                return match
            if self.processes[name].poll() is not None:
                break
            time.sleep(0.1)
        errors = [line for line in text.splitlines() if "Exception" in line or "ERROR" in line]
        told = errors[0][:300] if errors else "it said nothing"
        raise BridgeError(
            f"Spark's {name} did not come up within {START_S:g} s: {told}. Its log: {self.log(name)}"
        )


def spark_home() -> Path:
    """The folder of the pyspark package. Raises BridgeError."""
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise BridgeError("pyspark is not installed: install the extra 'spark' of tfx-viaduct.")
    return Path(spec.origin).parent


def _children(pid: int) -> list[int]:
    """All descendants of a process that are Java: a worker starts executors directly."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = stat.read_text(errors="replace").rpartition(")")
            if int(rest.split()[1]) == pid and name.endswith("(java"):
                found.append(int(stat.parent.name))
    return found


def _state(home: Path) -> Path:
    return home / "spark" / "cluster.json"


def up(home: Path, port: int, workers: int, cores: int, memory: str) -> str:
    """Starts a cluster that outlives this process; the address. Says so where one is up already."""
    state = _state(home)
    there = _running(state)
    if there:
        return str(there["url"])
    cluster = Cluster(home / "spark", port, cores, memory)
    url = cluster.start(workers)
    pids = {name: process.pid for name, process in cluster.processes.items()}
    started = {name: whole.process_started(pid) for name, pid in pids.items()}
    whole.write(state, json.dumps({"url": url, "pids": pids, "started": started}))
    return url


def down(home: Path) -> bool:
    """Ends the cluster that `up` started; False if there was none."""
    state = _state(home)
    there = _running(state)
    for name, pid in (there or {"pids": {}})["pids"].items():
        if there and whole.process_started(pid) == there["started"][name]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)
    deadline = time.monotonic() + END_S
    while there and time.monotonic() < deadline and _running(state):
        # Whoever starts the next one wants the port back.
        time.sleep(0.1)
    state.unlink(missing_ok=True)
    return bool(there)


def _running(state: Path) -> dict[str, dict[str, int]] | None:
    """What `up` wrote, if its master lives; a process number that another program has by now is none of ours."""
    try:
        written = json.loads(state.read_text(encoding="utf-8"))
        pid = written["pids"]["master"]
        return written if whole.process_started(pid) == written["started"]["master"] != "" else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bridges.spark.cluster", description="Spark on loopback.")
    parser.add_argument("verb", choices=("up", "down"))
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cores", type=int, default=1, help="of each worker")
    parser.add_argument("--memory", default="2g", help="of each worker")
    options = parser.parse_args(argv)
    try:
        if options.verb == "up":
            print(up(default_home(), options.port, options.workers, options.cores, options.memory))
        else:
            print("stopped" if down(default_home()) else "no cluster of this HOME was up")
    except ViaductError as error:
        print(f"viaduct: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
