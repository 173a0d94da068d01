"""Runs under the real scheduler and PostgreSQL: results, dates, data that comes late, two at once."""

from __future__ import annotations

import datetime
import itertools
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from dags import installation as installations
from dags import spans
from dags.rest import ApiError, run_path
from pipelines.base import run_record
from pipelines.base.errors import ViaductError
from pipelines.base.run_folder import run_id_for
from serving.release.folder import Folder
from serving.release.plan import Plan
from serving.release.record import begun

PROGRAMS = Path(__file__).with_name("programs")
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


def _real(airflow) -> str:
    """A folder of rows that are no sample."""
    folder = airflow.home / "real"
    folder.mkdir(exist_ok=True)
    (folder / "rows.csv").write_text("day,value\n7,1\n")
    return str(folder)


def test_a_triggered_run_is_green_and_record_xcom_and_metadata_agree(airflow):
    run_id = airflow.api.trigger("probe", {"parameters": {"seconds": 0.01}, "data": _real(airflow)})
    assert airflow.finished(run_id) == "success"
    record = airflow.record(run_id)
    assert record.state == "succeeded" and record.runner == "airflow"
    assert {node.state for node in record.nodes.values()} <= {"done", "cached"}
    assert record.nodes["Train"].state == record.nodes["Pusher"].state == "done"
    assert airflow.pushes_of(run_id) == 1
    assert airflow.executions(run_id, "Train") == ["COMPLETE"]
    path = f"{run_path('probe', run_id)}/taskInstances/Pusher/xcomEntries/return_value"
    pushed = airflow.api.call("GET", path)["value"]
    assert record.pushed in str(pushed) and Path(record.pushed).parent == airflow.paths.serving
    (event,) = airflow.until(
        lambda: [e for e in airflow.model_events("probe") if e["source_run_id"] == run_id], "the event", 90
    )
    assert event["extra"]["version"] == Path(record.pushed).name and event["extra"]["run"] == record.run_id
    links = airflow.api.call("GET", f"{run_path('probe', run_id)}/taskInstances/Train/links")["extra_links"]
    assert links == {
        "Run page": f"http://127.0.0.1:8600/run?id={record.run_id}",
        "Node log": f"http://127.0.0.1:8600/log?run={record.run_id}&node=Train",
    }


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
        "--sample",
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
    with pytest.raises(ViaductError, match=r"400.*seconds|400.*soon"):
        airflow.trigger(seconds="soon")


