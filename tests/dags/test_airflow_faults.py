"""What goes wrong under a real scheduler: after each fault the run ends right, and nothing is published twice."""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
import signal
import subprocess

import pytest

from dags import spans, supervisor

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.slow,
    pytest.mark.xdist_group("airflow"),
    pytest.mark.timeout(900),
]


def _gone(pid: int) -> bool:
    return not os.path.exists(f"/proc/{pid}")


def test_a_killed_node_is_tried_again_and_its_first_attempt_is_marked_failed(airflow):
    run_id = airflow.trigger(seconds=4.1)
    os.kill(airflow.wait_for_train(run_id), signal.SIGKILL)
    assert airflow.finished(run_id) == "success"
    assert airflow.executions(run_id, "Train") == ["FAILED", "COMPLETE"]
    assert airflow.pushes_of(run_id) == 1


def test_a_killed_host_takes_its_nodes_along_and_a_new_one_finishes_the_run(airflow):
    run_id = airflow.trigger(seconds=4.2)
    node = airflow.wait_for_train(run_id)
    (lock,) = (airflow.home / "host").glob("*.lock")
    os.kill(int(lock.read_text()), signal.SIGKILL)
    airflow.until(lambda: _gone(node), "the end of the host's child", 20)
    assert airflow.finished(run_id) == "success"
    assert airflow.pushes_of(run_id) == 1


def test_a_killed_scheduler_comes_back_and_its_run_ends_once(airflow):
    run_id = airflow.trigger(seconds=6.3)
    airflow.wait_for_train(run_id)
    killed = airflow.services()["scheduler"]
    os.kill(killed, signal.SIGKILL)
    airflow.until(lambda: airflow.services().get("scheduler") not in (killed, None), "another scheduler", 60)
    assert not supervisor.sessions_processes(killed), "the dead scheduler left something running"
    assert airflow.finished(run_id) == "success"
    assert airflow.pushes_of(run_id) == 1


def test_a_restart_of_postgresql_in_the_middle_of_a_run_ends_in_a_green_run(airflow):
    run_id = airflow.trigger(seconds=4.4)
    airflow.wait_for_train(run_id)
    airflow.cluster.restart()
    assert airflow.finished(run_id) == "success"
    assert airflow.pushes_of(run_id) == 1


def test_a_full_disk_fails_the_attempt_and_the_next_one_succeeds_when_there_is_room(airflow):
    disk = airflow.home / "small-disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True
    )
    if mounted.returncode != 0:
        disk.rmdir()
        pytest.skip("the right to mount a small file system is missing")
    try:
        run_id = airflow.trigger(seconds=0.51)
        airflow.until(lambda: "No space left" in str(_train_error(airflow, run_id)), "the failed attempt")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
        disk.rmdir()
    assert airflow.finished(run_id) == "success"
    assert airflow.executions(run_id, "Train")[-1] == "COMPLETE"
    assert airflow.pushes_of(run_id) == 1


def _train_error(airflow, run_id: str) -> str:
    record = airflow.record(run_id)
    return record.nodes["Train"].error if record and "Train" in record.nodes else ""


def test_a_run_that_a_person_marks_failed_ends_its_node(airflow):
    run_id = airflow.trigger(seconds=120.0)
    node = airflow.wait_for_train(run_id)
    airflow.mark_failed(run_id)
    airflow.until(lambda: _gone(node), "the end of the node's process", 60)
    record = airflow.ended(run_id)
    assert (record.state, record.nodes["Train"].state) == ("failed", "failed")
    assert not record.pushed


def test_a_failure_that_lasts_is_reported_with_node_cause_and_log(airflow):
    run_id = airflow.trigger(seconds=0.6, fail=True)
    assert airflow.finished(run_id) == "failed"
    report = airflow.until(
        lambda: next((r for r in airflow.reports if r["run"] == run_id), None), "the report", 30
    )
    assert (
        report["node"] == "Train" and "asked to fail" in report["cause"] and report["log"].startswith("http")
    )
    assert airflow.executions(run_id, "Train") == ["FAILED"] * 3
    assert airflow.ended(run_id).state == "failed"


