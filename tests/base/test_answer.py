"""Starting a model server that does not become ready. No TensorFlow: the server is a few lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.base import answer
from pipelines.base.errors import ProjectError, ViaductError

Popen = subprocess.Popen[str]


@pytest.fixture
def started() -> list[Popen]:
    """The processes that were started instead of the server."""
    return []


def start(
    program: str, started: list[Popen], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """`start_server` where the server is `program`."""
    real = subprocess.Popen

    def popen(command: list[str], **options: object) -> Popen:
        started.append(real([sys.executable, "-c", program], **options))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    process, addresses = answer.start_server("m", tmp_path, tmp_path / "server.log")
    answer.end(process)
    return addresses


READY = f"print('{answer.READY} grpc=127.0.0.1:1 rest=127.0.0.1:2', flush=True); "


def test_the_addresses_are_what_the_server_says(
    started: list[Popen], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = f"import time; print('first', flush=True); {READY} time.sleep(300)"
    said = start(program, started, tmp_path, monkeypatch)
    assert said == {"grpc": "127.0.0.1:1", "rest": "127.0.0.1:2"}
    assert started[0].returncode == -15


@pytest.mark.parametrize(
    "program",
    [
        "import time; time.sleep(300)",
        "import sys, time; sys.stdout.write('half a line'); sys.stdout.flush(); time.sleep(300)",
        "while True: print('busy', flush=True)",
        "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(300)",
        "import sys, time; sys.stdout.buffer.write(b'\\xff\\n'); sys.stdout.flush(); time.sleep(300)",
    ],
    ids=["silent", "half a line", "talkative", "deaf", "no text"],
)
def test_a_server_that_does_not_become_ready_is_ended_at_the_time_limit(
    program: str, started: list[Popen], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer, "START_TIMEOUT_S", 0.5)
    with pytest.raises(ViaductError, match=r"not become ready within 0.5 s; its log: .*server.log") as caught:
        start(program, started, tmp_path, monkeypatch)
    assert not isinstance(caught.value, ProjectError)
    assert started[0].returncode is not None


def test_a_server_that_ends_is_not_waited_for(
    started: list[Popen], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ViaductError, match="ended before it was ready"):
        start("print('no model')", started, tmp_path, monkeypatch)


def test_a_server_that_goes_on_talking_is_never_held_up(
    started: list[Popen], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = tmp_path / "done"
    program = (
        f"{READY} print('x' * 1_000_000, flush=True); open({str(done)!r}, 'w'); import time; time.sleep(300)"
    )
    real = answer.end

    def end_when_done(process: Popen) -> None:
        while not done.exists():
            assert process.poll() is None
        real(process)

    monkeypatch.setattr(answer, "end", end_when_done)
    start(program, started, tmp_path, monkeypatch)


def test_a_server_that_does_not_heed_its_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "END_TIMEOUT_S", 0.2)
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(300)"
    deaf = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert deaf.stdout is not None and deaf.stdout.readline()
    answer.end(deaf)
    assert deaf.returncode == -9
