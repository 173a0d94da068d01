"""One real Airflow with PostgreSQL for all tests of the session, in a checkout of its own with a quick project.

The checkout is a copy, because tests break, delete and restore projects in it. Everything ends with the session.
"""

from __future__ import annotations

import datetime
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

from dags import installation as installations
from dags.cluster import Cluster, binaries
from dags.installation import Installation
from dags.rest import Api, run_path
from pipelines.base import run_record
from pipelines.base.errors import ViaductError
from pipelines.base.paths import CHECKOUT, Paths
from pipelines.base.run_folder import run_id_for
from pipelines.base.run_record import RunRecord
from tests.conftest import missing

PATIENCE_S = 300.0
PROGRAMS = Path(__file__).with_name("programs")
COPIED = ("pipelines/base", "components", "bridges", "dags", "serving")


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
        """Starts a run on a sample with these hyper-parameters; returns Airflow's run id."""
        return self.api.trigger(project, {"parameters": parameters, "sample": True}, run_id)

    def record(self, run_id: str, project: str = "probe") -> RunRecord | None:
        return run_record.read(self.folder(run_id, project) / "run.json")

    def ended(self, run_id: str, project: str = "probe") -> RunRecord:
        """The run's record once it says that the run is over: a moment after Airflow does."""

        def over() -> RunRecord | None:
            record = self.record(run_id, project)
            return record if record is not None and record.state != "running" else None

        return until(over, f"the end of the record of {run_id}", 60)

    def folder(self, run_id: str, project: str = "probe") -> Path:
        return Paths.of(project, self.home).runs / run_id_for(project, run_id)

    def copy_probe(self, name: str, *changes: tuple[str, str]) -> Path:
        """Another project, a copy of the probe with these changes of its files' text; the folder, to be removed."""
        made = self.checkout / "pipelines" / name
        aside = self.checkout / name
        shutil.copytree(
            self.checkout / "pipelines/probe", aside, ignore=shutil.ignore_patterns("__pycache__")
        )
        for file in aside.glob("*.*"):
            text = file.read_text().replace("probe", name)
            for old, new in changes:
                text = text.replace(old, new)
            file.write_text(text)
        return aside.rename(made)

    def model_events(self, project: str) -> list[dict[str, Any]]:
        """What Airflow was told of pushed models, oldest first."""
        found = self.api.call("GET", f"assets?uri_pattern=viaduct://{project}/model")["assets"]
        path = f"assets/events?order_by=timestamp&limit=100&asset_id={found[0]['id']}" if found else ""
        return self.api.call("GET", path)["asset_events"] if found else []

    def state(self, run_id: str, project: str = "probe") -> str:
        return self.api.run(project, run_id)["state"]

    def dag(self, name: str) -> bool:
        """Whether Airflow knows the DAG and has found it when it last looked."""
        try:
            return not self.api.call("GET", f"dags/{name}")["is_stale"]
        except ViaductError:
            return False

    def mark_failed(self, run_id: str, project: str = "probe") -> None:
        """What a person does on the run's page."""
        self.api.call("PATCH", run_path(project, run_id), {"state": "failed"})

    def backfill(self, first: datetime.date, last: datetime.date, *options: str) -> list[str]:
        """Has the probe's days trained on; returns the runs' ids, which carry the day after (a day begins then).

        A DAG has one backfill at a time, and the scheduler looks twice a minute whether the last one is complete.
        """
        last_ones = "backfills?dag_id=probe&order_by=-id"
        until(
            lambda: all(one["completed_at"] for one in self.api.call("GET", last_ones)["backfills"]),
            "the end of the backfill before",
        )
        dates = ["--from-date", str(first), "--to-date", str(last)]
        command = ["airflow", "backfill", "create", "--dag-id", "probe", *dates, *options]
        done = self.command(*command)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        days = [first + datetime.timedelta(days=n) for n in range((last - first).days + 1)]
        return [f"backfill__{day + datetime.timedelta(days=1)}T00:00:00+00:00" for day in days]

    def finished(self, run_id: str, project: str = "probe") -> str:
        """Airflow's final state of the run."""

        def ended() -> str | None:
            try:
                state = self.state(run_id, project)
            except ViaductError:
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
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        """The installation's and the test's checkout's."""
        return _environment(self.checkout, self.home) | self.installation_env()

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
        records = self.paths.serving.parent.glob("probe*/*/assets.extra/viaduct_push.json")
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
    """For a checkout that has no environments of its own: those of this one are named."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "VIADUCT"))}
    ours = {"VIADUCT_HOME": str(home), "PYTHONPATH": str(checkout), "VIADUCT_HOST_IDLE": "120"}
    # Projects that tests add are to be seen soon.
    often = {
        f"AIRFLOW__DAG_PROCESSOR__{name}": "8" for name in ("REFRESH_INTERVAL", "MIN_FILE_PROCESS_INTERVAL")
    }
    return {**kept, **ours, **often, installations.PYTHON_VARIABLE: installations.python()}


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
def airflow_python() -> str:
    """The Python that has Airflow."""
    if not os.access(installations.python(), os.X_OK):
        missing("Airflow's environment (make airflow-setup)")
    return installations.python()


@pytest.fixture(scope="session")
def airflow(webhook: tuple[str, list[dict[str, str]]], airflow_python: str) -> Iterator[RunningAirflow]:
    """Airflow under its supervisor, on PostgreSQL, with the probe's DAG unpaused."""
    try:
        binaries()
    except ViaductError:
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
