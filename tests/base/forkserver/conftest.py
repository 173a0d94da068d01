"""A host without TFX: what it serves is the same, and it is there in a tenth of a second."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.base.forkserver import client
from pipelines.base.forkserver.client import Request
from pipelines.base.forkserver.containment import state_of
from pipelines.base.paths import CHECKOUT

PROGRAM = (
    "import sys\nfrom pipelines.base.forkserver import server\n"
    "server.stack.import_all = lambda: None\nserver._redirect_logging = lambda: None\n"
    "sys.exit(server.main(sys.argv[1:]))"
)
STEPS = "tests.base.forkserver.steps"


def start(home: Path, idle: float = 60.0) -> subprocess.Popen[bytes]:
    """A host of `home` that has no stack to import."""
    path = client.socket_path(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--socket", str(path), "--idle", str(idle)],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        start_new_session=True,
    )


def until(condition: Callable[[], object]) -> None:
    """Returns when it is so; fails after a time that no machine needs."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    return state_of(pid) in ("", "Z")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def host(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running host of `home`."""
    process = start(home)
    until(lambda: client.answers(client.socket_path(home)))
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def request_for(home: Path, tmp_path: Path) -> Callable[..., Request]:
    """`request_for("answer", number=3)`: a call of that function of steps.py."""

    def made(function: str, **kwargs: object) -> Request:
        env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        result = tmp_path / f"{function}.json"
        return Request(f"{STEPS}:{function}", kwargs, tmp_path / f"{function}.log", result, env)

    return made