def test_a_scheduled_run_makes_no_sample_and_a_triggered_one_starts_none_beside_it(airflow):
    """A fourth copy of the probe, without dates: paused as every new DAG, and nothing in HOME/data."""
    fresh = airflow.copy_probe("fresh", ('spans="date"', 'spans="counter"'))
    served, beside = airflow.home / "serving" / "fresh", airflow.home / "serving" / "fresh.sample.full"
    try:
        airflow.until(lambda: airflow.dag("fresh"), "the DAG")
        command = [
            sys.executable,
            "-m",
            "dags.control",
            "trigger",
            "fresh",
            "--data",
            _real(airflow),
            "--wait",
        ]
        done = airflow.command(*command, "--profile", "full")
        assert done.returncode == 0, done.stdout + done.stderr
        runs = airflow.api.call("GET", "dags/fresh/dagRuns")["dag_runs"]
        assert [run["run_type"] for run in runs] == ["manual"]
        airflow.api.call("DELETE", run_path("fresh", runs[0]["dag_run_id"]))
        (scheduled,) = airflow.until(
            lambda: airflow.api.call("GET", "dags/fresh/dagRuns")["dag_runs"], "the scheduled run", 60
        )
        assert scheduled["run_type"] == "scheduled"
        assert airflow.finished(scheduled["dag_run_id"], "fresh") == "success"
        states = {task["state"] for task in airflow.api.tasks("fresh", scheduled["dag_run_id"])}
        assert states == {"skipped"}
        assert len(list(served.iterdir())) == 1 and not (airflow.home / "samples/fresh").exists()
        asked = airflow.api.trigger("fresh", {"sample": True})
        assert airflow.finished(asked, "fresh") == "success"
        assert len(list(served.iterdir())) == len(list(beside.iterdir())) == 1, "production keeps its model"
        assert len(airflow.model_events("fresh")) == 1, "nobody is to release a sample's model"
    finally:
        shutil.rmtree(fresh)


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
    runs = airflow.api.call("GET", "dags/probe/dagRuns?order_by=logical_date&run_type=scheduled")["dag_runs"]
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
    ids = airflow.backfill(days[0], days[-1])
    assert [airflow.finished(run_id) for run_id in ids] == ["success"] * 5
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
    done = airflow.command(
        sys.executable, str(PROGRAMS / "backslashes.py"), airflow.installation.metadata_url(), text
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [text, text]


def test_starting_airflow_again_changes_nothing(airflow):
    before = airflow.services()
    done = airflow.command(sys.executable, "-m", "dags.control", "up")
    assert done.returncode == 0 and airflow.api.url in done.stdout, done.stderr
    assert airflow.services() == before


def test_without_a_host_a_task_runs_its_node_as_a_process(airflow):
    """Without a worker: a run that Airflow's command makes up for one task is taken up by the scheduler as well."""
    span = spans.number_of(datetime.date(2026, 1, 2))
    airflow.deliver(span)
    root = [
        str(PROGRAMS / "execute_root.py"),
        "manual",
        json.dumps({"span": span}),
        "probe",
        "ArrowExampleGen",
    ]
    done = airflow.command("env", "VIADUCT_NODE_PROCESS=1", installations.python(), *root)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    record = airflow.record("manual__x")
    assert record.nodes["ArrowExampleGen"].state == "done"
    assert record.nodes["ArrowExampleGen"].summary["rows"] == {"train": 20}


def test_a_new_span_starts_the_project_that_waits_for_data(airflow):
    """A third copy of the probe, with schedule "@data": its first span is old news, its second starts a run.

    One that comes while nobody looks, and a triggerer that begins anew, change nothing of that.
    """
    counted = ('spans="date"', 'spans="counter"')
    fed = airflow.copy_probe("fed", ('schedule="@daily"', 'schedule="@data"'), counted)
    data = airflow.home / "data" / "fed"
    shutil.copytree(airflow.deliver(1), data / "span-1")
    try:
        airflow.until(lambda: airflow.dag("fed"), "the DAG")
        airflow.api.unpause("fed")
        airflow.until(lambda: _seen(airflow, "fed") == [1], "the first look")
        _deliver(data, 2)
        (first,) = airflow.until(lambda: _runs(airflow, "fed"), "a run of its own")
        assert first["run_type"] == "asset_triggered"
        airflow.until(lambda: _seen(airflow, "fed") == [1, 2], "the watcher's memory")
        os.kill(airflow.services()["triggerer"], signal.SIGKILL)
        _deliver(data, 3)
        second = airflow.until(lambda: _runs(airflow, "fed")[1:], "a run of what came meanwhile")[0]
        assert [airflow.finished(run["dag_run_id"], "fed") for run in (first, second)] == ["success"] * 2
        assert [_span(airflow, run) for run in (first, second)] == [2, 3]
        airflow.until(lambda: _seen(airflow, "fed") == [1, 2, 3], "the watcher's memory")
        assert len(_runs(airflow, "fed")) == 2
    finally:
        shutil.rmtree(fed)


def _deliver(data: Path, span: int) -> None:
    shutil.copytree(data / "span-1", data / f".span-{span}")
    (data / f".span-{span}").rename(data / f"span-{span}")


def _runs(airflow, project: str) -> list[dict]:
    return airflow.api.call("GET", f"dags/{project}/dagRuns?order_by=run_after")["dag_runs"]


def _span(airflow, run: dict) -> int:
    folder = airflow.home / "runs/fed" / run_id_for("fed", run["dag_run_id"])
    return run_record.read(folder / "run.json").settings["span"]


def _seen(airflow, project: str) -> list[int] | None:
    """What the project's watcher remembers."""
    (asset,) = airflow.api.call("GET", f"assets?uri_pattern=viaduct://{project}/spans")["assets"]
    try:
        told = airflow.api.call("GET", f"assets/{asset['id']}/state-store/seen_spans")["value"]
    except ApiError:
        return None
    return json.loads(told) if isinstance(told, str) else told


def test_a_person_decides_about_the_push_where_the_card_asks_and_a_late_run_is_reported(airflow):
    """A fifth copy of the probe, which asks before it pushes and is late after three seconds."""
    asks = airflow.copy_probe(
        "asks",
        ('schedule="@daily"', "schedule=None, approval=True, deadline_hours=3 / 3600"),
        ('spans="date"', 'spans="counter"'),
    )
    try:
        airflow.until(lambda: airflow.dag("asks"), "the DAG")
        airflow.api.unpause("asks")
        yes, no = (
            airflow.api.trigger("asks", {"data": _real(airflow), "parameters": {"seconds": s}})
            for s in (0.1, 0.2)
        )
        for run_id, answer in ((yes, "Approve"), (no, "Reject")):
            task = f"{run_path('asks', run_id)}/taskInstances/approval"
            airflow.until(lambda path=task: _state(airflow, path) == "awaiting_input", "the question")
            asked = airflow.api.call("GET", f"{task}/-1/hitlDetails")
            assert "Push this model of asks?" in asked["subject"]
            assert "rows >= 1: not measured" in asked["body"] and "production" in asked["body"]
            assert not list((airflow.home / "serving").glob("asks*/*/assets.extra")) or answer == "Reject"
            airflow.api.call("PATCH", f"{task}/-1/hitlDetails", {"chosen_options": [answer]})
            assert airflow.finished(run_id, "asks") == "success"
        records = [airflow.ended(run_id, "asks") for run_id in (yes, no)]
        assert [bool(record.pushed) for record in records] == [True, False]
        assert records[1].nodes["Pusher"].state == "skipped" and records[1].state == "succeeded"
        events = airflow.until(lambda: airflow.model_events("asks"), "the event", 90)
        assert [event["source_run_id"] for event in events] == [yes]
        late = airflow.until(
            lambda: [r for r in airflow.reports if r["project"] == "asks" and not r["node"]], "the alert", 60
        )
        assert "has not ended 0.000833333 h after it was due" in late[0]["cause"]
    finally:
        shutil.rmtree(asks)


def test_a_watch_starts_a_training_whose_release_is_followed_step_by_step_to_a_persons_yes(airflow):
    """A sixth copy of the probe, never trained, which is due every hour; the release is written as a server would."""
    rolls = airflow.copy_probe(
        "rolls",
        ("Project, Variant", "Project, Release, Variant, Watch"),
        (
            'schedule="@daily"',
            'schedule=None, release=Release(steps="50,100", approve=True), watch=Watch(every_hours=1)',
        ),
        ('spans="date"', 'spans="counter"'),
    )
    data = airflow.home / "data" / "rolls" / "span-1"
    data.mkdir(parents=True)
    (data / "rows.csv").write_text("day,value\n7,1\n")
    try:
        airflow.until(
            lambda: all(map(airflow.dag, ("rolls", "rolls.release", "rolls.retraining"))), "the DAGs"
        )
        for dag in ("rolls", "rolls.release", "rolls.retraining"):
            airflow.api.unpause(dag)
        look = airflow.api.trigger("rolls.retraining", {})
        (trained,) = airflow.until(lambda: _runs(airflow, "rolls"), "a training")
        (followed,) = airflow.until(lambda: _runs(airflow, "rolls.release"), "a release that is followed")
        version = int(Path(airflow.ended(trained["dag_run_id"], "rolls").pushed).name)
        place = Folder(airflow.home / "serving" / "rolls")
        release = begun(1, version - 1, version, Plan(shares=(0.5, 1.0)), "controller", "it was pushed")
        tasks = f"{run_path('rolls.release', followed['dag_run_id'])}/taskInstances"
        airflow.until(lambda: _state(airflow, f"{tasks}/begun") == "deferred", "a step without a worker")
        place.save(release)
        task = f"{tasks}/approval"
        airflow.until(lambda: _state(airflow, task) == "awaiting_input", "the question")
        asked = airflow.api.call("GET", f"{task}/-1/hitlDetails")
        assert "May rolls's new version get all traffic?" in asked["subject"]
        assert f"Version {version}: canary, it was pushed" in asked["body"]
        airflow.api.call("PATCH", f"{task}/-1/hitlDetails", {"chosen_options": ["Approve"]})
        airflow.until(lambda: place.newest().approved, "the answer in the release's record")
        place.save(place.newest().moved("promoted", "errors are fine", step=1))
        assert airflow.finished(followed["dag_run_id"], "rolls.release") == "success"
        assert airflow.finished(look, "rolls.retraining") == "success"
        states = {
            t["task_id"]: t["state"] for t in airflow.api.tasks("rolls.release", followed["dag_run_id"])
        }
        assert states == dict.fromkeys(("begun", "approval", "share_50"), "success")
    finally:
        shutil.rmtree(rolls)


def _state(airflow, task: str) -> str:
    return airflow.api.call("GET", task)["state"]


def test_a_deleted_and_restored_dag_runs_again(airflow):
    folder, aside = airflow.checkout / "pipelines" / "probe", airflow.checkout / "probe.aside"
    for run in airflow.api.call("GET", "dags/probe/dagRuns?state=running&state=queued")["dag_runs"]:
        airflow.mark_failed(run["dag_run_id"])
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
