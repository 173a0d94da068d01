"""`airflow scheduler` that has imported what its tasks need before it forks the workers that run them.

LocalExecutor forks a worker per slot when the scheduler starts and a process per task from these; what is not
imported by then every task imports anew. `python -m dags.scheduler` takes the flags of `airflow scheduler`.
"""

from __future__ import annotations

import importlib
import sys

# What `airflow tasks run` imports besides what the scheduler has imported: most of it is the client of Kubernetes.
# Nothing of this checkout is here, so that tasks see its files as they are when they start.
FOR_TASKS = (
    "airflow.cli.commands.task_command",
    "airflow.decorators",
    "airflow.jobs.local_task_job_runner",
    "airflow.sensors.base",
    "airflow.operators.subdag",
    "airflow.task.task_runner.standard_task_runner",
    "airflow.triggers.temporal",
    "jinja2.ext",
    "kubernetes.client",
)


def main() -> None:
    from airflow.__main__ import main as airflow

    for name in FOR_TASKS:
        importlib.import_module(name)
    sys.argv = ["airflow", "scheduler", *sys.argv[1:]]
    airflow()


if __name__ == "__main__":
    main()
