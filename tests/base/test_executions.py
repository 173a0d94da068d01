"""Which execution of a node is finished, and what becomes of those whose process is gone."""

from __future__ import annotations

import dataclasses
import os
import threading
from pathlib import Path

import pytest

from pipelines.base import executions, registry, run_record
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from tests.base.metadata_store import Filled

RUN = "card_fraud-1"


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Filled:
    monkeypatch.delenv("VIADUCT_METADATA", raising=False)
    return Filled(Paths.of("card_fraud", tmp_path))


def _record(paths: Paths, run_id: str, state: str, *, alive: bool = False, runner: str = "viaduct") -> None:
    settings = Settings.of(registry.get("card_fraud"))
    record = run_record.begin(paths, settings, "f")
    record = dataclasses.replace(record, run_id=run_id, state=state, runner=runner)
    record.pid_started = record.pid_started if alive else "1"
    (paths.runs / run_id).mkdir()
    record.write(paths.runs / run_id)
    assert record.alive() is alive


def test_only_complete_and_cached_mean_that_a_node_is_finished(filled: Filled) -> None:
    for state in ("NEW", "RUNNING", "FAILED", "CANCELED", "UNKNOWN"):
        filled.execution(RUN, "Trainer", state)
    of_run = executions.of_run(filled.store, "card_fraud", RUN, "Trainer")
    assert len(of_run) == 5 and executions.finished(of_run) is None
    for state in ("CACHED", "COMPLETE"):
        number = filled.execution(f"{RUN}-{state}", "Trainer", state)
        done = executions.finished(executions.of_run(filled.store, "card_fraud", f"{RUN}-{state}", "Trainer"))
        assert done is not None and done.id == number


def test_an_execution_is_of_its_own_run_node_and_project_alone(filled: Filled) -> None:
    number = filled.execution(RUN, "Trainer", "COMPLETE")
    filled.execution("card_fraud-2", "Trainer", "COMPLETE")
    filled.execution(RUN, "Pusher", "COMPLETE")
    assert [e.id for e in executions.of_run(filled.store, "card_fraud", RUN, "Trainer")] == [number]
    assert executions.of_run(filled.store, "digits", RUN, "Trainer") == []
    assert executions.of_run(filled.store, "card_fraud", "card_fraud-3") == []
    assert len(executions.of_run(filled.store, "card_fraud", RUN)) == 2


def test_with_the_clock_a_day_back_and_over_a_hundred_executions_none_is_lost(filled: Filled) -> None:
    filled.execution(RUN, "Evaluator", "FAILED", count=130)
    first = filled.execution(RUN, "Trainer", "FAILED")
    newest = filled.execution(RUN, "Trainer", "COMPLETE")
    filled.execution(RUN, "Evaluator", "FAILED", count=110)
    filled.set_back(first)
    of_trainer = executions.of_run(filled.store, "card_fraud", RUN, "Trainer")
    assert [e.id for e in of_trainer] == [first, newest]
    assert len(executions.of_run(filled.store, "card_fraud", RUN)) == 242


def test_with_the_clock_a_day_back_tfx_finds_the_executions_of_a_context_newest_first(filled: Filled) -> None:
    first = filled.execution(RUN, "Trainer", "COMPLETE", count=130)
    filled.execution(RUN, "Trainer", "COMPLETE", count=120)
    filled.set_back(first)
    context = filled.store.get_context_by_type_and_name("pipeline", "card_fraud")
    assert [e.id for e in filled.store.get_executions_by_context(context.id)] == list(range(250, 0, -1))


def test_a_caller_with_an_order_of_its_own_gets_that_order(filled: Filled) -> None:
    from ml_metadata import ListOptions, OrderByField

    filled.execution(RUN, "Trainer", "COMPLETE", count=3)
    context = filled.store.get_context_by_type_and_name("pipeline", "card_fraud")
    options = ListOptions(order_by=OrderByField.ID, is_asc=True, limit=2)
    listed = filled.store.get_executions_by_context(context.id, options)
    assert [e.id for e in listed] == [1, 2]


def test_a_node_whose_process_ended_is_failed_with_the_cause_and_its_output_abandoned(filled: Filled) -> None:
    done = filled.execution(RUN, "Transform", "COMPLETE")
    trainer = filled.execution(RUN, "Trainer", "RUNNING", pending=True)
    other = filled.execution(RUN, "Evaluator", "RUNNING")
    settled = executions.settle_run(filled.store, filled.paths, RUN, "killed by signal 9", "Trainer")
    assert settled == 1
    assert [filled.state(n) for n in (done, trainer, other)] == ["COMPLETE", "FAILED", "RUNNING"]
    assert filled.reason(trainer) == "killed by signal 9"
    assert filled.artifact_states() == ["ABANDONED"]


def test_a_run_that_is_over_is_failed_as_a_whole(filled: Filled) -> None:
    numbers = [filled.execution(RUN, node, state) for node, state in (("A", "NEW"), ("B", "RUNNING"))]
    other = filled.execution("card_fraud-2", "A", "RUNNING")
    assert executions.settle_run(filled.store, filled.paths, RUN, "cancelled by the user") == 2
    assert {filled.state(n) for n in numbers} == {"FAILED"} and filled.state(other) == "RUNNING"


