"""Links from an Airflow task to the dashboards: its run's page and its node's log.

The dashboards are at VIADUCT_DASHBOARDS, else where `viaduct dashboard` begins to listen.
"""

from __future__ import annotations

import os
import urllib.parse
from typing import Any

from airflow.sdk import BaseOperatorLink

from pipelines.base.run_folder import run_id_for

VARIABLE = "VIADUCT_DASHBOARDS"
DEFAULT = "http://127.0.0.1:8600"


def url(page: str, **query: str) -> str:
    """A page of the dashboards."""
    base = (os.environ.get(VARIABLE) or DEFAULT).rstrip("/")
    return f"{base}/{page}?{urllib.parse.urlencode(query)}"


class RunLink(BaseOperatorLink):
    """The page of the task's run: graph, metrics, charts of what its nodes made."""

    name = "Run page"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        return url("run", id=run_id_for(ti_key.dag_id, ti_key.run_id))


class LogLink(BaseOperatorLink):
    """The node's log of all attempts, as the node wrote it."""

    name = "Node log"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        return url("log", run=run_id_for(ti_key.dag_id, ti_key.run_id), node=ti_key.task_id)
