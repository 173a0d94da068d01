"""One real Airflow with PostgreSQL for all tests of the session, in a checkout of its own with a quick project.

The checkout is a copy, because tests break, delete and restore projects in it. Everything ends with the session.
"""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dags.cluster import Cluster, binaries
from dags.installation import Installation
from dags.rest import Api
from dags.run_folder import run_id_for
from pipelines.base import run_record
from pipelines.base.paths import CHECKOUT, Paths
from pipelines.base.project import ProjectError
from pipelines.base.run_record import RunRecord
from tests.conftest import missing

PATIENCE_S = 150.0
PROGRAMS = Path(__file__).with_name("programs")
COPIED = ("pipelines/base", "components", "dags")


def until(true: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Waits for something truthy and returns it; the failure says what was waited for."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        found = true()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(f"waited {patience_s:.0f} s in vain for {what}")


@dataclass
class RunningAirflow:
    """The session's Airflow, and what tests do with it."""

    checkout: Path
    home: Path
    installation: Installation
    api: Api
    reports: list[dict[str, str]]

    until = staticmethod(until)

    @property
    def cluster(self) -> Cluster:
        return self.installation.cluster

    @property
    def paths(self) -> Paths:
        return Paths.of("probe", self.home)

    def trigger(self, project: str = "probe", run_id: str | None = None, **parameters: Any) -> str:
        """Starts a run with these hyper-parameters; returns Airflow's run id."""
        return self.api.trigger(project, {"parameters": parameters}, run_id)

    def record(self, run_id: str) -> RunRecord | None:
        return run_record.read(self.folder(run_id) / "run.json")

    def folder(self, run_id: str) -> Path:
        return self.paths.runs / run_id_for("probe", run_id)

    def state(self, run_id: str, project: str = "probe") -> str:
        return self.api.run(project, run_id)["state"]

    def dag(self, name: str) -> bool:
        """Whether Airflow knows the DAG and holds it for active."""
        try:
            return self.api.call("GET", f"dags/{name}")["is_active"]
        except ProjectError:
            return False

    def finished(self, run_id: str, project: str = "probe") -> str:
        """Airflow's final state of the run."""

        def ended() -> str | None:
            try:
                state = self.state(run_id, project)
            except ProjectError:
                return None
            return state if state in ("success", "failed") else None

        return until(ended, f"the end of {run_id}")

    def wait_for_train(self, run_id: str) -> int:
        """The process number of the run's Train node once it is at work in its run."""

        def at_work() -> int | None:
            log = self.folder(run_id) / "logs" / "Train.log"
            lines = log.read_text().splitlines() if log.exists() else []
            found = [line.split()[2] for line in lines if line.startswith("probe: process")]
            return int(found[-1]) if found else None

        return until(at_work, f"Train of {run_id}")

    def try_number(self, run_id: str, task: str) -> int:
        (found,) = [t for t in self.api.tasks("probe", run_id) if t["task_id"] == task]
        return found["try_number"]

    def pushed(self) -> list[str]:
        """Versions that are served, oldest first; anything half-written would show as another name."""
        return (
            sorted(path.name for path in self.paths.serving.iterdir()) if self.paths.serving.exists() else []
        )

    def command(self, *arguments: str, timeout: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
        """A command in the installation's environment and the test's checkout."""
        return subprocess.run(
            arguments,
            cwd=self.checkout,
            env=_environment(self.checkout, self.home) | self.installation_env(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def installation_env(self) -> dict[str, str]:
        """What env.sh exports."""
        script = f". {self.installation.folder}/env.sh && env -0"
        done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
        pairs = (part.partition("=") for part in done.stdout.decode().split("\0") if part)
        return {name: value for name, _, value in pairs}

    def executions(self, run_id: str, node: str) -> list[str]:
        """ML Metadata's states of a node's executions in a run, oldest first."""
        url = self.installation.metadata_url()
        done = self.command(sys.executable, str(PROGRAMS / "executions.py"), url, run_id_for("probe", run_id))
        assert done.returncode == 0, done.stderr
        return [state for kind, state in json.loads(done.stdout.splitlines()[-1]) if kind == node]

    def pushes_of(self, run_id: str) -> int:
        """How many served versions are this run's model."""
        record = self.record(run_id)
        assert record is not None
        (model,) = [output["uri"] for output in record.nodes["Train"].summary["outputs"]]
        records = self.paths.serving.glob("*/assets.extra/viaduct_push.json")
        return sum(json.loads(file.read_text())["model"].startswith(model) for file in records)

    def services(self) -> dict[str, int]:
        """Process numbers of the supervised services."""
        return json.loads((self.installation.folder / "services.json").read_text())

    def deliver(self, span: int, rows: int = 20) -> Path:
        """A span folder whose rows name it; written aside, then renamed."""
        aside = self.paths.data / f".span-{span}"
        aside.mkdir(parents=True)
        (aside / "rows.csv").write_text("day,value\n" + "".join(f"{span},{i}\n" for i in range(rows)))
        return aside.rename(self.paths.span(span))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of its own with the probe as its only project, whose IR is another project's."""
    made = copy_checkout(tmp_path / "checkout")
    shutil.copy2(Paths.of("card_fraud").source / "ir.json", made / "pipelines/probe/ir.json")
    return made


@pytest.fixture(scope="session")
def webhook() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """An address on loopback that takes JSON reports, and the list they land in."""
    reports: list[dict[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            reports.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/failed", reports
    server.shutdown()


def _environment(checkout: Path, home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "VIADUCT"))}
    return {**kept, "VIADUCT_HOME": str(home), "PYTHONPATH": str(checkout), "VIADUCT_HOST_IDLE": "120"}


def copy_checkout(target: Path) -> Path:
    """The rooms that Airflow needs, and the probe as their only project."""
    for room in COPIED:
        shutil.copytree(
            CHECKOUT / room, target / room, ignore=shutil.ignore_patterns("__pycache__", "template")
        )
    for file in (*CHECKOUT.glob("pipelines/*.py"), CHECKOUT / "requirements.lock"):
        shutil.copy2(file, target / file.relative_to(CHECKOUT))
    shutil.copytree(Path(__file__).with_name("probe"), target / "pipelines/probe")
    return target


@pytest.fixture(scope="session")
def airflow(webhook: tuple[str, list[dict[str, str]]]) -> Iterator[RunningAirflow]:
    """Airflow under its supervisor, on PostgreSQL, with the probe's DAG unpaused."""
    try:
        binaries()
    except ProjectError:
        missing("PostgreSQL")
    # Not below pytest's folder: any other pytest closes that to PostgreSQL, which runs as another user under root.
    base = Path(tempfile.mkdtemp(prefix="viaduct-airflow-"))
    base.chmod(0o711)
    checkout, home = copy_checkout(base / "checkout"), base / "home"
    home.mkdir()
    env = {**_environment(checkout, home), "VIADUCT_WEBHOOK": webhook[0]}

    def do(*command: str) -> None:
        done = subprocess.run(
            command, cwd=checkout, env=env, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr + _logs(home)

    try:
        do(sys.executable, "-m", "pipelines", "host", "start")
        do(
            sys.executable,
            str(PROGRAMS / "compile_probe.py"),
            str(home),
            str(checkout / "pipelines/probe/ir.json"),
        )
        do(sys.executable, "-m", "dags.control", "up")
        installation = Installation.of(home)
        running = RunningAirflow(checkout, home, installation, Api.of(installation), webhook[1])
        until(
            lambda: any(d["dag_id"] == "probe" for d in running.api.call("GET", "dags")["dags"]),
            "the probe's DAG",
        )
        running.api.unpause("probe")
        yield running
    finally:
        subprocess.run(
            [sys.executable, "-m", "dags.control", "down"], cwd=checkout, env=env, check=False, timeout=120
        )
        shutil.rmtree(base, ignore_errors=True)


def _logs(home: Path) -> str:
    files = sorted((home / "airflow").glob("*.log"))
    return "".join(f"\n== {file.name}\n{file.read_text(errors='replace')[-2000:]}" for file in files)
