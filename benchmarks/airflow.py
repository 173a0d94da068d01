"""Airflow: what parsing all DAGs costs, and what a run costs under Airflow, beside the local and the stock runner.

Figures: parse_all_s and parse_peak_mb (all DAGs, beyond importing Airflow itself), stock_parse_one_s (one DAG by
TFX's own AirflowDagRunner, likewise), run_vs_local (ours under Airflow / `viaduct run`) and stock_vs_ours (the same
pipeline under the stock runner / ours under Airflow), both over wall time from start to end of a run of card_fraud.
`--quick` parses only. The runs need PostgreSQL; every run gets fresh data, so that no side is helped by a cache.
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
from dags.installation import Installation
from dags.rest import Api
from pipelines.base.paths import CHECKOUT
from pipelines.base.project import ProjectError

PROJECT = "card_fraud"
STOCK_ID = f"{PROJECT}_stock"
RUN_LIMIT_S = 3600
# Imports that any DAG file of any project pays; what comes after them is ours.
AIRFLOW_ITSELF = """
import json, resource, sys, time
import airflow.models.baseoperator, airflow.models.dag, airflow.models.dagbag, airflow.models.param
import airflow.datasets, airflow.triggers.temporal, airflow.models.variable, airflow.utils.dag_parsing_context
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
bag = airflow.models.dagbag.DagBag(sys.argv[1], include_examples=False, read_dags_from_db=False)
dags = len(bag.dags)
"""
    + REPORT
)
PARSE_STOCK = (
    AIRFLOW_ITSELF + "exec(compile(open(sys.argv[1]).read(), sys.argv[1], 'exec'))\ndags = 1\n" + REPORT
)
# The same pipeline as a user of plain TFX would write its DAG file.
STOCK_DAG = '''
"""card_fraud under TFX's own AirflowDagRunner."""
import datetime
import os
import sys
sys.path.insert(0, {checkout!r})
import airflow
from tfx.orchestration.airflow.airflow_dag_runner import AirflowDagRunner, AirflowPipelineConfig
from pipelines.base import registry
from pipelines.base.paths import Paths
from pipelines.base.project import Settings
from pipelines.card_fraud.pipeline import create_pipeline

