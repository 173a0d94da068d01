"""Runs a root task without a worker: execute_root.py RUN_TYPE PARAMS [PROJECT NODE], HOME from the environment.

In the place of the warm host stands one that says "asked", so no node is started unless the environment asks for
processes. Prints the exception with which the task ended, as JSON.
"""

import datetime
import json
import sys
from types import SimpleNamespace

from dags import node_call
from dags.node_operator import NodeOperator

run_type, params = sys.argv[1], json.loads(sys.argv[2])
project, node = sys.argv[3:] or ("card_fraud", "SchemaGen")


def asked(paths, say):
    raise SystemExit("asked")


node_call.warm_host = asked
day = datetime.datetime(2026, 2, 3, tzinfo=datetime.UTC)
dag_run = SimpleNamespace(
    dag_id=project,
    run_id=f"{run_type}__x",
    run_type=run_type,
    logical_date=None if run_type == "manual" else day,
    data_interval_start=None if run_type == "manual" else day,
    run_after=day,
)
task = NodeOperator(task_id=node, project=project, node=node, all_nodes=[node], root=True)
try:
    task.execute({"dag_run": dag_run, "params": params})
except BaseException as error:
    print(json.dumps([type(error).__name__, str(error)]))
