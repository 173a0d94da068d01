"""A trial tells of its steps and waits for the answer."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pipelines.base.tuning import steps


def test_a_training_outside_of_a_trial_tells_nobody(tmp_path: Path) -> None:
    steps.report(1, 0.5)
    assert steps.watched() == ""


def test_a_trial_waits_for_its_answer_and_ends_where_it_is_to(tmp_path: Path) -> None:
    reader, ended = steps.Reader(tmp_path), threading.Event()
    told: list[tuple[int, float]] = []

    def tuner() -> None:
        while not ended.is_set():
            if fresh := reader.fresh():
                told.extend(fresh)
                reader.answer(stop=len(told) == 3)

    answering = threading.Thread(target=tuner)
    answering.start()
    try:
        with steps.trial(tmp_path, "val_loss"):
            assert steps.watched() == "val_loss"
            steps.report(1, 0.5)
            steps.report(2, float("nan"))
            with pytest.raises(steps.Pruned):
                steps.report(3, 0.1)
    finally:
        ended.set()
        answering.join()
    assert [step for step, _ in told] == [1, 2, 3] and told[0][1] == 0.5 and told[1][1] != told[1][1]


def test_what_a_killed_trial_left_half_written_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / steps.LINES).write_text("[1, 0.5]\n[2, 0.")
    reader = steps.Reader(tmp_path)
    assert reader.fresh() == [(1, 0.5)]
    reader.answer(stop=False)
    with steps.trial(tmp_path, "val_auc"):
        assert (tmp_path / steps.LINES).read_text() == "[1, 0.5]\n"


def test_what_is_pruned_is_no_exception_that_a_model_might_catch() -> None:
    assert not issubclass(steps.Pruned, Exception)
