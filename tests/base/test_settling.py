"""Whatever ends a node or its host, ML Metadata says so at once; and what had finished stays finished.

On the project of the scratch checkout, through the command line.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.base import metadata, run_record
from pipelines.base.forkserver import client as forkserver
from pipelines.base.paths import metadata_url
from pipelines.base.run_record import RunRecord
from tests.base.conftest import PROJECT, Scratch

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("scratch")]
LONG = ("run", PROJECT, "--plain", "--set", "epochs=90")


def _host(scratch: Scratch) -> int:
    """The number of the host's process: it is in the lock beside its socket."""
    (lock,) = (scratch.home / "host").glob("*.lock")
    return int(lock.read_text())


def _children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _active(scratch: Scratch) -> list[int]:
    executions = metadata.store(metadata_url(scratch.home)).get_executions()
    return [e.id for e in executions if e.last_known_state in (e.NEW, e.RUNNING)]


def _killed_in_training(scratch: Scratch, kill: Callable[[], None]) -> tuple[RunRecord, str]:
    """A run in whose training `kill` is called, once ML Metadata knows the Trainer's execution."""
    before = {record.run_id for record in run_record.read_all(scratch.paths)}
    env = {**os.environ, "VIADUCT_HOME": str(scratch.home), "PYTHONPATH": str(scratch.checkout)}
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", *LONG],
        cwd=scratch.checkout,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    end = time.monotonic() + 120
    while not _trains(scratch, before):
        assert time.monotonic() < end and process.poll() is None, "it did not come to train"
        time.sleep(0.1)
    kill()
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 1, output
    return scratch.newest(), output


def _trains(scratch: Scratch, before: set[str]) -> bool:
    record = next(run_record.read_all(scratch.paths), None)
    if record is None or record.run_id in before or "Trainer" not in record.nodes:
        return False
    return record.nodes["Trainer"].state == "running" and bool(_active(scratch))


def test_a_node_whose_process_is_killed_is_failed_at_once_with_the_cause(scratch: Scratch) -> None:
    def kill() -> None:
        for child in _children(_host(scratch)):
            os.kill(child, signal.SIGKILL)

    record, output = _killed_in_training(scratch, kill)
    assert record.state == "failed" and "killed by signal 9" in record.nodes["Trainer"].error, output
    assert _active(scratch) == []
    (failed,) = [
        e
        for e in metadata.store(metadata_url(scratch.home)).get_executions()
        if "killed by signal 9" in e.custom_properties["viaduct_failure"].string_value
    ]
    assert failed.last_known_state == failed.FAILED


def test_a_node_whose_host_is_killed_is_failed_at_once(scratch: Scratch) -> None:
    record, output = _killed_in_training(scratch, lambda: os.kill(_host(scratch), signal.SIGKILL))
    assert record.state == "failed" and "host" in record.nodes["Trainer"].error, output
    assert _active(scratch) == []
    assert not forkserver.answers(forkserver.socket_path(scratch.home)), "no new one is needed for that"


def test_after_an_end_in_the_pusher_the_verdict_stands_and_the_model_is_not_compared_with_itself(
    scratch: Scratch,
) -> None:
    first = scratch.run("run", PROJECT, "--plain", "--set", "epochs=4")
    assert first.returncode == 0, first.stdout + first.stderr
    second = ("run", PROJECT, "--plain", "--set", "epochs=5")
    serving, aside = scratch.served, scratch.served.with_name("aside")
    serving.rename(aside)
    serving.write_text("no folder")
    try:
        failed = scratch.run(*second)
    finally:
        serving.unlink()
        aside.rename(serving)
    assert failed.returncode == 1 and "Pusher" in failed.stdout, failed.stdout
    judged = scratch.newest()
    assert judged.nodes["Evaluator"].state == "done" and "auc_diff" in judged.metrics

    done = scratch.run(*second)
    assert done.returncode == 0, done.stdout + done.stderr
    record = scratch.newest()
    assert {record.nodes[name].state for name in ("Trainer", "Evaluator")} == {"cached"}
    assert record.nodes["Pusher"].state == "done" and record.metrics == judged.metrics


def test_another_metadata_store_is_never_up_to_date(scratch: Scratch, tmp_path: Path) -> None:
    again = ("run", PROJECT, "--plain", "--set", "epochs=5")
    assert "Nothing has changed" in scratch.run(*again).stdout
    done = scratch.run(*again, VIADUCT_METADATA=f"sqlite://{tmp_path}/other%23.db")
    assert done.returncode == 0 and "Nothing has changed" not in done.stdout, done.stdout
    assert (tmp_path / "other#.db").exists()


def test_a_span_that_is_not_there_leaves_nothing_running(scratch: Scratch) -> None:
    done = scratch.run("run", PROJECT, "--plain", "--span", "99")
    assert done.returncode == 1 and _active(scratch) == [], done.stdout
