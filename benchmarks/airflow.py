"""Airflow: what parsing all DAGs costs, what a run and a task cost under Airflow, how long it takes to be there.

Figures: parse_all_s and parse_peak_mb (all DAGs, beyond importing Airflow itself), up_s (from an empty HOME to all
services healthy), run_vs_local (ours under Airflow / `viaduct run`, wall time from start to end of a run of card_fraud)
and task_overhead_s (from a task's being queued to its node's start, median of a run's tasks). `--quick` parses only.
The runs need PostgreSQL; every run gets fresh data, so that no side is helped by a cache. TFX's own AirflowDagRunner
was the third side until Airflow 2 ended: it does not import under Airflow 3.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg2

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
from benchmarks.report import arguments, finish, interleave, median, median_ratio, spread, table
from dags.installation import PYTHON_VARIABLE, Installation, require_python
from dags.rest import Api
from pipelines.base.errors import ViaductError
from pipelines.base.paths import CHECKOUT, Paths
from pipelines.base.run_folder import RunFolder, run_id_for

PROJECT = "card_fraud"
RUN_LIMIT_S = 3600
# Imports that any DAG file of any project pays; what comes after them is ours.
AIRFLOW_ITSELF = """
import json, resource, sys, time
import airflow.sdk, airflow.triggers.base, airflow.sdk.exceptions, airflow.sdk.execution_time.task_runner
from airflow.sdk import BaseOperator, CronDataIntervalTimetable, DAG, Param
from airflow.dag_processing.dagbag import DagBag
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, began, cpu = peak(), time.perf_counter(), time.process_time()
"""
REPORT = """
print(json.dumps({"s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu, "mb": peak() - before,
    "dags": dags}))
"""
PARSE_OURS = (
    AIRFLOW_ITSELF
    + """
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
dags = len(bag.dags)
"""
    + REPORT
)


def main() -> int:
    """Runs the benchmark; the last line of its output is the JSON object for machines."""
    options = arguments(__doc__ or "").parse_args()
    with tempfile.TemporaryDirectory(prefix="viaduct-airflow-") as folder:
        base = Path(folder)
        base.chmod(0o755)
        figures = _parsing(base, options.rounds or (1 if options.quick else 3))
        if not options.quick:
            figures.update(_running(base, options.rounds or 2))
    finish("airflow", figures)
    return 0


# ---- parsing --------------------------------------------------------------------------------------------


def _parsing(base: Path, rounds: int) -> dict[str, float]:
    """Fresh processes, as Airflow's own parser forks them; medians over the rounds."""
    measured = [_measure(PARSE_OURS, CHECKOUT / "dags", base) for _ in range(rounds + 1)][1:]
    seconds, cpu, memory = ([one[name] for one in measured] for name in ("s", "cpu_s", "mb"))
    table(
        ["parsing", "s", "CPU s", "MB", "DAGs"],
        [["ours, all", spread(seconds), spread(cpu), f"{median(memory):.0f}", measured[-1]["dags"]]],
        title="DAG files, beyond importing Airflow",
    )
    return {"parse_all_s": median(seconds), "parse_peak_mb": median(memory)}


