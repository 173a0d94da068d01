"""The store's own process: it answers, is ended when it is late, comes back, and ends with the dashboard."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboards.readers.files import Missing
from dashboards.readers.store import Late, StoreProcess
from pipelines.base.paths import CHECKOUT


@pytest.fixture
def store(home: Path) -> Iterator[StoreProcess]:
    made = StoreProcess(f"sqlite://{home / 'metadata.sqlite'}")
    yield made
    made.end()


def _number(store: StoreProcess) -> int:
    assert store._process is not None
    return store._process.pid


def test_it_answers_with_the_stores_own_messages(store: StoreProcess) -> None:
    (artifact,) = store.call(60, "get_artifacts_by_id", [1])
    assert artifact.id == 1 and artifact.properties["span"].int_value == 1
    assert store.call(60, "get_context_by_type_and_name", "pipeline", "nowhere") is None


def test_what_is_late_is_ended_and_the_next_call_gets_a_new_process(store: StoreProcess) -> None:
    store.call(60, "get_artifacts_by_id", [1])
    first = _number(store)
    os.kill(first, signal.SIGSTOP)
    with pytest.raises(Late):
        store.call(0.05, "get_artifacts_by_id", [1])
    assert store.call(60, "get_artifacts_by_id", [1]) and _number(store) != first


def test_a_process_that_was_killed_is_started_again_unnoticed(store: StoreProcess) -> None:
    store.call(60, "get_artifacts_by_id", [1])
    os.kill(_number(store), signal.SIGKILL)
    assert store.call(60, "get_artifacts_by_id", [1])


def test_errors_of_the_store_come_as_words(tmp_path: Path) -> None:
    made = StoreProcess(f"sqlite://{tmp_path / 'metadata.sqlite'}")
    with pytest.raises(Missing, match="no ML Metadata database yet"):
        made.call(60, "get_artifact_types")
    assert list(tmp_path.iterdir()) == []
    made.end()


def test_it_ends_with_the_process_that_started_it_however_that_ends(home: Path) -> None:
    code = (
        "import os, signal\nfrom dashboards.readers.store import StoreProcess\n"
        f"store = StoreProcess('sqlite://{home / 'metadata.sqlite'}')\nstore.call(60, 'get_artifact_types')\n"
        "print(store._process.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT, check=False
    )
    number = int(done.stdout)
    while _lives(number):
        os.sched_yield()


def _lives(number: int) -> Any:
    """Whether a process is there and no zombie that only waits to be counted."""
    try:
        state = Path(f"/proc/{number}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] not in "ZX"


def test_a_password_is_in_no_list_of_processes(store: StoreProcess) -> None:
    made = StoreProcess("postgresql://user:of-mlmd@127.0.0.1:1/mlmd")
    with pytest.raises(Missing):
        made.call(60, "get_artifact_types")
    shown = (
        Path(f"/proc/{_number(made)}/cmdline").read_bytes()
        + Path(f"/proc/{_number(made)}/environ").read_bytes()
    )
    assert b"of-mlmd" not in shown
    made.end()
