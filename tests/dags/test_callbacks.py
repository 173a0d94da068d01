"""A task that failed or was lost: what Airflow's callbacks make of it, without an Airflow that runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.base.paths import CHECKOUT, Paths
from tests.base.metadata_store import Filled

PROGRAM = Path(__file__).with_name("programs") / "lost_task.py"


@pytest.mark.slow
def test_a_task_whose_process_was_lost_leaves_nothing_running_in_ml_metadata(
    airflow_python: str, tmp_path: Path
) -> None:
    paths = Paths.of("card_fraud", tmp_path)
    filled = Filled(paths)
    run = "card_fraud-manual__1"
    trainer = filled.execution(run, "Trainer", "RUNNING")
    other = filled.execution(run, "Evaluator", "RUNNING")
    env = {**os.environ, "VIADUCT_HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path / "airflow")}
    env["VIADUCT_TFX_PYTHON"] = sys.executable
    env["PYTHONPATH"] = str(CHECKOUT)
    env.pop("VIADUCT_METADATA", None)
    command = [airflow_python, str(PROGRAM), "card_fraud", "Trainer", "manual__1"]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (filled.state(trainer), filled.state(other)) == ("FAILED", "RUNNING"), done.stderr
    assert filled.reason(trainer) == "its process was lost"
