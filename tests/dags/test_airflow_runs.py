"""Runs under the real scheduler and PostgreSQL: results, dates, data that comes late, two at once."""

from __future__ import annotations

import datetime
import itertools
import json
import shutil
import sys
from pathlib import Path

import pytest

from dags import spans
from dags.rest import ApiError
from dags.run_folder import run_id_for
from pipelines.base import run_record
from pipelines.base.project import ProjectError

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.slow,
    pytest.mark.xdist_group("airflow"),
    pytest.mark.timeout(900),
]


def _days_of(airflow, run_id: str) -> list[int]:
    """The days the run's model has seen, as it wrote them."""
    record = airflow.record(run_id)
    (model,) = [output["uri"] for output in record.nodes["Train"].summary["outputs"]]
    return json.loads((Path(model) / "Format-Serving" / "saved_model.pb").read_text())


def test_a_triggered_run_is_green_and_record_xcom_and_metadata_agree(airflow):
    run_id = airflow.trigger(seconds=0.01)
    assert airflow.finished(run_id) == "success"
    record = airflow.record(run_id)
    assert record.state == "succeeded" and record.runner == "airflow"
    assert {node.state for node in record.nodes.values()} <= {"done", "cached"}
    assert record.nodes["Train"].state == record.nodes["Pusher"].state == "done"
    assert airflow.pushes_of(run_id) == 1
    assert airflow.executions(run_id, "Train") == ["COMPLETE"]
    path = f"dags/probe/dagRuns/{run_id}/taskInstances/Pusher/xcomEntries/return_value".replace("+", "%2B")
    pushed = airflow.api.call("GET", path)["value"]
    assert record.pushed and record.pushed in str(pushed)


def test_the_run_shows_in_the_command_that_lists_runs(airflow):
    run_id = airflow.trigger(seconds=0.04)
    airflow.finished(run_id)
    listed = airflow.command(sys.executable, "-m", "pipelines", "runs", "probe")
    assert run_id_for("probe", run_id) in listed.stdout and "succeeded" in listed.stdout, listed.stderr


