"""Asking what may not answer: what it said before is given with its age, and nobody waits behind a late answer."""

from __future__ import annotations

from typing import Any

import pytest

from dashboards.readers.patience import Busy, Patient


class TooLate(Exception):
    """What a question raises that was not answered in time."""


def _late() -> Any:
    raise TooLate


def test_answers_and_errors_come_through() -> None:
    patient = Patient(TooLate, 60)
    assert patient.get("x", lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        patient.get("x", lambda: 1 // 0)
    assert patient.waiting() is None and patient.age() is None


def test_a_late_answer_is_replaced_by_the_one_before_and_by_nothing_else() -> None:
    patient = Patient(TooLate, 60)
    patient.get("x", lambda: "before")
    assert patient.get("x", _late) == "before"
    assert patient.waiting() is not None and patient.age() is not None
    with pytest.raises(Busy):
        patient.get("y", lambda: "never asked")


def test_nobody_asks_again_during_the_pause() -> None:
    patient, asked = Patient(TooLate, 60), list[str]()
    patient.get("x", lambda: "before")
    patient.get("x", _late)
    assert {patient.get("x", lambda: asked.append("asked")) for _ in range(100)} == {"before"}
    assert not asked


def test_after_the_pause_it_is_asked_and_its_answer_ends_the_waiting() -> None:
    patient = Patient(TooLate, 0)
    patient.get("x", lambda: "before")
    patient.get("x", _late)
    assert patient.get("x", lambda: "after") == "after"
    assert patient.waiting() is None and patient.age() is None
