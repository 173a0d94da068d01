"""What goes wrong under a real scheduler: after each fault the run ends right, and nothing is published twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

import pytest

from dags import supervisor

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
    airflow.api.call("PATCH", f"dags/probe/dagRuns/{run_id.replace('+', '%2B')}", {"state": "failed"})
    airflow.until(lambda: _gone(node), "the end of the node's process", 60)
    assert airflow.pushes_of(run_id) == 0 if airflow.record(run_id).nodes["Train"].summary else True


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
    assert airflow.until(lambda: airflow.record(run_id).state == "failed", "the record's end", 60)


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
