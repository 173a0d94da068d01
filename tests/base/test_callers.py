"""Calls in processes: values and causes come back, cancelling ends everything, limits hold. No TFX needed."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.base import callers
from pipelines.base.callers import Caller
from pipelines.base.forkserver import client as forkserver
from pipelines.base.forkserver.client import CallError, Request
from pipelines.base.forkserver.server import bind_to
from pipelines.base.paths import Paths
from pipelines.base.run_folder import RunFolder

HERE = "tests.base.calling"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(Paths.of("card_fraud", tmp_path), "card_fraud-x")


@pytest.fixture
def caller(folder: RunFolder) -> Caller:
    return Caller(folder, callers.process)


class FakeStarted:
    """A call that lasts until it is cancelled or told to end."""

    pid = 1

    def __init__(self, request: Request) -> None:
        self.request, self.cancelled, self.ended = request, False, threading.Event()

    def wait(self) -> Any:
        assert self.ended.wait(20)
        if self.cancelled:
            raise CallError("killed by signal 15", self.request.log, -15)
        return "value"

    def cancel(self) -> None:
        self.cancelled = True
        self.ended.set()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_process_returns_its_value_and_its_log_holds_what_it_printed(
    caller: Caller, folder: RunFolder
) -> None:
    assert caller.call("node", f"{HERE}:answer", {"rows": 3}) == {"rows": 3}
    log = folder.log("node").read_text()
    assert "one {" in log and "two" in log


@pytest.mark.parametrize(
    ("function", "kwargs", "cause"),
    [
        ("fail", {"cause": "no rows"}, "ValueError: no rows"),
        ("end", {"code": 3}, "exit code 3"),
        ("kill", {}, "killed by signal 9"),
    ],
)
def test_a_process_that_fails_or_is_killed_says_how(
    caller: Caller, function: str, kwargs: dict[str, Any], cause: str
) -> None:
    with pytest.raises(CallError, match=cause):
        caller.call("node", f"{HERE}:{function}", kwargs)


def test_the_result_of_an_earlier_attempt_is_not_taken_for_this_ones(caller: Caller) -> None:
    assert caller.call("node", f"{HERE}:answer", {"rows": 3}) == {"rows": 3}
    with pytest.raises(CallError, match="without a result"):
        caller.call("node", f"{HERE}:end", {"code": 0})


def test_cancelling_ends_the_process_and_what_it_started_and_lets_no_other_begin(
    caller: Caller, tmp_path: Path
) -> None:
    told, failures = tmp_path / "told", []

    def call() -> None:
        try:
            caller.call("node", f"{HERE}:sleep_with_a_child", {"told": str(told)})
        except CallError as error:
            failures.append(error.cause)

    thread = threading.Thread(target=call)
    thread.start()
    wait_for(told.exists)
    pids = [int(pid) for pid in told.read_text().split()]
    assert alive(caller.pid("node"))
    caller.cancel()
    thread.join(20)
    assert failures == ["its process ended without a result: killed by signal 15"]
    wait_for(lambda: not any(alive(pid) for pid in pids))
    with pytest.raises(CallError, match="cancelled"):
        caller.call("another", f"{HERE}:answer", {})


def test_a_call_that_takes_too_long_is_ended_and_says_what_the_limit_was(folder: RunFolder) -> None:
    with pytest.raises(
        CallError, match=r"^it took longer than \S+ h, the card\'s node_hours, and was ended$"
    ):
        Caller(folder, FakeStarted).call("node", "unused:unused", {}, limit_s=0.05)


def test_a_call_that_ends_in_time_is_left_alone(folder: RunFolder) -> None:
    def start(request: Request) -> FakeStarted:
        started = FakeStarted(request)
        started.ended.set()
        return started

    assert Caller(folder, start).call("node", "unused:unused", {}, limit_s=1e12) == "value"


def test_an_interrupt_while_waiting_ends_the_call(folder: RunFolder) -> None:
    begun: list[FakeStarted] = []

    class Interrupted(FakeStarted):
        def wait(self) -> Any:
            begun.append(self)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Caller(folder, Interrupted).call("node", "unused:unused", {})
    assert begun[0].cancelled


def test_a_failure_on_a_full_disk_names_the_disk(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "is_full", lambda path: True)

    class Failed(FakeStarted):
        def wait(self) -> Any:
            raise CallError("its process ended without a result: exit code 1", self.request.log, 1)

    with pytest.raises(CallError, match=r"the disk of .*card_fraud-x is full; make room and run again"):
        Caller(folder, Failed).call("node", "unused:unused", {})


def test_a_disk_with_room_is_not_full(tmp_path: Path) -> None:
    assert not callers.is_full(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_metadata_is_told_after_a_cancellation_too(folder: RunFolder) -> None:
    asked: list[Request] = []

    class Told(FakeStarted):
        def wait(self) -> Any:
            asked.append(self.request)

    caller = Caller(folder, Told)
    caller.cancel()
    assert caller.settle("cancelled", "Trainer") == ""
    assert asked[0].call == "pipelines.base.jobs:fail_active"
    assert asked[0].kwargs["node"] == "Trainer" and asked[0].kwargs["reason"] == "cancelled"


def test_a_store_that_cannot_be_told_is_an_answer_and_no_error(folder: RunFolder) -> None:
    class Refused(FakeStarted):
        def wait(self) -> Any:
            raise CallError("no connection", self.request.log, 1)

    assert Caller(folder, Refused).settle("cancelled") == "no connection"


def test_the_metadata_is_told_by_a_process_where_a_dying_fork_server_still_takes_connections(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = forkserver.socket_path(folder.paths.home)
    path.parent.mkdir(parents=True)
    told: list[str] = []

    class Told(FakeStarted):
        def wait(self) -> Any:
            told.append(self.request.kwargs["reason"])

    monkeypatch.setattr(callers, "process", Told)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        bind_to(listener, path)
        listener.listen()
        threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True).start()
        assert Caller(folder, callers.warm).settle("killed by signal 9", "Trainer") == ""
    assert told == ["killed by signal 9"]
    assert Caller(folder, callers.warm).settle("its fork server is gone") == ""
    assert told[1:] == ["its fork server is gone"]


@pytest.mark.parametrize(
    ("function", "kwargs", "refused"),
    [
        ("refuse", {"cause": "no rows", "wrapped": False}, True),
        ("refuse", {"cause": "no rows", "wrapped": True}, True),
        ("fail", {"cause": "no rows"}, False),
        ("end", {"code": 3}, False),
    ],
)
def test_what_the_project_itself_refused_is_told_from_what_may_go_well_the_next_time(
    caller: Caller, function: str, kwargs: dict[str, Any], refused: bool
) -> None:
    with pytest.raises(CallError) as caught:
        caller.call("node", f"{HERE}:{function}", kwargs)
    assert caught.value.refused is refused


def test_a_call_from_another_python_runs_in_the_named_one_and_sees_nothing_of_the_schedulers(
    caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other" / "bin"
    other.mkdir(parents=True)
    named = other / "python"
    named.write_text(f'#!/bin/sh\nVIADUCT_SEEN=named exec "{sys.executable}" "$@"\n')
    named.chmod(0o755)
    own = str(Path(sys.executable).parent)
    monkeypatch.setenv("VIADUCT_TFX_PYTHON", str(named))
    monkeypatch.setenv("PATH", f"{own}:/usr/bin:/bin")
    for name in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW_HOME", "_AIRFLOW_PARSING_CONTEXT_DAG_ID"):
        monkeypatch.setenv(name, "secret")
    seen = caller.call("node", f"{HERE}:surroundings", {})["environment"]
    assert seen["VIADUCT_SEEN"] == "named"
    assert not [name for name, value in seen.items() if "AIRFLOW" in name or value == "secret"]
    assert seen["PATH"].split(":") == [str(other), "/usr/bin", "/bin"]


def test_the_socket_of_a_host_has_one_name_for_every_python_that_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = forkserver.socket_path(tmp_path)
    monkeypatch.setenv("VIADUCT_TFX_PYTHON", sys.executable)
    monkeypatch.setattr(sys, "executable", "/usr/bin/another")
    assert forkserver.socket_path(tmp_path) == here
    monkeypatch.delenv("VIADUCT_TFX_PYTHON")
    assert forkserver.socket_path(tmp_path) != here
