"""What several workers' states of a version amount to."""

import pytest

from serving.core.servable import ServableId, ServableState, State
from serving.workers.agreement import Report, agreed, forget_ended

START, LOADING, AVAILABLE, UNLOADING, END = (
    Report(s) for s in (State.START, State.LOADING, State.AVAILABLE, State.UNLOADING, State.END)
)
RETRYING = Report(State.LOADING, ("INTERNAL", "no memory"))
FAILED = Report(State.END, ("INTERNAL", "no memory"))


@pytest.mark.parametrize(
    ("reports", "together"),
    [
        ([AVAILABLE, AVAILABLE], AVAILABLE),
        ([AVAILABLE, LOADING], LOADING),
        ([AVAILABLE, None], LOADING),
        ([AVAILABLE, START], LOADING),
        ([None, None], START),
        ([], START),
        ([AVAILABLE, RETRYING], RETRYING),
        ([RETRYING, FAILED], FAILED),
        ([AVAILABLE, END], LOADING),
    ],
)
def test_a_wanted_version_is_as_far_as_the_worker_that_is_furthest_behind(reports, together):
    assert agreed(reports, wanted=True) == together


@pytest.mark.parametrize(
    ("reports", "together"),
    [
        ([None, None], None),
        ([AVAILABLE, AVAILABLE], AVAILABLE),
        ([AVAILABLE, UNLOADING], UNLOADING),
        ([UNLOADING, END], UNLOADING),
        ([END, None], END),
        ([END, FAILED], FAILED),
    ],
)
def test_an_unwanted_version_is_gone_when_it_is_gone_everywhere(reports, together):
    assert agreed(reports, wanted=False) == together


def test_what_no_worker_knows_has_ended_and_only_a_hundred_such_are_kept():
    states = {v: ServableState(ServableId("m", v), State.AVAILABLE) for v in range(1, 131)}
    forget_ended(states, known={130})
    assert list(states) == list(range(30, 131))
    assert states[129].state is State.END
    assert states[130].state is State.AVAILABLE
