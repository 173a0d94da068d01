"""Who was asked by which version, joined with what they did: late, repeated, unknown and wrong outcomes."""

import pytest

from serving.ab import result
from serving.ab.trial import Trial

DAY = 86400.0
BOUGHT, SPENT = Trial("bought"), Trial("spent", kind="mean")


def test_outcomes_of_a_users_requests_are_the_users(shop):
    shop.saw("ann", "r1", 100, b=True)
    shop.saw("bob", "r2", 110, b=False)
    shop.saw("ann", "r3", 120, b=True)
    shop.told("r1", 130, bought=0.0, spent=2.0)
    shop.told("r3", 140, bought=1.0, spent=5.0)
    found = shop.write()
    shares = found.joined(1, BOUGHT, 2 * DAY)
    assert shares.settled.value.tolist() == [1.0, 0.0] and shares.settled.is_b.tolist() == [1.0, 0.0]
    assert shares.settled.at.tolist() == [100 + DAY, 110 + DAY]
    assert found.joined(1, SPENT, 2 * DAY).settled.value.tolist() == [7.0, 0.0]
    assert shares.counts["requests"] == 3 and shares.counts["counted"] == 2


def test_a_user_counts_when_the_window_is_over_and_never_changes_after_that(shop):
    shop.saw("ann", "r1", 100, b=True)
    shop.told("r1", 150, bought=0.0)
    assert shop.write().joined(1, BOUGHT, 99 + DAY).settled.value.tolist() == []
    shop.saw("ann", "r2", 200, b=True)
    shop.told("r2", 101 + DAY, bought=1.0)
    late = shop.write().joined(1, BOUGHT, 3 * DAY)
    assert late.settled.value.tolist() == [0.0]
    assert late.counts["late"] == 1


def test_the_first_outcome_of_a_request_counts_and_others_are_counted_as_repeated(shop):
    shop.saw("ann", "r1", 100, b=True)
    shop.told("r1", 120, spent=9.0)
    shop.told("r1", 110, spent=4.0)
    shop.told("r1", 130, spent=4.0)
    joined = shop.write().joined(1, SPENT, 2 * DAY)
    assert joined.settled.value.tolist() == [4.0]
    assert joined.counts["again"] == 2 and joined.counts["another value"] == 1


def test_outcomes_of_unknown_requests_and_of_the_wrong_kind_are_counted_and_not_used(shop):
    shop.saw("ann", "r1", 100, b=True)
    shop.saw("bob", "r2", 100, b=False, release=7)
    shop.told("nobody", 110, bought=1.0)
    shop.told("r2", 110, bought=1.0)
    shop.told("r1", 110, bought="yes", spent=3.0)
    joined = shop.write().joined(1, BOUGHT, 2 * DAY)
    assert joined.settled.value.tolist() == [0.0]
    assert joined.counts["of no request of this test"] == 2
    assert joined.counts["of the wrong kind"] == 1
    # A share of users knows 0 and 1 alone.
    shop.saw("eve", "r3", 100, b=True)
    shop.told("r3", 110, bought=0.5)
    assert shop.write().joined(1, BOUGHT, 2 * DAY).counts["of the wrong kind"] == 2


def test_what_is_told_before_its_request_is_read_is_joined_all_the_same(shop):
    shop.told("r1", 110, bought=1.0)
    found = shop.write()
    assert found.joined(1, BOUGHT, 2 * DAY).settled.value.tolist() == []
    shop.saw("ann", "r1", 100, b=True)
    shop.write()
    found.read()
    assert found.joined(1, BOUGHT, 2 * DAY).settled.value.tolist() == [1.0]


def test_who_looks_later_sees_the_same_story_go_on(shop):
    question = Trial("bought", window_s=10)
    release = shop.running(question)
    for n in range(400):
        shop.saw(f"user {n}", f"r{n}", n, b=n % 2 == 0)
        if n % 5 == 0:
            shop.told(f"r{n}", n + 3.5, bought=1.0)
    feedback = shop.write()
    early, late = (result.of(release, feedback, now) for now in (210.0, 1000.0))
    same = len(early.looks) - 1
    assert [look[:3] for look in early.looks[:same]] == [look[:3] for look in late.looks[:same]]
    # Ends are rounded outwards, to a grid that is finer around the last ones.
    for one, other in zip(early.looks[:same], late.looks, strict=False):
        assert one[3:] == pytest.approx(other[3:], abs=2 / 160)
    assert (early.a.settled + early.b.settled, late.a.settled + late.b.settled) == (201, 400)
    assert late.a.value == late.b.value == pytest.approx(0.2)
    assert late.decision == "no difference is shown yet"
