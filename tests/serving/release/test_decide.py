"""What becomes of a release: counts in, moves out."""

import dataclasses

import pytest

from serving.release import plan as plans
from serving.release import record
from serving.release.decide import ENDS, ENDS_LOADING, Health, decide
from serving.release.plan import Plan
from serving.release.tally import BASELINE, CANDIDATE, Tally

PLAN = Plan(shares=plans.shares("shadow,10,50,100"), step_s=60, limit_s=600)


def release(state="canary", step=1, elapsed=0.0, plan=PLAN, **fields):
    begun = record.begun(1, 1, 2, plan, "test", "a test")
    return dataclasses.replace(begun, state=state, step=step, elapsed=elapsed, **fields)


def counted(share="0.1", asked=(9000, 1000), **events):
    """Tally of (baseline, candidate) requests and events, timed ones with one slow in a hundred."""
    found = Tally()
    for arm, number in zip((BASELINE, CANDIDATE), asked, strict=True):
        found[share, arm, "asked"] = found[share, arm, "timed"] = number
        found[share, arm, "slow"] = number // 100
    for what, (baseline, candidate) in events.items():
        found[share, BASELINE, what], found[share, CANDIDATE, what] = baseline, candidate
    return found


def move(release_, tally=None, **health):
    found, _ = decide(release_, counted() if tally is None else tally, Health(**health))
    return found


def test_a_step_lasts_its_time_and_then_the_share_grows():
    assert move(release(elapsed=59)) is None
    found = move(release(elapsed=61))
    assert (found.state, found.step) == ("canary", 2)


def test_time_alone_ends_no_step_that_hardly_any_request_reached():
    assert move(release(elapsed=61), counted(asked=(400, 40))) is None


def test_time_alone_never_gives_a_candidate_all_traffic():
    few = counted("0.5", (200, 200))
    assert move(release(step=2, elapsed=500), few) is None
    enough = counted("0.5", (60_000, 60_000), errors=(300, 300))
    found = move(release(step=2, elapsed=10), enough)
    assert (found.state, found.step) == ("promoted", 3)


@pytest.mark.parametrize(("on_timeout", "state"), [("hold", "held"), ("rollback", "rolled_back")])
def test_without_traffic_the_limit_holds_or_rolls_back_as_planned(on_timeout, state):
    plan = dataclasses.replace(PLAN, on_timeout=on_timeout)
    found = move(release(elapsed=600, plan=plan), Tally())
    assert found.state == state
    assert "not enough data: 0 requests" in found.why


@pytest.mark.parametrize("what", ["errors", "nonfinite"])
def test_more_events_than_the_baseline_has_roll_back(what):
    found = move(release(), counted(**{what: (9, 40)}))
    assert found.state == "rolled_back"
    assert found.why.startswith(f"{what}: 40 of 1000 requests, the baseline 9 of 9000; e-value ")


def test_one_slow_answer_in_fifty_rolls_back():
    tally = counted(asked=(90_000, 10_000))
    tally["0.1", CANDIDATE, "slow"] += 200
    assert move(release(), tally).why.startswith("slow: 300 of 10000")


def test_a_baseline_that_is_the_bad_one_is_replaced():
    tally = counted("0.5", (20_000, 20_000), errors=(2000, 20))
    assert move(release(step=2), tally).state == "promoted"


def test_what_is_held_is_still_judged_but_goes_nowhere():
    assert move(release("held", elapsed=5000), counted("0.1", (90_000, 10_000))) is None
    assert move(release("held"), counted(errors=(9, 40))).state == "rolled_back"


def test_a_person_who_is_to_be_asked_is_waited_for():
    plan = dataclasses.replace(PLAN, approve=True)
    enough = counted("0.5", (60_000, 60_000), errors=(300, 300))
    assert move(release(step=2, elapsed=5000, plan=plan), enough) is None
    assert move(release(step=2, plan=plan, approved=True), enough).state == "promoted"


@pytest.mark.parametrize(
    ("health", "why"),
    [
        ({"candidate_there": False}, "the folder of version 2 is gone"),
        ({"candidate": "broken: no memory"}, "version 2 does not load: no memory"),
        ({"ends_loading": ENDS_LOADING}, "2 servers ended while they loaded version 2"),
        ({"ends": ENDS}, "3 servers ended without notice while the release ran"),
    ],
)
def test_what_needs_no_counting_rolls_back_at_once(health, why):
    found = move(release(), Tally(), **health)
    assert (found.state, found.why) == ("rolled_back", why)


def test_one_end_may_be_a_persons():
    assert move(release(), Tally(), ends_loading=1, ends=2) is None


def test_a_baseline_that_cannot_load_leaves_the_candidate_that_works():
    assert move(release(), Tally(), baseline="broken: torn").state == "promoted"
    assert move(release(), Tally(), baseline="broken: torn", candidate="LOADING") is None


def test_a_candidate_that_never_becomes_available_is_rolled_back_even_where_data_would_be_waited_for():
    found = move(release(elapsed=600), Tally(), candidate="LOADING")
    assert (found.state, found.why) == ("rolled_back", "version 2 was not available within 600 s")


def test_five_failures_alone_in_a_row_roll_back():
    tally = counted()
    tally["0.1", CANDIDATE, "five_alone"] = 1
    assert move(release(), tally).why == "five answers in a row failed that the baseline then gave"


def test_labels_that_change_more_often_than_the_plan_allows_roll_back():
    plan = dataclasses.replace(PLAN, max_changed=0.05)
    tally = Tally({("shadow", CANDIDATE, "compared"): 400, ("shadow", CANDIDATE, "changed"): 20})
    assert move(release("shadow", 0, plan=plan), tally) is None
    tally["shadow", CANDIDATE, "changed"] = 60
    assert "60 of 400 shadowed answers" in move(release("shadow", 0, plan=plan), tally).why
    assert move(release("shadow", 0), tally) is None


def test_without_any_error_in_either_arm_their_rarity_is_enough():
    quiet = counted("0.5", (3000, 3000))
    _, judgement = decide(release(step=2), quiet, Health())
    assert not judgement["errors"]["passes"]
    many = counted("0.5", (60_000, 60_000))
    assert move(release(step=2), many).state == "promoted"


def test_the_judgement_tells_the_numbers_it_comes_from():
    _, judgement = decide(release(), counted(errors=(9, 2)), Health())
    assert judgement["errors"]["candidate"] == [2, 1000]
    assert judgement["errors"]["baseline"] == [9, 9000]
    assert 0 < judgement["errors"]["e_worse"] < 10