def _measure(program: str, target: Path, base: Path) -> dict[str, float]:
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(base / "parse-home"),
        "VIADUCT_HOME": str(base / "parse-home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "600",
        "VIADUCT_TFX_PYTHON": sys.executable,
        "PYTHONPATH": str(CHECKOUT),
    }
    command = [require_python(), "-c", program, str(target)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode != 0:
        raise SystemExit(f"parsing {target} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


# ---- running --------------------------------------------------------------------------------------------


def _running(base: Path, rounds: int) -> dict[str, float]:
    """Local and ours in turn on one Airflow; {} and a sentence where PostgreSQL is missing."""
    airflow = _Airflow(base)
    try:
        began = time.perf_counter()
        airflow.up()
        up_s = time.perf_counter() - began
        airflow.find()
    except ViaductError as error:
        print(f"No runs: {error}")
        return {}
    try:
        samples = interleave({"local": airflow.local, "ours": airflow.ours}, rounds)
        overheads = airflow.overheads()
    finally:
        airflow.down()
    rows = [[name, spread(values)] for name, values in samples.items()]
    table(["a run of card_fraud", "s"], rows, title="Wall time from start to end of a run")
    table(
        ["from queued to the node's start", "s"], [["a task", spread(overheads)]], title="A task's overhead"
    )
    return {
        "up_s": up_s,
        "run_vs_local": median_ratio(samples["ours"], samples["local"]),
        "task_overhead_s": median(overheads),
    }


def _sample(base: Path) -> Path:
    """One sample of the project, shared by all sides."""
    env = {**os.environ, "VIADUCT_HOME": str(base / "sample-home"), "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-m", "pipelines", "data", PROJECT, "--sample", "20000"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=CHECKOUT, check=True)
    return Path(done.stdout.splitlines()[-1])


class _Airflow:
    """A checkout of its own, and an Airflow over it."""

    def __init__(self, base: Path) -> None:
        self._base, self._home, self._checkout = base, base / "home", base / "checkout"
        self._runs = 0
        self._sampled = _sample(base)
        shutil.copytree(
            CHECKOUT,
            self._checkout,
            ignore=shutil.ignore_patterns(
                ".venv", ".airflow-venv", ".git", "__pycache__", ".viaduct", "tests", "*.egg-info", ".*_cache"
            ),
        )
        # Only triggered runs: a scheduled one would share the cores with whatever is measured.
        card = self._checkout / "pipelines" / PROJECT / "project.py"
        card.write_text(card.read_text().replace('schedule="@daily"', "schedule=None"))
        self._env = {**os.environ, "VIADUCT_HOME": str(self._home), "PYTHONPATH": str(self._checkout)}
        self._env |= {"VIADUCT_HOST_IDLE": "3600", PYTHON_VARIABLE: require_python()}
        self._ran: list[str] = []

    def up(self) -> None:
        done = self._do(sys.executable, "-m", "dags.control", "up")
        if done.returncode != 0:
            raise ViaductError(done.stderr.strip())

    def find(self) -> None:
        """Waits for the project's DAG and lets it run."""
        installation = Installation.of(self._home)
        self._api = Api.of(installation)
        password = installation.values["airflow_password"]
        self._database = psycopg2.connect(installation.cluster.url("airflow", password, "airflow"))
        self._database.autocommit = True
        self._until(lambda: PROJECT in {d["dag_id"] for d in self._api.call("GET", "dags")["dags"]})
        self._api.unpause(PROJECT)

    def down(self) -> None:
        self._database.close()
        self._do(sys.executable, "-m", "dags.control", "down")
        env = {**self._env, "VIADUCT_HOME": str(self._home) + "-local"}
        subprocess.run(
            [sys.executable, "-m", "pipelines", "host", "stop"], env=env, cwd=self._checkout, check=False
        )

    def local(self) -> float:
        """`viaduct run` with a warm host in a HOME of its own."""
        data = self._fresh(self._base / f"data-{self._runs}")
        env = {**self._env, "VIADUCT_HOME": str(self._home) + "-local"}
        began = time.perf_counter()
        command = [sys.executable, "-m", "pipelines", "run", PROJECT, "--plain", "--data", str(data)]
        done = subprocess.run(
            command, capture_output=True, text=True, env=env, cwd=self._checkout, check=False
        )
        if done.returncode not in (0, 3):
            raise SystemExit(f"viaduct run failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return time.perf_counter() - began

    def ours(self) -> float:
        data = self._fresh(self._base / f"data-{self._runs}")
        return self._triggered(PROJECT, {"data": str(data), "profile": "quick"})

    def overheads(self) -> list[float]:
        """From queued to the node's start, for every task of the last run."""
        run = RunFolder(Paths.of(PROJECT, self._home), run_id_for(PROJECT, self._ran[-1])).read()
        with self._database.cursor() as cursor:
            cursor.execute(
                "SELECT task_id, extract(epoch FROM queued_dttm) FROM task_instance WHERE run_id = %s",
                (self._ran[-1],),
            )
            queued = {task: float(at) for task, at in cursor.fetchall()}
        return [run.nodes[task].started - at for task, at in queued.items()]

    def _fresh(self, target: Path) -> Path:
        """The sample again with new times: the ExampleGen takes it for a new delivery."""
        self._runs += 1
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self._sampled, target, copy_function=shutil.copy)
        return target

    def _triggered(self, dag: str, conf: dict[str, str]) -> float:
        began = time.perf_counter()
        run_id = self._api.trigger(dag, conf)
        self._ran.append(run_id)
        self._until(lambda: self._state(dag, run_id) in ("success", "failed"))
        took = time.perf_counter() - began
        if self._api.run(dag, run_id)["state"] != "success":
            failed = [t["task_id"] for t in self._api.tasks(dag, run_id) if t["state"] == "failed"]
            raise SystemExit(f"{dag} failed in {failed}; logs: {self._home}/airflow/logs")
        return took

    def _until(self, true: object) -> None:
        deadline = time.monotonic() + RUN_LIMIT_S
        while not true():  # type: ignore[operator]
            if time.monotonic() > deadline:
                raise SystemExit("Airflow took more than an hour; given up")
            time.sleep(0.2)

    def _state(self, dag: str, run_id: str) -> str:
        """From the database: a question to the web server would cost the run 100 ms of a core."""
        with self._database.cursor() as cursor:
            cursor.execute("SELECT state FROM dag_run WHERE dag_id = %s AND run_id = %s", (dag, run_id))
            return str(cursor.fetchone()[0])

    def _do(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, capture_output=True, text=True, env=self._env, cwd=self._checkout, check=False
        )


if __name__ == "__main__":
    sys.exit(main())
