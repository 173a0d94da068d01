"""The DAG that notices new spans: for projects whose schedule is "@data".

Once a minute it compares HOME/data/<project> with what it has seen and updates the project's Dataset, one event per
new span with its number; Airflow then starts the project's DAG for that span. Where something else delivers data,
`viaduct airflow deliver PROJECT SPAN` says the same without the minute's wait.
"""

from __future__ import annotations

import datetime
from typing import Any

from airflow.datasets import Dataset
from airflow.exceptions import AirflowSkipException
from airflow.models.baseoperator import BaseOperator
from airflow.models.dag import DAG
from airflow.models.variable import Variable

from dags import spans
from pipelines.base.paths import Paths
from pipelines.base.project import Project

DAG_ID = "viaduct_deliveries"


def spans_dataset(project: str) -> Dataset:
    """The Dataset that says a new span of `project` has arrived; its events carry {'span': N}."""
    return Dataset(f"viaduct://{project}/spans")


class DeliveryOperator(BaseOperator):
    """Reports the oldest span of `project` that it has not seen; skips itself if there is none.

    The first look takes what is there as seen: switching the DAG on does not train on all of history.
    """

    ui_color = "#e4e8f4"

    def __init__(self, *, project: str, **kwargs: Any) -> None:
        super().__init__(outlets=[spans_dataset(project)], **kwargs)
        self.project = project

    def execute(self, context: Any) -> int:
        key = f"viaduct_seen_{self.project}"
        present = spans.present(Paths.of(self.project).data)
        seen = Variable.get(key, default_var=None, deserialize_json=True)
        if seen is None:
            Variable.set(key, present, serialize_json=True)
            raise AirflowSkipException(f"First look: spans {present} count as seen.")
        new = sorted(set(present) - set(seen))
        if not new:
            raise AirflowSkipException("No new span.")
        context["outlet_events"][spans_dataset(self.project)].extra = {"span": new[0]}
        Variable.set(key, sorted({*seen, new[0]}), serialize_json=True)
        return new[0]


def build(cards: list[Project]) -> DAG:
    """The DAG that looks after the data of `cards`, one task each."""
    dag = DAG(
        dag_id=DAG_ID,
        description="Notices new spans and starts the DAGs that wait for data",
        schedule=datetime.timedelta(minutes=1),
        start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags=["data"],
    )
    for card in cards:
        DeliveryOperator(task_id=card.name, project=card.name, dag=dag)
    return dag
