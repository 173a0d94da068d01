"""A node as a process of its own: its log is streamed, its answer read, its end forwarded. No TFX needed."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from dags.node_call import NodeCall, last_json, use_host
from pipelines.base.host_client import CallError, Request


def asked(folder: Path) -> Request:
    return Request("unused:unused", {}, folder / "node.log", folder / "result.json", dict(os.environ))


def call(folder: Path, program: str) -> NodeCall:
    return NodeCall(asked(folder), [sys.executable, "-u", "-c", program])


def test_the_log_is_said_line_by_line_and_the_answer_comes_after_it(tmp_path):
    said: list[str] = []
    program = "import sys; print('one {'); print('two', file=sys.stderr); print('{\\n \"rows\": 3\\n}')"
    assert call(tmp_path, program).follow(said.append) == {"rows": 3}
    assert said[:2] == ["one {", "two"]


def test_an_earlier_attempts_log_is_not_said_again(tmp_path):
    (tmp_path / "node.log").write_text('{"rows": 1}\n')
    said: list[str] = []
    with pytest.raises(CallError):
        call(tmp_path, "print('again')").follow(said.append)
    assert said == ["again"]


def test_a_process_that_fails_or_is_killed_says_how(tmp_path):
    with pytest.raises(CallError, match=r"^the cause$"):
        call(tmp_path, "print('viaduct: the cause'); raise SystemExit(1)").follow(print)
    with pytest.raises(CallError, match="exit code 3"):
        call(tmp_path, "raise SystemExit(3)").follow(print)
    with pytest.raises(CallError, match="signal 9"):
        call(tmp_path, "import os; os.kill(os.getpid(), 9)").follow(print)


def test_cancelling_ends_the_process_and_what_it_started(tmp_path):
    program = (
        "import subprocess, sys, time\n"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid); time.sleep(60)"
    )
    running = call(tmp_path, program)
    said: list[str] = []
    failed: list[BaseException] = []

    def follow() -> None:
        try:
            running.follow(said.append)
        except CallError as error:
            failed.append(error)

    thread = threading.Thread(target=follow)
    thread.start()
    while not said:
        time.sleep(0.02)
    running.cancel()
    thread.join(20)
    assert failed and not thread.is_alive()
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in (running.pid, int(said[0]))):
        assert time.monotonic() < deadline, "something of the node goes on"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_answer_is_the_last_object_that_begins_a_line():
    assert last_json('{"a": 1}\ntext {"b": 2}\n{"c": {\n"d": 3}}\nbye') == {"c": {"d": 3}}
    assert last_json("nothing {here}") is None


@pytest.mark.parametrize(
    ("variable", "executor", "expected"),
    [
        ("", "LocalExecutor", True),
        ("", "CeleryExecutor", False),
        ("", "KubernetesExecutor", False),
        ("1", "LocalExecutor", False),
        ("0", "CeleryExecutor", True),
    ],
)
def test_executors_of_other_machines_get_processes_unless_told_otherwise(
    monkeypatch, variable, executor, expected
):
    monkeypatch.setenv("VIADUCT_NODE_PROCESS", variable)
    assert use_host(executor) is expected
