"""Follows a DAG run as if it were a local one: the same table, fed by Airflow's API and the run's own record.

Airflow knows each task's state and times; what a node found out (rows, metrics, version) is in run.json where
HOME is shared with the workers, and in the XComs where it is not.
"""

from __future__ import annotations

import datetime
import time
from typing import Any

from dags.rest import Api
from pipelines.base.errors import ViaductError
from pipelines.base.paths import Paths
from pipelines.base.run_folder import RunFolder, run_id_for
from pipelines.base.run_record import NodeRecord, RunRecord

POLL_S = 1.0
FINAL = {"success": "succeeded", "failed": "failed"}
STATES = {
    "success": "done",
    "failed": "failed",
    "upstream_failed": "skipped",
    "skipped": "skipped",
    "removed": "skipped",
    "running": "running",
}
PATIENCE_S = 60.0


def follow(api: Api, project: str, airflow_run_id: str, view: Any) -> RunRecord:
    """Updates `view` until the run has ended; returns its record. Survives short absences of the server."""
    folder = RunFolder(Paths.of(project), run_id_for(project, airflow_run_id))
    record = None
    last_answer = time.monotonic()
    while True:
        try:
            record = snapshot(api, project, airflow_run_id, folder)
            last_answer = time.monotonic()
        except ViaductError:
            if time.monotonic() - last_answer > PATIENCE_S:
                raise
        if record is not None:
            view.update(record, folder.path)
            if record.state != "running":
                return record
        time.sleep(POLL_S)


def snapshot(api: Api, project: str, airflow_run_id: str, folder: RunFolder) -> RunRecord:
    """The run now: what Airflow says about states, what the record says about results."""
    told = api.run(project, airflow_run_id)
    tasks = {task["task_id"]: task for task in api.tasks(project, airflow_run_id)}
    own = folder.read()
    record = own or _empty(project, folder.run_id, told)
    order = [*record.nodes, *(name for name in tasks if name not in record.nodes)]
    record.nodes = {name: _node(record.nodes.get(name), tasks.get(name, {})) for name in order}
    record.state = FINAL.get(told["state"], "running")
    record.ended = (_seconds(told.get("end_date")) or time.time()) if record.state != "running" else 0.0
    return record


def _empty(project: str, run_id: str, told: dict[str, Any]) -> RunRecord:
    return RunRecord(
        run_id=run_id,
        project=project,
        settings={"variant": "", "profile": "quick", **(told.get("conf") or {})},
        fingerprint="",
        pid=0,
        pid_started="",
        started=_seconds(told.get("start_date")) or time.time(),
        runner="airflow",
    )


def _node(own: NodeRecord | None, task: dict[str, Any]) -> NodeRecord:
    node = own or NodeRecord()
    state = STATES.get(task.get("state") or "", "waiting")
    # The record tells computed from cached, and is a moment ahead of Airflow when a node has just ended.
    if node.state not in ("done", "cached", "failed") or state in ("failed", "skipped"):
        node.state = state
        node.started = node.started or _seconds(task.get("start_date"))
        if state in ("done", "failed"):
            node.ended = node.ended or _seconds(task.get("end_date"))
    if node.state == "failed" and not node.error:
        node.error = f"attempt {task.get('try_number', '?')} failed; see its log in Airflow"
    return node


def _seconds(stamp: str | None) -> float:
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp() if stamp else 0.0
