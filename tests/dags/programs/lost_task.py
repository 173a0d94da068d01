"""What Airflow calls when the process of a task's last attempt was lost: lost_task.py PROJECT NODE AIRFLOW_RUN_ID."""

import sys
from types import SimpleNamespace

from dags import callbacks

project, node, run = sys.argv[1:]
instance = SimpleNamespace(dag_id=project, task_id=node, run_id=run, try_number=1, log_url="http://log")
callbacks.task_failed({"task_instance": instance, "dag_run": SimpleNamespace(dag_id=project, run_id=run)})
