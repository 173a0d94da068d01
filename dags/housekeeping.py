"""The DAG that keeps house: its schedule, its param and its one task. Imports no TFX: the command it runs does."""

from __future__ import annotations

import datetime
import subprocess
from typing import Any

from airflow.sdk import DAG, BaseOperator, CronDataIntervalTimetable, Param
from airflow.sdk.exceptions import AirflowException

from pipelines.base.forkserver import client as forkserver
from pipelines.base.paths import CHECKOUT, default_home

# A dot is in no project's name.
DAG_ID = "viaduct.housekeeping"
TASK_ID = "gc"
OLDER_THAN = "30d"
LIMIT = datetime.timedelta(hours=6)


def build() -> DAG:
    """The DAG; each month on the first at 03:00 UTC, one run at a time, missed months are not made up for."""
    dag = DAG(
        dag_id=DAG_ID,
        description="What may go of HOME?",
        doc_md="Moves what nothing needs to the trash: `viaduct gc --apply`. The log says what went, and why.",
        schedule=CronDataIntervalTimetable("0 3 1 * *", timezone="UTC"),
        start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        catchup=False,
        max_active_runs=1,
        tags=["housekeeping"],
        params={
            "older_than": Param(OLDER_THAN, type="string", pattern=r"^\d{1,6}[smhdw]$", title="Older than")
        },
        default_args={"owner": "viaduct"},
    )
    HousekeepingOperator(task_id=TASK_ID, dag=dag, retries=1, execution_timeout=LIMIT)
    return dag


class HousekeepingOperator(BaseOperator):
    """Runs `viaduct gc --apply`. Safe to repeat: what a lost attempt left half done, the next one ends."""

    def execute(self, context: Any) -> None:
        older_than = context["params"].get("older_than") or OLDER_THAN
        command = [forkserver.interpreter(), "-m", "pipelines", "gc", "--apply", "--older-than", older_than]
        done = subprocess.run(
            command,
            env={**forkserver.environment(), "VIADUCT_HOME": str(default_home())},
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        for line in done.stdout.splitlines():
            self.log.info("%s", line)
        if done.returncode != 0:
            raise AirflowException(done.stdout.strip().rpartition("\n")[2] or f"exit code {done.returncode}")