card = registry.get("card_fraud")
paths = Paths.of("card_fraud", {home!r})
pipeline = create_pipeline(paths, Settings.of(card, data={data!r}))
pipeline.pipeline_info.pipeline_name = "card_fraud_stock"
pipeline.enable_cache = False
config = dict(schedule_interval=None, start_date=datetime.datetime(2026, 1, 1))
DAG = AirflowDagRunner(AirflowPipelineConfig(config)).run(pipeline)
'''


def main() -> int:
    """Runs the benchmark; the last line of its output is the JSON object for machines."""
    options = arguments(__doc__ or "").parse_args()
    with tempfile.TemporaryDirectory(prefix="viaduct-airflow-") as folder:
        base = Path(folder)
        base.chmod(0o755)
        figures = _parsing(base, options.rounds or (1 if options.quick else 3), stock=True)
        if not options.quick:
            figures.update(_running(base, options.rounds or 2))
    finish("airflow", figures)
    return 0


# ---- parsing --------------------------------------------------------------------------------------------


def _parsing(base: Path, rounds: int, *, stock: bool) -> dict[str, float]:
    """Fresh processes, as Airflow's own parser forks them; medians over the rounds."""
    file = base / "stock_dag.py"
    data = _sample(base)
    file.write_text(STOCK_DAG.format(checkout=str(CHECKOUT), home=str(base / "stock-home"), data=str(data)))
    ours: list[dict[str, float]] = []
    sides = {
        "ours": lambda: _measure(PARSE_OURS, CHECKOUT / "dags", base, ours),
        "stock": lambda: _measure(PARSE_STOCK, file, base, []),
    }
    samples = interleave(sides, rounds, warm=False)
    table(
        ["parsing", "s", "DAGs"],
        [
            ["ours, all", spread(samples["ours"]), ours[-1]["dags"]],
            ["stock, one", spread(samples["stock"]), 1],
        ],
        title="DAG files, beyond importing Airflow",
    )
    return {
        "parse_all_s": median(samples["ours"]),
        "parse_peak_mb": median([one["mb"] for one in ours]),
        "stock_parse_one_s": median(samples["stock"]),
    }


def _measure(program: str, target: Path, base: Path, kept: list[dict[str, float]]) -> float:
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(base / "parse-home"),
        "VIADUCT_HOME": str(base / "parse-home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "600",
        "PYTHONPATH": str(CHECKOUT),
    }
    command = [sys.executable, "-c", program, str(target)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode != 0:
        raise SystemExit(f"parsing {target} failed:\n{done.stderr[-3000:]}")
    kept.append(json.loads(done.stdout.splitlines()[-1]))
    return kept[-1]["s"]


# ---- running --------------------------------------------------------------------------------------------


def _running(base: Path, rounds: int) -> dict[str, float]:
    """Local, ours and stock in turn on one Airflow; {} and a sentence where PostgreSQL is missing."""
    airflow = _Airflow(base)
    try:
        airflow.up()
    except ProjectError as error:
        print(f"No runs: {error}")
        return {}
    try:
        sides = {"local": airflow.local, "ours": airflow.ours, "stock": airflow.stock}
        samples = interleave(sides, rounds)
    finally:
        airflow.down()
    rows = [[name, spread(values)] for name, values in samples.items()]
    table(["a run of card_fraud", "s"], rows, title="Wall time from start to end of a run")
    return {
        "run_vs_local": median_ratio(samples["ours"], samples["local"]),
        "stock_vs_ours": median_ratio(samples["stock"], samples["ours"]),
    }


def _sample(base: Path) -> Path:
    """One sample of the project, shared by all sides."""
    env = {**os.environ, "VIADUCT_HOME": str(base / "sample-home"), "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-m", "pipelines", "data", PROJECT, "--sample", "20000"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=CHECKOUT, check=True)
    return Path(done.stdout.splitlines()[-1])


class _Airflow:
    """A checkout of its own with the stock DAG beside ours, and an Airflow over it."""

    def __init__(self, base: Path) -> None:
        self._base, self._home, self._checkout = base, base / "home", base / "checkout"
        self._runs = 0
        self._sampled = _sample(base)
        shutil.copytree(
            CHECKOUT,
            self._checkout,
            ignore=shutil.ignore_patterns(
                ".venv", ".git", "__pycache__", ".viaduct", "tests", "*.egg-info", ".*_cache"
            ),
        )
        self._stock_data = base / "stock-data"
        stock = STOCK_DAG.format(
            checkout=str(self._checkout), home=str(self._home), data=str(self._stock_data)
        )
        (self._checkout / "dags" / "viaduct_stock.py").write_text(stock)
        # Only triggered runs: a scheduled one would share the cores with whatever is measured.
        card = self._checkout / "pipelines" / PROJECT / "project.py"
        card.write_text(card.read_text().replace('schedule="@daily"', "schedule=None"))
        self._env = {**os.environ, "VIADUCT_HOME": str(self._home), "PYTHONPATH": str(self._checkout)}
        self._env["VIADUCT_HOST_IDLE"] = "3600"

    def up(self) -> None:
        self._fresh(self._stock_data)
        done = self._do(sys.executable, "-m", "dags.control", "up")
        if done.returncode != 0:
            raise ProjectError(done.stderr.strip())
        installation = Installation.of(self._home)
        self._api = Api.of(installation)
        password = installation.values["airflow_password"]
        self._database = psycopg2.connect(installation.cluster.url("airflow", password, "airflow"))
        self._database.autocommit = True
        self._until(
            lambda: {PROJECT, STOCK_ID} <= {d["dag_id"] for d in self._api.call("GET", "dags")["dags"]}
        )
        for dag in (PROJECT, STOCK_ID):
            self._api.unpause(dag)

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
        return self._triggered(PROJECT, {"data": str(data)})

    def stock(self) -> float:
        self._fresh(self._stock_data)
        return self._triggered(STOCK_ID, {})

    def _fresh(self, target: Path) -> Path:
        """The sample again with new times: the ExampleGen takes it for a new delivery."""
        self._runs += 1
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self._sampled, target, copy_function=shutil.copy)
        return target

    def _triggered(self, dag: str, conf: dict[str, str]) -> float:
        began = time.perf_counter()
        run_id = self._api.trigger(dag, conf)
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
