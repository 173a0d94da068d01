"""The DAGs beside a project's own: a release followed step by step, a person asked, and retraining when due."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.base.paths import CHECKOUT

PROGRAM = Path(__file__).with_name("programs") / "rollout.py"


@pytest.fixture(scope="module")
def told(airflow_python, tmp_path_factory) -> dict:
    home = tmp_path_factory.mktemp("rollout")
    done = subprocess.run(
        [airflow_python, str(PROGRAM)],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        timeout=500,
        env={
            **os.environ,
            "AIRFLOW_HOME": str(home / "airflow"),
            "VIADUCT_HOME": str(home),
            "VIADUCT_TFX_PYTHON": sys.executable,
            "PYTHONPATH": str(CHECKOUT),
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_release_has_a_task_for_each_step_and_a_person_before_the_last(told):
    assert told["ids"] == ["card_fraud.release", "card_fraud.retraining"]
    assert told["tasks"] == {
        "begun": [], "shadow": ["begun"], "share_5": ["shadow"], "approval": ["share_5"], "share_50": ["approval"],
    }  # fmt: skip
    assert told["retraining"] == {"look": [], "train": ["look"]}
    assert told["deferrable"] is True
    assert told["heavy"] == []


@pytest.mark.slow
def test_a_step_is_deferred_until_the_server_has_left_it(told):
    waits = "deferred for ReleaseTrigger"
    assert told["before"] == waits
    assert told["begun"] == ["shadow", waits]
    # What is held waits at its step for a person, without a worker.
    assert told["held"] == ["held", waits]
    module, early, payload = told["trigger"]
    assert (module, early) == ("dags.release_trigger.ReleaseTrigger", False)
    assert payload == {"state": "promoted", "step": 3, "why": "it is good"}
    assert told["promoted"] == ["promoted"] * 4


@pytest.mark.slow
def test_a_version_that_was_rolled_back_fails_its_task_and_one_that_another_overtook_is_skipped(told):
    assert told["rolled_back"] == (
        "AirflowFailException: Version 2 of card_fraud was rolled back: errors: 9 of 10"
    )
    assert told["superseded"].startswith("AirflowSkipException: Version 1 of card_fraud is not released")


@pytest.mark.slow
def test_a_persons_answer_reaches_the_release_and_its_journal(told):
    assert told["approved"] == [True, "ann", "shadow"]
    assert told["refused"] == "rolled_back"


@pytest.mark.slow
def test_a_look_that_fails_says_why(told):
    assert told["look"] == "drift: a"
    assert told["failed"] == "The watch ended with 1: viaduct: no such project"
