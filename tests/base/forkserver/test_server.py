"""The host outlives what is sent to it, there is one of it, and a call's helpers end with the call. No TFX."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.forkserver import client, server
from pipelines.base.forkserver.client import Call, CallError, Request
from pipelines.base.forkserver.containment import children_of
from tests.base.forkserver.conftest import gone, start, until

Requests = Callable[..., Request]


def connect(home: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(client.socket_path(home)))
    connection.settimeout(30)
    return connection


def said(connection: socket.socket) -> dict[str, Any]:
    """What the host says; then it is hung up."""
    with connection, connection.makefile("rb") as lines:
        answer: dict[str, Any] = json.loads(lines.readline())
        return answer


WHOLE = {"call": "a:b", "kwargs": {}, "log": "/l", "result": "/r", "env": {}, "cwd": "/"}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"hello", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "list, expected an object"),
        (b"{}", "'call' is nothing, expected str"),
        (json.dumps({k: v for k, v in WHOLE.items() if k != "env"}).encode(), "'env' is nothing"),
        (json.dumps({**WHOLE, "kwargs": 7}).encode(), "'kwargs' is 7, expected dict"),
        (json.dumps({**WHOLE, "env": {"A": 7}}).encode(), "'env' holds values that are no texts"),
    ],
)
def test_a_request_that_is_none_is_answered_and_the_others_go_on(
    line: bytes, what: str, home: Path, host: subprocess.Popen[bytes], request_for: Requests, tmp_path: Path
) -> None:
    running = Call(client.socket_path(home), request_for("sleep", told=str(tmp_path / "told")))
    wrong = connect(home)
    wrong.sendall(line + b"\n")
    assert what in said(wrong)["error"]
    assert Call(client.socket_path(home), request_for("answer", number=3)).wait() == 3
    assert host.poll() is None and not gone(running.pid)
    running.cancel()


def test_an_endless_line_is_refused_at_its_limit(
    home: Path, host: subprocess.Popen[bytes], request_for: Requests
) -> None:
    endless = connect(home)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        while True:
            endless.sendall(b"x" * (1 << 20))
    assert f"longer than {server.REQUEST_LIMIT:,} bytes" in said(endless)["error"]
    assert Call(client.socket_path(home), request_for("answer", number=3)).wait() == 3


@pytest.mark.slow
def test_half_a_line_and_silence_are_closed_after_a_time(home: Path, host: subprocess.Popen[bytes]) -> None:
    half, silent = connect(home), connect(home)
    half.sendall(b'{"call": ')
    assert "no whole request" in said(half)["error"]
    assert "no whole request" in said(silent)["error"]


def test_more_idle_connections_than_the_host_may_open_files_keep_nobody_out(
    home: Path, request_for: Requests
) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, limits[1]))
    try:
        process = start(home)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    until(lambda: client.answers(client.socket_path(home)))
    idle = [connect(home) for _ in range(server.WAITING_LIMIT + 60)]
    try:
        assert Call(client.socket_path(home), request_for("answer", number=3)).wait() == 3
        assert process.poll() is None
    finally:
        for connection in idle:
            connection.close()
        process.kill()
        process.wait()


def test_the_second_of_two_hosts_leaves_the_firsts_number_in_the_lock(
    home: Path, host: subprocess.Popen[bytes]
) -> None:
    assert start(home).wait(30) == 0
    assert client.socket_path(home).with_suffix(".lock").read_text() == str(host.pid)
    assert client.stop(home)
    assert host.wait(30) == 0


def test_of_hosts_that_start_at_once_one_stays(home: Path) -> None:
    hosts = [start(home) for _ in range(4)]
    until(lambda: sum(process.poll() is None for process in hosts) == 1)
    (one,) = (process for process in hosts if process.poll() is None)
    until(lambda: client.answers(client.socket_path(home)))
    assert client.socket_path(home).with_suffix(".lock").read_text() == str(one.pid)
    assert client.stop(home)
    assert [process.wait(30) for process in hosts] == [0, 0, 0, 0]


@pytest.mark.parametrize("then", ["return", "kill"])
def test_helpers_end_with_their_call_however_it_ends(
    then: str, home: Path, host: subprocess.Popen[bytes], request_for: Requests, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    call = Call(client.socket_path(home), request_for("leave_helpers", told=str(told), then=then))
    if then == "kill":
        with pytest.raises(CallError, match="killed by signal 9"):
            call.wait()
    else:
        assert call.wait() is None
    assert [pid for pid in map(int, told.read_text().split()) if not gone(pid)] == []


def test_helpers_end_with_a_call_that_is_cancelled(
    home: Path, host: subprocess.Popen[bytes], request_for: Requests, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    call = Call(client.socket_path(home), request_for("leave_helpers", told=str(told), then="sleep"))
    until(told.exists)
    call.cancel()
    with pytest.raises(CallError, match="cancelled"):
        call.wait()
    until(lambda: all(map(gone, [call.pid, *map(int, told.read_text().split())])))
    assert host.poll() is None


@pytest.mark.parametrize("victim", ["host", "watcher", "worker", "stop"])
def test_helpers_end_whichever_process_is_killed(
    victim: str, home: Path, host: subprocess.Popen[bytes], request_for: Requests, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    call = Call(client.socket_path(home), request_for("leave_helpers", told=str(told), then="sleep"))
    until(told.exists)
    if victim == "stop":
        assert client.stop(home)
    else:
        (watcher,) = children_of(host.pid)
        os.kill({"host": host.pid, "watcher": watcher, "worker": call.pid}[victim], signal.SIGKILL)
    with pytest.raises(CallError):
        call.wait()
    until(lambda: all(map(gone, [call.pid, *map(int, told.read_text().split())])))


def test_a_host_ends_after_its_idle_time_and_leaves_no_socket(home: Path) -> None:
    process = start(home, idle=0.2)
    assert process.wait(30) == 0
    assert not client.socket_path(home).exists()