def test_what_the_project_itself_refuses_is_not_tried_again(airflow):
    run_id = airflow.trigger(seconds=-1.0)
    assert airflow.finished(run_id) == "failed"
    assert airflow.executions(run_id, "Train") == ["FAILED"]
    assert "expected 0 or more" in airflow.record(run_id).nodes["Train"].error


def test_a_report_that_fails_keeps_no_model_back_and_the_run_has_failed(airflow):
    run_id = airflow.trigger(seconds=0.61, fail_report=True)
    assert airflow.finished(run_id) == "failed"
    record = airflow.ended(run_id)
    states = {name: node.state for name, node in record.nodes.items()}
    assert (states["Report"], states["Pusher"], record.state) == ("failed", "done", "failed")
    assert "asked to fail" in record.nodes["Report"].error
    assert record.pushed and airflow.pushes_of(run_id) == 1


def test_a_backfill_goes_on_when_the_scheduler_is_killed_with_all_its_tasks(airflow):
    days = [datetime.date(2026, 3, 1), datetime.date(2026, 3, 2)]
    for day in days:
        airflow.deliver(spans.number_of(day))
    ids = airflow.backfill(*days, "--dag-run-conf", '{"parameters": {"seconds": 8.1}}')
    airflow.wait_for_train(ids[0])
    killed = airflow.services()["scheduler"]
    for pid in supervisor.sessions_processes(killed):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert [airflow.finished(run_id) for run_id in ids] == ["success", "success"]
    assert [airflow.pushes_of(run_id) for run_id in ids] == [1, 1]
    assert airflow.executions(ids[0], "Train") == ["FAILED", "COMPLETE"]


def test_days_of_a_cancelled_backfill_are_trained_on_by_another_one_after_an_edit(airflow):
    days = [datetime.date(2026, 3, 11), datetime.date(2026, 3, 12)]
    for day in days:
        airflow.deliver(spans.number_of(day))
    ids = airflow.backfill(*days, "--dag-run-conf", '{"parameters": {"seconds": 60.0}}')
    node = airflow.wait_for_train(ids[0])
    (backfill,) = airflow.api.call("GET", "backfills?dag_id=probe&order_by=-id&limit=1")["backfills"]
    airflow.api.call("PUT", f"backfills/{backfill['id']}/cancel")
    for run_id in ids:  # cancelling ends what is queued and lets go on what has begun
        airflow.mark_failed(run_id)
    airflow.until(lambda: _gone(node), "the end of the node's process", 60)
    assert [airflow.finished(run_id) for run_id in ids] == ["failed", "failed"]
    record = airflow.ended(ids[0])
    assert (record.state, record.nodes["Train"].state) == ("failed", "failed")
    steps = airflow.checkout / "pipelines/probe/steps.py"
    steps.write_text(steps.read_text() + "\n# edited\n")
    conf = '{"parameters": {"seconds": 0.12}}'
    again = airflow.backfill(*days, "--reprocess-behavior", "failed", "--dag-run-conf", conf)
    assert again == ids
    assert [airflow.finished(run_id) for run_id in ids] == ["success", "success"]
    assert [airflow.pushes_of(run_id) for run_id in ids] == [1, 1]


def test_a_broken_project_names_file_and_line_while_the_others_keep_running(airflow):
    broken = airflow.checkout / "pipelines" / "broken"
    shutil.copytree(
        airflow.checkout / "pipelines" / "probe", broken, ignore=shutil.ignore_patterns("__pycache__")
    )
    card = (broken / "project.py").read_text().replace('name="probe"', 'name="broken"')
    (broken / "project.py").write_text(card)
    (broken / "steps.py").write_text("import json\nimport no_such_module\n")
    try:
        errors = airflow.until(
            lambda: airflow.api.call("GET", "importErrors")["import_errors"], "the import error"
        )
        assert any("pipelines/broken/steps.py:2" in error["stack_trace"] for error in errors)
        assert all(error["filename"].endswith("viaduct_broken.py") for error in errors)
        run_id = airflow.trigger(seconds=0.7)
        assert airflow.finished(run_id) == "success"
    finally:
        shutil.rmtree(broken)
    airflow.until(
        lambda: not airflow.api.call("GET", "importErrors")["import_errors"], "the end of the import error"
    )
