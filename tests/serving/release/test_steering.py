"""Which versions are kept and which of them answers, from release files and what is on the disk."""

import dataclasses

import pytest

from serving.core.policy import VersionPolicy
from serving.core.servable import ServableId, ServableState, State
from serving.core.source import Monitored
from serving.release import record
from serving.release.folder import Folder, Standing
from serving.release.plan import Plan
from serving.release.steering import Steering, direct

LATEST = VersionPolicy()
STANDING = Standing(Plan(), 1)


def release(state="canary", baseline=1, candidate=2, step=3):
    begun = record.begun(1, baseline, candidate, Plan(), "test", "a test")
    return dataclasses.replace(begun, state=state, step=step)


@pytest.mark.parametrize(
    ("versions", "standing", "found", "wanted", "live"),
    [
        # Without release files: as ever.
        ({1, 2}, None, None, {2}, None),
        # A plan, and nothing released yet: what was served stays.
        ({1, 2}, STANDING, None, {1}, 1),
        # The very first push under a plan has nothing to wait for.
        ({5}, Standing(Plan(), None), None, {5}, 5),
        # In flight: both, and a newer one waits.
        ({1, 2, 3}, STANDING, release(), {1, 2}, 1),
        ({1, 2, 3}, None, release("held"), {1, 2}, 1),
        # The candidate's folder is gone; the baseline's is, but it is in memory.
        ({1}, STANDING, release(), {1}, 1),
        ({2}, STANDING, release(), {1, 2}, 1),
        # Ended.
        ({1, 2}, STANDING, release("promoted"), {2}, 2),
        ({1, 2}, STANDING, release("rolled_back"), {1}, 1),
        ({1, 2, 3}, STANDING, release("rolled_back"), {1}, 1),
        # Without a standing plan a newer push takes over, as without releases.
        ({1, 2, 3}, None, release("rolled_back"), {3}, None),
        ({1, 2}, None, release("rolled_back"), {1}, 1),
        # The winner's folder is gone: never the loser while there is another.
        ({0, 2}, STANDING, release("rolled_back"), {0}, 0),
        ({2}, STANDING, release("rolled_back"), {2}, 2),
    ],
)
def test_release_files_say_what_is_wanted_and_who_answers(versions, standing, found, wanted, live):
    made = direct(LATEST, versions, (), standing, found)
    assert (set(made.wanted), made.live) == (wanted, live)
    assert (made.split is not None) == (found is not None and found.in_flight)


def test_a_winner_that_cannot_load_after_a_restart_makes_the_one_before_it_wanted():
    made = direct(LATEST, {1, 2, 3}, {3}, STANDING, release("promoted", baseline=1, candidate=3))
    assert made.wanted == {2, 3}


def test_a_policy_that_names_versions_keeps_them():
    made = direct(VersionPolicy("all"), {1, 2, 3}, (), STANDING, release())
    assert (made.wanted, made.live) == ({1, 2, 3}, 1)


@pytest.fixture
def steered(tmp_path):
    """A steering over a folder with versions 1 and 2 in release, what it tells, and the states it sees."""

    class Steered:
        def __init__(self):
            self.folder = Folder(tmp_path / "m")
            for version in (1, 2):
                (tmp_path / "m" / str(version)).mkdir(parents=True)
            self.model = Monitored("m", str(tmp_path / "m"))
            self.told = []
            self.states = {}
            self.steering = Steering(lambda *told: self.told.append(told), lambda name: self.states)

        def serves(self, version, state=State.AVAILABLE):
            self.states[version] = ServableState(ServableId("m", version), state)

        def chosen(self, broken=()):
            return set(self.steering.choose(self.model, self.folder.versions(), broken))

    return Steered()


def test_the_candidate_is_loaded_only_when_the_baseline_serves_and_a_trace_is_left(steered):
    assert steered.chosen() == {2}
    steered.folder.save(release())
    assert steered.chosen() == {1}
    steered.serves(1, State.LOADING)
    steered.steering.admit("m", 1)
    assert steered.chosen() == {1}
    steered.serves(1)
    assert steered.chosen() == {1, 2}


def test_a_baseline_that_cannot_load_keeps_the_candidate_waiting_no_longer(steered):
    steered.folder.save(release())
    steered.steering.admit("m", 1)
    assert steered.chosen(broken={1}) == {1, 2}


def test_who_divides_requests_is_told_once_and_before_anything_is_wanted(steered):
    steered.folder.save(release())
    steered.chosen()
    steered.chosen()
    assert [(name, live, split.share) for name, live, split in steered.told] == [("m", 1, 0.25)]
    steered.folder.save(release().moved("promoted", "good", step=5))
    steered.chosen()
    assert steered.told[-1] == ("m", 2, None)
