"""The fleet with workers that a test speaks for: who is told what, and when."""

import pytest

from serving.core.servable import State
from serving.workers.agreement import Report
from serving.workers.fleet import Fleet, Seat

AVAILABLE, LOADING, UNLOADING, END = (
    Report(s) for s in (State.AVAILABLE, State.LOADING, State.UNLOADING, State.END)
)
FAILED = Report(State.LOADING, ("INTERNAL", "no memory"))
ONE, TWO = ("m", 1, "/m/1"), ("m", 2, "/m/2")


class Worker:
    """A seat in the fleet, and what it was told."""

    def __init__(self, fleet, number, counts=False):
        self.fleet = fleet
        self.told = []
        self.seat = Seat(number, lambda *message: self.told.append(message), counts)
        fleet.join(self.seat)

    def loads(self, key):
        self.fleet.report(self.seat, key[0], key[1], LOADING)
        self.fleet.loaded(self.seat, key)

    def serves(self, key):
        assert ("admit", *key) in self.told
        self.fleet.report(self.seat, key[0], key[1], AVAILABLE)

    def says(self, key, report):
        self.fleet.report(self.seat, key[0], key[1], report)

    def leaves(self):
        self.fleet.leave(self.seat)

    def is_open(self):
        return ("open",) in self.told


@pytest.fixture
def fleet():
    return Fleet()


def begin(fleet):
    """The first configuration, as models apply it."""
    fleet.aspire("m", {1: "/m/1"})
    fleet.configure(b"config")


@pytest.fixture
def pair(fleet):
    """Two first workers that serve version 1."""
    workers = Worker(fleet, 1, counts=True), Worker(fleet, 2, counts=True)
    begin(fleet)
    for worker in workers:
        worker.loads(ONE)
    for worker in workers:
        worker.serves(ONE)
        fleet.opened(worker.seat)
    return workers


def state(fleet, version):
    found = fleet.states("m").get(version)
    return None if found is None else found.state


def test_a_version_is_served_when_all_have_it_and_announced_when_all_serve_it(fleet):
    first, second = Worker(fleet, 1, counts=True), Worker(fleet, 2, counts=True)
    begin(fleet)
    assert ("aspire", "m", {1: "/m/1"}) in first.told
    first.loads(ONE)
    assert ("admit", *ONE) not in first.told
    second.loads(ONE)
    first.serves(ONE)
    assert state(fleet, 1) is State.LOADING
    assert not first.is_open()
    second.serves(ONE)
    assert state(fleet, 1) is State.AVAILABLE
    assert fleet.available("m")
    assert first.is_open()
    assert second.is_open()


def test_the_first_workers_open_when_what_they_do_not_serve_has_failed(fleet):
    worker = Worker(fleet, 1, counts=True)
    begin(fleet)
    worker.says(ONE, LOADING)
    assert not worker.is_open()
    worker.says(ONE, FAILED)
    assert worker.is_open()
    assert fleet.states("m")[1].error == ("INTERNAL", "no memory")
    assert fleet.broken("m") == {1}


def test_nobody_opens_before_the_configuration_is_known():
    fleet = Fleet()
    worker = Worker(fleet, 1, counts=True)
    assert not worker.is_open()
    fleet.aspire("gone", {})
    fleet.configure(b"no models")
    assert worker.is_open()


def test_a_worker_that_ends_holds_up_no_version_and_changes_no_state(fleet, pair):
    first, second = pair
    fleet.aspire("m", {1: "/m/1", 2: "/m/2"})
    second.loads(TWO)
    assert ("admit", *TWO) not in second.told
    first.leaves()
    second.serves(TWO)
    assert (state(fleet, 1), state(fleet, 2)) == (State.AVAILABLE, State.AVAILABLE)


def test_a_new_worker_gets_what_is_wanted_opens_when_it_serves_it_and_counts_from_then_on(fleet, pair):
    first, second = pair
    first.leaves()
    third = Worker(fleet, 1)
    assert third.told[:2] == [("aspire", "m", {1: "/m/1"}), ("config", b"config")]
    assert state(fleet, 1) is State.AVAILABLE
    third.loads(ONE)
    assert not third.is_open()
    fleet.aspire("m", {1: "/m/1", 2: "/m/2"})
    third.serves(ONE)
    assert third.is_open()
    second.loads(TWO)
    assert ("admit", *TWO) not in second.told
    third.loads(TWO)
    assert ("admit", *TWO) in second.told


def test_a_version_that_only_a_new_worker_cannot_load_keeps_it_closed_and_breaks_nothing(fleet, pair):
    pair[0].leaves()
    third = Worker(fleet, 1)
    third.says(ONE, FAILED)
    assert not third.is_open()
    assert fleet.broken("m") == set()
    assert state(fleet, 1) is State.AVAILABLE


def test_a_version_that_fails_in_one_worker_is_not_served_by_the_others(fleet, pair):
    first, second = pair
    fleet.aspire("m", {1: "/m/1", 2: "/m/2"})
    first.loads(TWO)
    second.says(TWO, FAILED)
    assert ("admit", *TWO) not in first.told
    assert fleet.states("m")[2].error == ("INTERNAL", "no memory")
    assert fleet.settled("m")


def test_a_version_that_is_replaced_has_ended_when_it_has_ended_everywhere(fleet, pair):
    fleet.aspire("m", {2: "/m/2"})
    for worker in pair:
        worker.loads(TWO)
    for worker in pair:
        worker.serves(TWO)
    pair[0].says(ONE, UNLOADING)
    pair[0].says(ONE, END)
    assert state(fleet, 1) is State.UNLOADING
    pair[1].says(ONE, END)
    assert state(fleet, 1) is State.END
    assert list(fleet.states("m")) == [2, 1]


def test_a_version_that_comes_back_is_waited_for_again(fleet, pair):
    fleet.aspire("m", {})
    for worker in pair:
        worker.says(ONE, END)
        worker.told.clear()
    fleet.aspire("m", {1: "/m/1"})
    pair[0].loads(ONE)
    assert ("admit", *ONE) not in pair[0].told
    pair[1].loads(ONE)
    pair[0].serves(ONE)


def test_the_wanted_versions_are_said_again_only_where_something_has_failed(fleet, pair):
    said = ("aspire", "m", {1: "/m/1"})
    before = pair[0].told.count(said)
    fleet.aspire("m", {1: "/m/1"})
    assert pair[0].told.count(said) == before
    pair[1].says(ONE, FAILED)
    fleet.aspire("m", {1: "/m/1"})
    assert pair[0].told.count(said) == before + 1


def test_ports_may_open_before_the_models_are_there():
    fleet = Fleet(open_early=True)
    assert Worker(fleet, 1, counts=True).is_open()


def test_only_a_hundred_ended_versions_of_a_model_are_remembered(fleet, pair):
    for version in range(2, 140):
        pair[0].says(("m", version, ""), END)
    assert len([id for id in pair[0].seat.reports if id[1] > 1]) == 100
    assert ("m", 139) in pair[0].seat.reports
