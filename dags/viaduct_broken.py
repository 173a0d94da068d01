"""Airflow's second DAG file: it holds no DAG, only the import errors of projects that cannot have one.

Each line of the error names a project, a file and a line. It is empty, and no error, while all is well.
"""

import sys
from pathlib import Path

from airflow.sdk import get_parsing_context
from airflow.sdk.exceptions import AirflowException

CHECKOUT = str(Path(__file__).resolve().parents[1])
if CHECKOUT not in sys.path:
    sys.path.insert(0, CHECKOUT)

from dags import ir_dag  # noqa: E402

if get_parsing_context().dag_id is None:
    problems = ir_dag.broken(ir_dag.committed())
    if problems:
        raise AirflowException("; ".join(f"{project}: {problem}" for project, problem in problems.items()))
