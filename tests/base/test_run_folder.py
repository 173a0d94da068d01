"""A run's folder: equal runs take turns, different ones do not wait."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pipelines.base.paths import CHECKOUT, Paths
from pipelines.base.run_folder import alone


def test_an_equal_run_waits_and_says_so_once_and_one_that_is_killed_gives_its_turn_back(
    tmp_path: Path,
) -> None:
    program = "import sys; from tests.base.calling import hold_the_turn; hold_the_turn(sys.argv[1])"
    command = [sys.executable, "-c", program, str(tmp_path)]
    told = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=CHECKOUT, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"

        def waiting() -> None:
            told.append("waiting")
            holder.kill()

        with alone(Paths.of("p", tmp_path), "mark", waiting):
            pass
    assert told == ["waiting"] and holder.returncode == -9


def test_other_runs_of_the_project_do_not_wait(tmp_path: Path) -> None:
    paths = Paths.of("p", tmp_path)

    def waiting() -> None:
        raise AssertionError("it waited")

    with alone(paths, "one", waiting), alone(paths, "two", waiting):
        pass