@pytest.mark.parametrize("state", ["running", "failed", "cancelled", "succeeded", ""])
def test_the_next_run_fails_what_earlier_ones_left_whatever_their_record_says(
    filled: Filled, state: str
) -> None:
    if state:
        _record(filled.paths, RUN, state)
    numbers = [filled.execution(RUN, node, kind) for node, kind in (("A", "NEW"), ("B", "RUNNING"))]
    assert executions.settle_project(filled.store, filled.paths) == 2
    assert {filled.state(n) for n in numbers} == {"FAILED"}
    assert filled.reason(numbers[0]) == executions.ENDED


def test_over_a_hundred_left_executions_are_settled_also_with_the_clock_a_day_back(filled: Filled) -> None:
    filled.execution(RUN, "A", "RUNNING", count=130)
    filled.set_back(filled.execution(RUN, "B", "RUNNING"))
    filled.execution(RUN, "B", "RUNNING", count=109)
    assert executions.settle_project(filled.store, filled.paths) == 240


@pytest.mark.parametrize("runner", ["viaduct", "airflow"])
def test_what_a_living_run_does_is_left_alone(filled: Filled, runner: str) -> None:
    _record(filled.paths, RUN, "running", alive=True, runner=runner)
    number = filled.execution(RUN, "Trainer", "RUNNING")
    assert executions.settle_project(filled.store, filled.paths) == 0
    assert filled.state(number) == "RUNNING"


def test_a_node_at_work_in_a_run_that_is_over_or_has_no_record_is_left_alone(filled: Filled) -> None:
    """`viaduct node` runs a node with no run around it."""
    _record(filled.paths, RUN, "succeeded")
    with executions.attempt(filled.paths, RUN, "A"), executions.attempt(filled.paths, "card_fraud-2", "A"):
        numbers = [filled.execution(run, "A", "RUNNING") for run in (RUN, "card_fraud-2")]
        assert executions.settle_project(filled.store, filled.paths) == 0
        assert {filled.state(n) for n in numbers} == {"RUNNING"}
    assert executions.settle_project(filled.store, filled.paths) == 2


def test_a_node_that_is_just_ending_is_waited_for(filled: Filled) -> None:
    number = filled.execution(RUN, "Trainer", "RUNNING")
    told, held = threading.Event(), threading.Event()

    def ending() -> None:
        with executions.attempt(filled.paths, RUN, "Trainer"):
            held.set()
            told.wait()
            (execution,) = filled.store.get_executions_by_id([number])
            execution.last_known_state = execution.COMPLETE
            filled.store.put_executions([execution])

    thread = threading.Thread(target=ending)
    thread.start()
    held.wait()
    threading.Timer(0.2, told.set).start()
    assert executions.settle_run(filled.store, filled.paths, RUN, "it was killed") == 0
    thread.join()
    assert filled.state(number) == "COMPLETE"


def test_an_attempt_that_took_the_nodes_place_is_not_failed_for_the_one_before(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executions, "PATIENCE_S", 0.1)
    with executions.attempt(filled.paths, RUN, "Trainer"):
        number = filled.execution(RUN, "Trainer", "RUNNING")
        assert executions.settle_run(filled.store, filled.paths, RUN, "it was killed", "Trainer") == 0
    assert filled.state(number) == "RUNNING"


def test_in_a_store_that_homes_share_a_run_of_another_home_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite://{tmp_path}/shared.db"
    monkeypatch.setenv("VIADUCT_METADATA", url)
    ours, theirs = Paths.of("card_fraud", tmp_path / "ours"), Paths.of("card_fraud", tmp_path / "theirs")
    filled = Filled(ours, url)
    number = filled.execution(RUN, "Trainer", "RUNNING")
    (theirs.runs / RUN).mkdir(parents=True)
    assert executions.settle_project(filled.store, ours) == 0 and filled.state(number) == "RUNNING"
    assert executions.settle_project(filled.store, theirs) == 1 and filled.state(number) == "FAILED"


def test_an_attempt_waits_for_the_one_before_it(tmp_path: Path) -> None:
    paths = Paths.of("card_fraud", tmp_path)
    with (
        executions.attempt(paths, RUN, "Trainer"),
        pytest.raises(executions.Busy, match=f"Trainer of {RUN}"),
        executions.attempt(paths, RUN, "Trainer", patience_s=0.0),
    ):
        pass
    with executions.attempt(paths, RUN, "Trainer", patience_s=0.0):
        assert os.listdir(paths.runs / RUN) == ["Trainer.lock"]


def test_nothing_is_made_for_a_run_whose_folder_is_gone(filled: Filled) -> None:
    filled.execution(RUN, "Trainer", "RUNNING")
    executions.settle_project(filled.store, filled.paths)
    assert not filled.paths.runs.exists()