def test_trigger_with_wait_follows_the_run_and_says_how_it_ended(airflow):
    command = [
        sys.executable,
        "-m",
        "dags.control",
        "trigger",
        "probe",
        "--set",
        "seconds=0.02",
        "--wait",
        "--plain",
    ]
    done = airflow.command(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Pusher" in done.stdout and "done" in done.stdout and "pushed" in done.stdout


def test_a_wrong_parameter_is_refused_before_airflow_is_asked(airflow):
    done = airflow.command(sys.executable, "-m", "dags.control", "trigger", "probe", "--set", "secnds=1")
    assert done.returncode == 1 and "Did you mean 'seconds'?" in done.stderr


def test_the_form_refuses_a_parameter_of_the_wrong_type(airflow):
    with pytest.raises(ProjectError, match=r"400.*seconds|400.*soon"):
        airflow.trigger(seconds="soon")


def test_two_runs_at_once_are_both_right(airflow):
    first, second = airflow.trigger(seconds=1.1), airflow.trigger(seconds=1.2)
    assert [airflow.finished(first), airflow.finished(second)] == ["success", "success"]
    assert airflow.pushes_of(first) == airflow.pushes_of(second) == 1


def test_a_cleared_run_does_not_publish_twice(airflow):
    run_id = airflow.trigger(seconds=0.03)
    airflow.finished(run_id)
    body = {"dry_run": False, "dag_run_id": run_id, "only_failed": False, "reset_dag_runs": True}
    airflow.api.call("POST", "dags/probe/clearTaskInstances", body)
    assert airflow.finished(run_id) == "success"
    assert airflow.pushes_of(run_id) == 1
    assert airflow.executions(run_id, "Train") == ["COMPLETE"]


def test_a_scheduled_run_waits_for_its_days_data_and_takes_no_other(airflow):
    runs = airflow.api.call("GET", "dags/probe/dagRuns?order_by=execution_date")["dag_runs"]
    scheduled = next(run for run in runs if run["run_type"] == "scheduled")
    assert scheduled["state"] == "running", "it must wait: its data is not there"
    day = datetime.date.fromisoformat(scheduled["data_interval_start"][:10])
    airflow.deliver(spans.number_of(day) + 40)
    airflow.deliver(spans.number_of(day))
    assert airflow.finished(scheduled["dag_run_id"]) == "success"
    assert _days_of(airflow, scheduled["dag_run_id"]) == [spans.number_of(day)]


def test_a_backfill_trains_each_date_on_its_own_data_in_order(airflow):
    days = [datetime.date(2026, 2, 1) + datetime.timedelta(days=n) for n in range(5)]
    for day in days:
        airflow.deliver(spans.number_of(day))
    command = ["airflow", "dags", "backfill", "probe", "-s", str(days[0]), "-e", str(days[-1])]
    # Airflow's backfill and its scheduler write the same rows and may deadlock; the command again goes on.
    for _ in range(3):
        done = airflow.command(*command, "--rerun-failed-tasks", timeout=600)
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    ids = [f"backfill__{day}T00:00:00+00:00" for day in days]
    assert [_days_of(airflow, run_id) for run_id in ids] == [[spans.number_of(day)] for day in days]
    trained = [airflow.record(run_id).nodes["Train"] for run_id in ids]
    assert all(a.ended <= b.started for a, b in itertools.pairwise(trained))
    records = [airflow.record(run_id) for run_id in ids]
    assert [record.settings["span"] for record in records] == [spans.number_of(day) for day in days]
    for day, record in zip(days, records, strict=True):
        version = record.pushed.rpartition("/")[2]
        told = airflow.command(sys.executable, "-m", "pipelines", "lineage", "probe", version)
        assert f"span {spans.number_of(day)}" in told.stdout, told.stdout + told.stderr


def test_metadata_on_postgresql_takes_texts_with_backslashes(airflow):
    text = r"""{"config": "{\"curve\": \"PR\"}"} it's c:\new"""
    program = Path(__file__).with_name("programs") / "backslashes.py"
    done = airflow.command(sys.executable, str(program), airflow.installation.metadata_url(), text)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [text, text]


def test_starting_airflow_again_changes_nothing(airflow):
    before = airflow.services()
    done = airflow.command(sys.executable, "-m", "dags.control", "up")
    assert done.returncode == 0 and airflow.api.url in done.stdout, done.stderr
    assert airflow.services() == before


def test_without_a_host_a_task_runs_its_node_as_a_process(airflow):
    command = [
        "env",
        "VIADUCT_NODE_PROCESS=1",
        "airflow",
        "tasks",
        "test",
        "probe",
        "ArrowExampleGen",
        "2026-01-02",
    ]
    airflow.deliver(spans.number_of(datetime.date(2026, 1, 2)))
    done = airflow.command(*command)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (folder,) = airflow.paths.runs.glob("*temporary_run*")  # the run id that "tasks test" makes up
    record = run_record.read(folder / "run.json")
    assert record.nodes["ArrowExampleGen"].state == "done"
    assert record.nodes["ArrowExampleGen"].summary["rows"] == {"all": 20}


def test_a_new_span_starts_the_project_that_waits_for_data(airflow):
    """A third copy of the probe, with schedule "@data": its first span is old news, its second starts a run."""
    fed = airflow.checkout / "pipelines" / "fed"
    shutil.copytree(
        airflow.checkout / "pipelines" / "probe", fed, ignore=shutil.ignore_patterns("__pycache__")
    )
    for file in fed.glob("*.*"):
        text = file.read_text().replace("probe", "fed").replace('schedule="@daily"', 'schedule="@data"')
        file.write_text(text.replace('spans="date"', 'spans="counter"'))
    data = airflow.home / "data" / "fed"
    shutil.copytree(airflow.deliver(1), data / "span-1")
    try:
        looks = "dags/viaduct_deliveries/dagRuns"
        airflow.until(
            lambda: airflow.dag("viaduct_deliveries") and airflow.dag("fed"), "the DAG that looks for data"
        )
        airflow.api.unpause("fed")
        first = {"state": "success"}
        airflow.until(
            lambda: first in [_state(run) for run in airflow.api.call("GET", looks)["dag_runs"]], "a look"
        )
        shutil.copytree(data / "span-1", data / ".span-2")
        (data / ".span-2").rename(data / "span-2")
        runs = airflow.until(
            lambda: airflow.api.call("GET", "dags/fed/dagRuns")["dag_runs"], "a run of its own"
        )
        assert runs[0]["run_type"] == "dataset_triggered"
        assert airflow.finished(runs[0]["dag_run_id"], "fed") == "success"
        record = run_record.read(
            airflow.home / "runs/fed" / run_id_for("fed", runs[0]["dag_run_id"]) / "run.json"
        )
        assert record.settings["span"] == 2
    finally:
        shutil.rmtree(fed)


def _state(run: dict) -> dict:
    return {"state": run["state"]}


def test_a_deleted_and_restored_dag_runs_again(airflow):
    folder, aside = airflow.checkout / "pipelines" / "probe", airflow.checkout / "probe.aside"
    for run in airflow.api.call("GET", "dags/probe/dagRuns?state=running&state=queued")["dag_runs"]:
        path = f"dags/probe/dagRuns/{run['dag_run_id'].replace('+', '%2B')}"
        airflow.api.call("PATCH", path, {"state": "failed"})
    running = "dags/probe/dagRuns/~/taskInstances?state=running"
    airflow.until(lambda: not airflow.api.call("GET", running)["task_instances"], "the end of its tasks", 90)
    folder.rename(aside)
    try:
        airflow.until(lambda: _deleted(airflow), "Airflow to let go of the DAG")
        assert not airflow.dag("probe")
    finally:
        aside.rename(folder)
    airflow.until(lambda: airflow.dag("probe"), "the restored DAG")
    airflow.api.unpause("probe")
    run_id = airflow.trigger(seconds=0.8)
    assert airflow.finished(run_id) == "success"
    assert airflow.pushes_of(run_id) == 1


def _deleted(airflow) -> bool:
    """Airflow refuses with 409 while a task of the DAG is still ending."""
    try:
        airflow.api.call("DELETE", "dags/probe")
    except ApiError as error:
        if error.status not in (404, 409):
            raise
        return error.status == 404
    return True
