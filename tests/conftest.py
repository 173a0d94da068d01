"""Shared by all tests: one HOME with finished quick runs, real data where it is, and what may be missing.

Runs are made once per test session, whichever worker asks first, through the command a user types.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from pipelines.base import run_record
from pipelines.base.forkserver import client as forkserver
from pipelines.base.paths import CHECKOUT, Paths
from pipelines.base.run_record import RunRecord

IN_CI = bool(os.environ.get("CI"))
RUN_TIMEOUT_S = 900
# An example that is stopped for a moment on a busy machine is no failure; pytest's own limit stands.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")


@dataclass(frozen=True)
class Finished:
    """A finished run: its record, the paths of its project, what the command printed and its exit code."""

    record: RunRecord
    paths: Paths
    output: str
    code: int


def missing(part: str) -> None:
    """Skips with the name of the missing part; in CI, where everything must run, fails instead."""
    if IN_CI:
        pytest.fail(f"{part} is missing, and CI must run this test")
    pytest.skip(f"{part} is missing")


def viaduct(
    *arguments: str, home: Path, cwd: Path = CHECKOUT, **env: str
) -> subprocess.CompletedProcess[str]:
    """Runs the command as a user would, in `cwd`'s checkout with `home` as HOME."""
    return subprocess.run(
        [sys.executable, "-m", "pipelines", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "VIADUCT_HOME": str(home), "PYTHONPATH": str(cwd), **env},
        timeout=RUN_TIMEOUT_S,
        check=False,
    )


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of this session."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def real_home(shared_folder: Path) -> Iterator[Path]:
    """A HOME that all tests of the session may read; `finished_run` fills it."""
    home = shared_folder / "home"
    home.mkdir(exist_ok=True)
    yield home
    if "PYTEST_XDIST_WORKER" not in os.environ:
        forkserver.stop(home)


@pytest.fixture(scope="session")
def finished_run(real_home: Path) -> Callable[[str], Finished]:
    """`finished_run("card_fraud")`: the project's quick run on its sample, made once for the whole session."""

    def finished(project: str) -> Finished:
        paths = Paths.of(project, real_home)
        output = real_home / f"{project}.output.txt"
        with open(real_home / f"{project}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not output.exists():
                # A host that outlives the session would keep a core's worth of memory.
                done = viaduct("run", project, "--plain", home=real_home, VIADUCT_HOST_IDLE="60")
                output.write_text(f"{done.returncode}\n{done.stdout}{done.stderr}", encoding="utf-8")
        code, _, text = output.read_text(encoding="utf-8").partition("\n")
        record = next(run_record.read_all(paths), None)
        assert record is not None, text
        return Finished(record, paths, text, int(code))

    return finished


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real data (VIADUCT_REAL_DATA, else ../shared/data beside the checkout)."""
    folder = Path(os.environ.get("VIADUCT_REAL_DATA", CHECKOUT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data is missing: no folder {folder} (set VIADUCT_REAL_DATA)")
    return folder
