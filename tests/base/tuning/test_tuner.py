"""A search: nothing trained twice, killed and gone on, ended early, and chosen for what is sure."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.errors import ProjectError, ViaductError
from pipelines.base.paths import CHECKOUT
from pipelines.base.search import OneOf, Search
from pipelines.base.tuning import steps, tuner
from tests.base.tuning.searching import DEFAULTS, given, trainer, value_of


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIADUCT_TRIALS", "1")


def test_the_best_of_the_trials_is_trained_with_other_seeds_and_chosen(tmp_path: Path) -> None:
    trained: list[dict[str, Any]] = []
    results = tuner.tune(given(tmp_path), trainer(trained))
    assert [one["number"] for one in results["trials"]] == list(range(9))
    first = results["trials"][0]["parameters"]
    assert first == {"rate": DEFAULTS["rate"], "units": DEFAULTS["units"]}
    assert {one["trial"] for one in results["finals"]} >= {0, results["chosen"]["trial"]}
    assert sorted(one["seed"] for one in trained if one.get("seed")) == sorted(
        [101, 102, 103] * len(results["finals"])
    )
    assert abs(results["chosen"]["parameters"]["rate"] - 0.3) < abs(DEFAULTS["rate"] - 0.3)
    assert set(results["importances"]) == {"rate", "units"} and results["importances"]["rate"] > 0.5


def test_a_killed_search_goes_on_at_its_trial_and_trains_nothing_twice(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-m", "tests.base.tuning.searching", str(tmp_path / "home"), str(log)]
    stopped = 7
    process = subprocess.Popen([*command, str(stopped)], cwd=CHECKOUT, start_new_session=True)
    end = time.monotonic() + 120
    while not log.exists() or len(log.read_text().splitlines()) < stopped:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = [json.loads(line) for line in log.read_text().splitlines()]
    # A writer that is killed may leave half a line.
    [journal] = (tmp_path / "home").glob("tuning/made_up/search-*/journal.jsonl")
    with journal.open("a") as lines:
        lines.write('{"op_code": 8, "tria')

    done = subprocess.run([*command, "0"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    results = json.loads(done.stdout.splitlines()[-1])
    after = [json.loads(line) for line in log.read_text().splitlines()][stopped:]
    assert after[0] == before[-1], "the trial that was killed is the first to be trained again"
    assert [one["number"] for one in results["trials"]] == list(range(9))
    assert {one["state"] for one in results["trials"]} == {"complete"}
    whole = [json.dumps(one, sort_keys=True) for one in (*before[:-1], *after)]
    assert len(set(whole)) == len(whole)
    assert (results["trained"], results["known"]) == (len(after), stopped - 1)


def test_more_trials_go_on_from_those_there_are(tmp_path: Path) -> None:
    first, then = [], []  # type: ignore[var-annotated]
    tuner.tune(given(tmp_path, trials=4), trainer(first))
    results = tuner.tune(given(tmp_path, trials=6), trainer(then))
    assert len(results["trials"]) == 6
    keys = [json.dumps(one, sort_keys=True) for one in (*first, *then)]
    assert len(set(keys)) == len(keys)
    assert results["trained"] == len(then) and results["known"] >= 4
    again: list[dict[str, Any]] = []
    repeated = tuner.tune(given(tmp_path, trials=6), trainer(again))
    assert repeated["chosen"] == results["chosen"] and not again
    assert (repeated["trained"], repeated["known"]) == (0, 6 + 3 * len(repeated["finals"]))


def test_other_examples_code_or_metric_are_trained_anew(tmp_path: Path) -> None:
    trained: list[dict[str, Any]] = []
    tuner.tune(given(tmp_path, trials=1), trainer(trained))
    count = len(trained)
    for other in (
        {"data": "other"},
        {"code": "other"},
        {"search": Search("loss", {"units": OneOf((8, 16))})},
    ):
        tuner.tune(given(tmp_path, trials=1, **other), trainer(trained))  # type: ignore[arg-type]
        count += 4
        assert len(trained) == count


def test_a_small_space_is_not_searched_twice(tmp_path: Path) -> None:
    trained: list[dict[str, Any]] = []
    search = Search("auc", {"units": OneOf((4, 8))})
    results = tuner.tune(given(tmp_path, trials=8, search=search), trainer(trained))
    assert len(results["trials"]) == 8 and len(trained) == 2 + 2 * 3
    assert results["known"] == 6 and len(results["finals"]) == 2


def test_a_trial_that_falls_behind_the_median_is_ended_early(tmp_path: Path) -> None:
    seen: list[int] = []

    def value(parameters: dict[str, Any]) -> float:
        """The first three do well, all later ones badly; each would take four steps."""
        if "seed" in parameters:
            return 1.0
        seen.append(0)
        [folder] = [
            f for f in (tmp_path / "tuning/made_up/trials").iterdir() if not (f / "result.json").exists()
        ]
        with steps.trial(folder, "val_auc"):
            for step in (1, 2, 3, 4):
                seen[-1] = step
                steps.report(step, 0.9 if len(seen) <= 3 else 0.1)
        return 0.9

    results = tuner.tune(given(tmp_path, trials=6), trainer([], value))
    assert [one["state"] for one in results["trials"]] == ["complete"] * 3 + ["pruned"] * 3
    assert seen[:3] == [4, 4, 4] and set(seen[3:]) == {2}, "the first step alone says nothing"
    assert {one["trial"] for one in results["finals"]} <= {0, 1, 2}


def test_a_lucky_training_is_not_chosen_over_a_sure_one(tmp_path: Path) -> None:
    def value(parameters: dict[str, Any]) -> float:
        sure, lucky = parameters["units"] == 8, parameters.get("seed", 103) == 103
        return 0.8 if sure else (0.99 if lucky else 0.7)

    search = Search("auc", {"units": OneOf((8, 16))})
    results = tuner.tune(given(tmp_path, trials=4, search=search), trainer([], value))
    assert results["chosen"]["parameters"] == {"units": 8} and results["chosen"]["error"] == 0
    other = next(one for one in results["finals"] if one["parameters"] == {"units": 16})
    assert other["score"] < other["mean"] - 0.05


def test_less_is_better_where_the_card_says_so(tmp_path: Path) -> None:
    search = Search("mae", {"units": OneOf((4, 8, 16))}, maximise=False)
    results = tuner.tune(given(tmp_path, trials=6, search=search), trainer([], lambda p: float(p["units"])))
    assert results["chosen"]["parameters"] == {"units": 4}
    assert results["finals"][0]["score"] == results["finals"][0]["mean"] == 4.0


def test_a_trial_that_fails_is_written_down_and_the_search_goes_on(tmp_path: Path) -> None:
    def value(parameters: dict[str, Any]) -> float:
        if parameters["units"] == 16:
            raise ValueError("the loss is not finite")
        return value_of(parameters)

    search = Search("auc", {"units": OneOf((4, 8, 16))})
    results = tuner.tune(given(tmp_path, trials=6, search=search), trainer([], value))
    failed = [one for one in results["trials"] if one["state"] == "failed"]
    assert failed and {one["error"] for one in failed} == {"the loss is not finite"}
    assert all(one["parameters"]["units"] != 16 for one in results["finals"])


def test_defaults_that_cannot_be_trained_end_the_search_at_once(tmp_path: Path) -> None:
    begun: list[int] = []

    def value(parameters: dict[str, Any]) -> float:
        begun.append(1)
        raise ValueError("the features have a NaN")

    with pytest.raises(
        ProjectError, match=r"made_up: the defaults cannot be trained.*the features have a NaN"
    ):
        tuner.tune(given(tmp_path), trainer([], value))
    assert len(begun) == 1


def test_how_many_at_once_must_be_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIADUCT_TRIALS", "many")
    with pytest.raises(ViaductError, match="VIADUCT_TRIALS is 'many'"):
        tuner.tune(given(tmp_path), trainer([]))
    monkeypatch.setenv("VIADUCT_TRIALS", "3")
    assert len(tuner.tune(given(tmp_path, trials=5), trainer([]))["trials"]) == 5
