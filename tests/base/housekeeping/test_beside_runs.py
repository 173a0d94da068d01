"""House is kept while runs go on: all of them end well, and what they made is there."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from pathlib import Path

import pytest

from pipelines.base import metadata, run_record
from pipelines.base.housekeeping import applying
from pipelines.base.housekeeping.planning import Question
from pipelines.base.paths import metadata_url
from tests.base.conftest import PROJECT, Scratch

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("scratch")]
RATES = ("0.02", "0.03", "0.04")


def test_three_runs_end_well_while_house_is_kept_all_the_time(scratch: Scratch, tmp_path: Path) -> None:
    """Nothing is too young and one run is the last: whatever no root keeps goes at once, over and over."""
    # Their data is not in HOME: what nobody has said yet that it is used has nothing but its youth to keep it.
    made_up = scratch.run("data", PROJECT, "--sample", "3000").stdout.strip()
    data = shutil.copytree(made_up, tmp_path / "data")
    known = {record.run_id for record in run_record.read_all(scratch.paths)}
    done: dict[str, str] = {}
    runs = [threading.Thread(target=_run, args=(scratch, data, rate, done)) for rate in RATES]
    for run in runs:
        run.start()
    rounds = moved = 0
    while any(run.is_alive() for run in runs):
        question = Question(scratch.home, 0.0, [], now=time.time() + 7200, last_runs=1, least_age=0.0)
        told = applying.apply(question)
        assert told.failed == []
        rounds, moved = rounds + 1, moved + len(told.moved)
        with contextlib.suppress(OSError):
            applying.empty(scratch.home)
        time.sleep(0.2)
    assert rounds > 5
    for rate in RATES:
        assert "Blessed and pushed" in done[rate] or "Not blessed" in done[rate], done[rate]
    made = [record for record in run_record.read_all(scratch.paths) if record.run_id not in known]
    assert [record.state for record in made] == ["succeeded"] * len(RATES)
    newest = made[0]
    assert Path(newest.model).is_dir(), "the last run's model is there, whatever went"
    store = metadata.store(metadata_url(scratch.home))
    live = [a for a in store.get_artifacts() if a.state == a.LIVE and a.uri.startswith(str(scratch.home))]
    assert live and [a.uri for a in live if a.type != "viaduct.Judgement" and not Path(a.uri).exists()] == []


def _run(scratch: Scratch, data: Path, rate: str, done: dict[str, str]) -> None:
    asked = ("--data", str(data), "--set", "epochs=1", "--set", f"learning_rate={rate}")
    told = scratch.run("run", PROJECT, "--plain", *asked)
    done[rate] = told.stdout + told.stderr
