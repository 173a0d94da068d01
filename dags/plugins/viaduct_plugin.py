"""What Airflow loads of ours beside the DAGs (AIRFLOW__CORE__PLUGINS_FOLDER is this folder): one listener.

A person who marks a run failed or succeeded in Airflow ends it without any callback of its DAG; here the run's own
record is told. Ends that the scheduler finds are the callbacks' (callbacks.py).
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

CHECKOUT = str(Path(__file__).resolve().parents[2])


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    _end(dag_run, msg, "run_failed")


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    _end(dag_run, msg, "run_succeeded")


def _end(dag_run: Any, msg: str, callback: str) -> None:
    if "manually" not in msg:
        return
    if CHECKOUT not in sys.path:
        sys.path.insert(0, CHECKOUT)
    from dags import callbacks

    getattr(callbacks, callback)({"dag_run": SimpleNamespace(dag_id=dag_run.dag_id, run_id=dag_run.run_id)})


class ViaductPlugin(AirflowPlugin):
    """Registers the listener, which is this module."""

    name = "viaduct"
    listeners = [sys.modules[__name__]]
