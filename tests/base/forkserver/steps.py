"""What the tests have a host call."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

SLEEPS = "import time; time.sleep(300)"


def answer(number: int) -> int:
    return number


def sleep(told: str) -> None:
    _write(Path(told), [os.getpid()])
    time.sleep(300)


def leave_helpers(told: str, then: str) -> None:
    """Starts a child, one with a session of its own and a daemon, each of which would live on; then ends as `then`."""
    own = subprocess.Popen([sys.executable, "-c", SLEEPS])
    session = subprocess.Popen([sys.executable, "-c", SLEEPS], start_new_session=True)
    daemon = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, time\npid = os.fork()\nif pid:\n    print(pid, flush=True); os._exit(0)\n"
            "os.setsid(); os.close(1); time.sleep(300)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert daemon.stdout is not None
    _write(Path(told), [own.pid, session.pid, int(daemon.stdout.readline())])
    if then == "kill":
        os.kill(os.getpid(), 9)
    elif then == "sleep":
        time.sleep(300)


def _write(told: Path, pids: list[int]) -> None:
    aside = told.with_suffix(".tmp")
    aside.write_text(" ".join(map(str, pids)))
    aside.rename(told)
