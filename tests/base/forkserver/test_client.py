"""Callers of a host that is stopped, gone or somebody else's process. No TFX."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.base.errors import ProjectError, ViaductError
from pipelines.base.forkserver import client, connection
from pipelines.base.forkserver.client import Call, CallError, Request
from pipelines.base.forkserver.connection import HostError
from pipelines.base.forkserver.containment import state_of
from tests.base.forkserver.conftest import gone, start, until

Requests = Callable[..., Request]


def suspend(host: subprocess.Popen[bytes]) -> None:
    os.kill(host.pid, signal.SIGSTOP)
    until(lambda: state_of(host.pid) == "T")


@pytest.fixture
def stopped(host: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    suspend(host)
    return host


def test_a_stopped_host_is_named_with_what_to_do(
    home: Path, stopped: subprocess.Popen[bytes], request_for: Requests
) -> None:
    path = client.socket_path(home)
    said = rf"\(process {stopped.pid}\) is stopped .*`viaduct host stop` ends it"
    with pytest.raises(HostError, match=said):
        client.ensure(home)
    with pytest.raises(HostError, match=said):
        Call(path, request_for("answer", number=3))
    assert not client.answers(path)


def test_ctrl_c_while_a_host_warms_up_ends_what_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    spawn = client._spawn
    monkeypatch.setattr(client, "_spawn", lambda path: started.append(spawn(path)) or started[-1])

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.ensure(tmp_path, interrupt)
    (host,) = started
    assert host.poll() is not None and gone(host.pid)
    assert connection.owner_of(client.socket_path(tmp_path)) == 0


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """What the client starts as hosts, which import nothing."""
    started: list[subprocess.Popen[bytes]] = []
    monkeypatch.setattr(client, "_spawn", lambda path: started.append(start(path.parents[1])) or started[-1])
    yield started
    for process in started:
        process.kill()
        process.wait()


def test_a_host_that_was_begun_is_the_one_that_is_asked_for(
    home: Path, spawned: list[subprocess.Popen[bytes]], request_for: Requests
) -> None:
    with client.beginning(home):
        assert len(spawned) == 1
        path = client.ensure(home)
    assert Call(path, request_for("answer", number=3)).wait() == 3
    with client.beginning(home):
        assert client.ensure(home) == path
    assert len(spawned) == 1


def test_a_host_that_nobody_asked_for_goes_while_it_warms_up(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    monkeypatch.setattr(
        client, "_spawn", lambda path: started.append(subprocess.Popen(["sleep", "60"])) or started[-1]
    )
    with pytest.raises(ProjectError), client.beginning(home):
        raise ProjectError("the data are no data")
    (warming_up,) = started
    assert warming_up.poll() is not None


def test_a_stopped_host_whose_queue_is_full_is_named_too(
    home: Path, stopped: subprocess.Popen[bytes], request_for: Requests
) -> None:
    path, queued = client.socket_path(home), []
    with pytest.raises(BlockingIOError):
        while True:
            queued.append(socket.socket(socket.AF_UNIX))
            queued[-1].setblocking(False)
            queued[-1].connect(str(path))
    with pytest.raises(HostError, match="is stopped"):
        Call(path, request_for("answer", number=3))


def test_a_stopped_host_is_ended_by_stop(home: Path, stopped: subprocess.Popen[bytes]) -> None:
    assert client.stop(home)
    assert stopped.wait(30) == 0 and not client.answers(client.socket_path(home))


def test_a_call_whose_host_is_stopped_fails_and_its_process_ends(
    home: Path,
    host: subprocess.Popen[bytes],
    request_for: Requests,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "STOPPED_S", 0.0)
    call = Call(client.socket_path(home), request_for("sleep", told=str(tmp_path / "told")))
    suspend(host)
    with pytest.raises(CallError, match=r"process \d+\) is stopped"):
        call.wait()
    until(lambda: gone(call.pid))


def test_cancelling_ends_a_call_whose_host_is_stopped(
    home: Path, host: subprocess.Popen[bytes], request_for: Requests, tmp_path: Path
) -> None:
    call = Call(client.socket_path(home), request_for("sleep", told=str(tmp_path / "told")))
    suspend(host)
    failures: list[CallError] = []

    def wait() -> None:
        try:
            call.wait()
        except CallError as error:
            failures.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    call.cancel()
    waiting.join(30)
    assert "cancelled" in failures[0].cause
    until(lambda: gone(call.pid))


@pytest.fixture
def mute(home: Path) -> Iterator[Path]:
    """The socket of a host that listens and never answers."""
    path = client.socket_path(home)
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(8)
        yield path


def test_a_host_that_does_not_answer_in_time_is_named(
    home: Path, mute: Path, request_for: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = connection.Connection.receive
    monkeypatch.setattr(connection.Connection, "receive", lambda self, limit_s=0.1: limited(self, 0.1))
    with pytest.raises(HostError, match=rf"process {os.getpid()}\) did not answer .*viaduct host stop"):
        Call(mute, request_for("answer", number=3))
    with pytest.raises(HostError, match="did not answer"):
        client.ensure(home)


def test_an_interrupt_is_heard_while_a_host_does_not_answer(mute: Path, request_for: Requests) -> None:
    program = (
        "import sys, pathlib\nfrom pipelines.base.forkserver.client import Call, Request\n"
        "path = pathlib.Path(sys.argv[1])\nprint('calls', flush=True)\n"
        "Call(path, Request('a:b', {}, path, path, {}))"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", program, str(mute)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert caller.stdout is not None and caller.stdout.readline() == "calls\n"
    caller.send_signal(signal.SIGINT)
    _, errors = caller.communicate(timeout=connection.ANSWER_S / 2)
    assert caller.returncode == -signal.SIGINT and "KeyboardInterrupt" in errors


@pytest.mark.parametrize("written", ["", "none", "4194305", "self"])
def test_stop_leaves_a_process_alone_that_is_no_host(written: str, home: Path) -> None:
    lock = client.socket_path(home).with_suffix(".lock")
    lock.parent.mkdir(parents=True)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    lock.write_text(str(other.pid) if written == "self" else written)
    assert not client.stop(home)
    assert other.poll() is None
    other.kill()
    other.wait()


def test_stop_ends_a_host_that_does_not_heed_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "STOP_S", 0.3)
    path = client.socket_path(home)
    program = (
        "import signal, time, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); "
        "time.sleep(300)"
    )
    deaf = subprocess.Popen(
        [sys.executable, "-c", program, "--socket", str(path)], stdout=subprocess.PIPE, text=True
    )
    assert deaf.stdout is not None and deaf.stdout.readline()
    path.parent.mkdir(parents=True)
    path.with_suffix(".lock").write_text(str(deaf.pid))
    assert client.stop(home)
    assert deaf.wait(30) == -signal.SIGKILL


def test_callers_that_come_at_once_share_one_host_by_whatever_name_they_know_home(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    link = tmp_path / "link"
    link.symlink_to(home)
    monkeypatch.setattr(client, "socket_path", lambda folder: folder / "host" / "x.sock")
    spawned: list[subprocess.Popen[bytes]] = []

    def spawn(path: Path) -> subprocess.Popen[bytes]:
        spawned.append(start(path.parent.parent))
        return spawned[-1]

    monkeypatch.setattr(client, "_spawn", spawn)
    with ThreadPoolExecutor() as threads:
        paths = list(threads.map(client.ensure, [home, link] * 3))
    assert {path.resolve() for path in paths} == {home / "host" / "x.sock"}
    until(lambda: sum(process.poll() is None for process in spawned) == 1)
    assert client.owner_of(paths[0]) == client.owner_of(paths[1]) in [process.pid for process in spawned]
    assert client.stop(link) and not client.stop(home)
    assert {process.wait(30) for process in spawned} == {0}


def test_a_refused_call_says_why(home: Path, host: subprocess.Popen[bytes], request_for: Requests) -> None:
    wrong = request_for("answer", number="x" * (9 << 20))
    with pytest.raises(HostError, match="refused the call: the request is longer than"):
        Call(client.socket_path(home), wrong)


def test_a_host_that_went_away_is_no_fault_of_the_project(home: Path, request_for: Requests) -> None:
    with pytest.raises(HostError, match="went away") as caught:
        Call(client.socket_path(home), request_for("answer", number=3))
    assert not isinstance(caught.value, ProjectError)


@pytest.mark.parametrize("idle", ["-1", "0", "nan", "inf", "soon"])
def test_an_idle_time_that_is_none_is_refused(idle: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(client.IDLE_VARIABLE, idle)
    with pytest.raises(ViaductError, match="expected a positive number of seconds"):
        client.ensure(home)


def test_a_host_whose_log_cannot_be_written_is_told_in_a_sentence(home: Path) -> None:
    client.socket_path(home).with_suffix(".log").mkdir(parents=True)
    with pytest.raises(HostError, match=r"could not be started: .*\.log"):
        client.ensure(home)
