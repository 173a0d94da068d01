"""`<project>.retraining`: trains a project anew when its requests drift, new data has come or time is over.

For projects whose card has a `watch`. Every ten minutes, and when a span arrives, one task looks (`viaduct watch P
--once --hand-over` in the interpreter that has TFX); where a training is due the project's own DAG is triggered and
waited for without a worker. Cooldown and "one release in flight" are the watch's.
"""

from __future__ import annotations

import datetime
import json
import subprocess
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, AssetOrTimeSchedule, BaseOperator, CronTriggerTimetable
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from dags import callbacks
from dags.deliveries import spans_asset
from pipelines.base.forkserver import client as forkserver
from pipelines.base.paths import CHECKOUT
from pipelines.base.project import ON_DATA, Project

SUFFIX = "retraining"
EVERY = "*/10 * * * *"
DUE = 3
LOOK_LIMIT = datetime.timedelta(minutes=30)


def build(card: Project) -> DAG:
    """The DAG of a card with a `watch`."""
    # A project that starts with its data trains on each span anyway.
    clock = CronTriggerTimetable(EVERY, timezone="UTC")
    arrivals = card.schedule != ON_DATA
    dag = DAG(
        dag_id=f"{card.name}.{SUFFIX}",
        description=f"Trains anew when due: {card.question}",
        doc_md=__doc__,
        schedule=AssetOrTimeSchedule(timetable=clock, assets=[spans_asset(card.name, watched=True)])
        if arrivals
        else clock,
        start_date=datetime.datetime.fromisoformat(card.start).replace(tzinfo=datetime.UTC),
        catchup=False,
        max_active_runs=1,
        tags=[*card.tags, SUFFIX],
        default_args={"owner": card.owner, "on_failure_callback": callbacks.release_failed},
    )
    look = Look(task_id="look", project=card.name, dag=dag, execution_timeout=LOOK_LIMIT)
    train = TriggerDagRunOperator(
        task_id="train",
        trigger_dag_id=card.name,
        wait_for_completion=True,
        deferrable=True,
        fail_when_dag_is_paused=True,
        dag=dag,
    )
    look.set_downstream(train)
    return dag


class Look(BaseOperator):
    """One look of the watch; skips what follows where nothing is due. Its XCom is what the watch said."""

    ui_color = "#e3f3ee"

    def __init__(self, *, project: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.project = project

    def execute(self, context: Any) -> dict[str, Any]:
        ended = subprocess.run(
            [
                forkserver.interpreter(),
                "-m",
                "pipelines",
                "watch",
                self.project,
                "--once",
                "--hand-over",
                "--json",
            ],
            env=forkserver.environment(),
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        told = read(ended.returncode, ended.stdout, ended.stderr)
        for line in told["said"]:
            self.log.info("%s", line)
        if ended.returncode != DUE:
            raise AirflowSkipException(f"Nothing is due{': ' + told['held'] if told['held'] else ''}.")
        self.log.info("Due: %s", told["reason"])
        return told


def read(code: int, out: str, errors: str) -> dict[str, Any]:
    """What a look printed. Raises AirflowException with its last words where it failed."""
    if code not in (0, DUE):
        raise AirflowException(f"The watch ended with {code}: {errors.strip()[-500:] or out.strip()[-500:]}")
    told: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    return told
