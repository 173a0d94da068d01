"""What a task does before its node: data that is not there is never made up unasked. No node runs here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dags import spans
from pipelines.base.paths import CHECKOUT, Paths

PROGRAM = Path(__file__).with_name("programs") / "execute_root.py"


def execute(python: str, home: Path, run_type: str, **params: object) -> tuple[str, str]:
    """(class, text) of the exception with which card_fraud's root task ended."""
    env = {**os.environ, "AIRFLOW_HOME": str(home), "VIADUCT_HOME": str(home), "PYTHONPATH": str(CHECKOUT)}
    env["VIADUCT_TFX_PYTHON"] = sys.executable
    done = subprocess.run(
        [python, str(PROGRAM), run_type, json.dumps(params)],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    kind, text = json.loads(done.stdout.splitlines()[-1])
    return kind, text


def test_a_scheduled_run_without_data_is_skipped_and_leaves_nothing_behind(airflow_python, tmp_path):
    kind, text = execute(airflow_python, tmp_path, "scheduled")
    assert kind == "AirflowSkipException"
    assert str(tmp_path / "data/card_fraud") in text and "viaduct data card_fraud" in text
    assert not (tmp_path / "samples").exists() and not (tmp_path / "runs").exists()


def test_a_run_that_a_person_starts_without_data_fails_at_once_and_says_what_to_do(airflow_python, tmp_path):
    kind, text = execute(airflow_python, tmp_path, "manual")
    assert kind == "AirflowFailException", "it is not tried again"
    assert "viaduct data card_fraud" in text and "--sample" in text
    assert (tmp_path / "runs/card_fraud/card_fraud-manual__x/run.json").exists(), "`viaduct runs` shows it"


@pytest.mark.parametrize("run_type", ["scheduled", "manual"])
def test_a_run_goes_on_where_a_sample_is_asked_for(airflow_python, tmp_path, run_type):
    assert execute(airflow_python, tmp_path, run_type, sample=True) == ("SystemExit", "asked")


def test_what_a_run_can_train_on(tmp_path):
    paths = Paths.of("card_fraud", tmp_path)
    assert "no data" in spans.nothing_to_train_on(paths, data="", sample=False)
    assert spans.nothing_to_train_on(paths, data="/mnt/transactions", sample=False) == ""
    assert spans.nothing_to_train_on(paths, data="", sample=True) == ""
    paths.span(0).mkdir(parents=True)
    assert spans.nothing_to_train_on(paths, data="", sample=False) == ""


def test_a_param_that_does_not_exist_or_is_wrong_fails_at_once_and_is_named(airflow_python, tmp_path):
    kind, text = execute(airflow_python, tmp_path, "manual", varant="x", sample=True)
    assert kind == "AirflowFailException" and "Did you mean 'variant'?" in text
    kind, text = execute(airflow_python, tmp_path, "manual", variant="autoencodr")
    assert kind == "AirflowFailException" and "Did you mean 'autoencoder'?" in text
    assert not (tmp_path / "samples").exists()
