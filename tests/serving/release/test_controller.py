"""A controller over real files, with versions and counts that a test speaks for; each `tick` is one look."""

import dataclasses
import json
import os
import time

import pytest

from serving.core.servable import ServableId, ServableState, State
from serving.core.source import Monitored
from serving.release import controller as controllers
from serving.release import folder as folders
from serving.release import plan as plans
from serving.release.controller import Controller
from serving.release.folder import Folder
from serving.release.plan import Plan
from serving.release.steering import Steering
from serving.release.tally import BASELINE, CANDIDATE, Tally

PLAN = Plan(shares=plans.shares("shadow,10,50,100"), step_s=10, limit_s=50)


class Server:
    """One server's controller. `passes` lets time pass, a second a look."""

    def __init__(self, base, monkeypatch):
        self.folder = Folder(base)
        self.states_ = {}
        self.broken_ = set()
        self.tally = Tally()
        self.kicks = 0
        self._now = [1000.0]
        monkeypatch.setattr(controllers.time, "monotonic", lambda: self._now[0])
        self.steering = Steering(lambda *told: None, self.states)
        self.controller = Controller(self.steering, self, self, lambda name, number: self.tally)
        for version in self.folder.versions():
            self.serves(version)

    def models(self):
        return [Monitored("m", str(self.folder.base))]

    def kick(self):
        self.kicks += 1

    def states(self, name):
        return self.states_

    def broken(self, name):
        return self.broken_

    def serves(self, version, state=State.AVAILABLE, error=None):
        self.states_[version] = ServableState(ServableId("m", version), state, error)

    def passes(self, seconds):
        for _ in range(seconds):
            self._now[0] += 1.0
            self.controller.tick()

    def requests(self, share, number, **events):
        """So many requests at a share of the candidate's, evenly as asked."""
        for arm, part in ((CANDIDATE, float(share)), (BASELINE, 1 - float(share))):
            for what in ("asked", "timed"):
                self.tally[share, arm, what] += int(number * part)
            self.tally[share, arm, "slow"] += int(number * part / 100)
        for what, (baseline, candidate) in events.items():
            self.tally[share, BASELINE, what] += baseline
            self.tally[share, CANDIDATE, what] += candidate

    @property
    def release(self):
        return self.folder.newest()


@pytest.fixture
def server(tmp_path, monkeypatch):
    base = tmp_path / "m"
    (base / "1").mkdir(parents=True)
    made = Server(base, monkeypatch)
    made.folder.lay_down(PLAN, 1)
    return made


def push(server, version):
    (server.folder.base / str(version)).mkdir()
    server.serves(version)
    server.passes(2 if server.release is None else 0)


def shadowed(server, number=60):
    for arm in (BASELINE, CANDIDATE):
        server.tally["shadow", arm, "asked"] += number


def test_a_push_under_a_plan_begins_a_release_and_is_kicked_in(server):
    server.passes(2)
    assert server.release is None
    push(server, 2)
    server.passes(1)
    assert (server.release.state, server.release.baseline, server.release.candidate) == ("shadow", 1, 2)
    assert server.kicks > 0


def test_a_candidate_goes_through_every_step_and_the_journal_says_why(server):
    push(server, 2)
    server.passes(1)
    shadowed(server)
    server.passes(12)
    assert (server.release.state, server.release.share) == ("canary", 0.1)
    server.requests("0.1", 1000)
    server.passes(12)
    assert server.release.share == 0.5
    server.requests("0.5", 200_000, errors=(500, 500))
    server.passes(2)
    assert server.release.state == "promoted"
    states = [(line["state"], line["share"]) for line in server.release.journal]
    assert states == [("shadow", 0.0), ("canary", 0.1), ("canary", 0.5), ("promoted", 1.0)]
    assert all(line["why"] and line["time"].endswith("+00:00") for line in server.release.journal)


def test_without_any_traffic_it_is_held_and_never_promoted(server):
    push(server, 2)
    server.passes(60)
    assert server.release.state == "held"
    assert server.release.journal[-1]["why"] == "not enough data: 0 requests in 50 s at shadow"


def test_a_push_during_a_release_waits_for_its_end(server):
    push(server, 2)
    server.passes(2)
    push(server, 3)
    push(server, 4)
    server.passes(3)
    assert server.release.candidate == 2
    server.tally["shadow", CANDIDATE, "five_alone"] += 1
    server.passes(1)
    assert (server.release.candidate, server.release.state) == (2, "rolled_back")
    server.tally.clear()
    server.passes(3)
    assert (server.release.number, server.release.baseline, server.release.candidate) == (2, 1, 4)


def test_a_version_whose_files_still_come_waits_until_they_have(server):
    (server.folder.base / "2").mkdir()
    server.serves(2)
    for part in range(4):
        (server.folder.base / "2" / f"part-{part}").write_text("x")
        server.passes(1)
    assert server.release is None
    server.passes(1)
    assert server.release.candidate == 2


def test_what_was_promoted_can_be_taken_back(server):
    push(server, 2)
    for what in ("promote", "rollback"):
        server.folder.ask({"what": what, "who": "ann"})
        server.passes(1)
    assert (server.release.state, server.release.winner) == ("rolled_back", 1)
    answer = server.folder.ask({"what": "rollback", "who": "ann"})
    server.passes(1)
    assert (
        json.loads(answer.read_text())["text"]
        == "There is no release to rollback; the last one ended: rolled_back."
    )


def test_reports_of_servers_that_have_ended_go_with_their_release(server):
    host, pid, _ = folders.this_server().split("~")
    folder = server.folder.path / "servers"
    folder.mkdir()
    (folder / f"{host}~{pid}~1.json").write_text(json.dumps({"release": 7}))
    push(server, 2)
    server.passes(1)
    assert [path.stem for path in folder.glob("*.json")] == [folders.this_server()]


def test_a_clock_that_jumps_ends_no_step(server, monkeypatch):
    push(server, 2)
    shadowed(server)
    server.passes(1)
    for jump in (86_400, -86_400, 10**9):
        monkeypatch.setattr(time, "time", lambda jump=jump: 1.7e9 + jump)
        server.passes(1)
        assert server.release.state == "shadow"
    # Nor does a machine that slept: only watched time counts.
    server._now[0] += 3600
    server.controller.tick()
    assert server.release.state == "shadow"


def test_a_second_controller_steers_nothing_until_the_first_has_ended(server, monkeypatch):
    push(server, 2)
    server.passes(1)
    other = Server(server.folder.base, monkeypatch)
    shadowed(other)
    other.passes(30)
    assert server.release.state == "shadow"
    server.controller.stop()
    other.passes(14)
    assert other.release.share == 0.1


def test_the_next_controller_goes_on_with_what_was_counted_and_how_long_was_watched(server, monkeypatch):
    push(server, 2)
    server.passes(1)
    shadowed(server)
    server.passes(7)
    # Killed: its lease is free, its report stays, under the name of a process that is no more.
    server.steering.folder(str(server.folder.base)).give_back()
    name = folders.this_server().rpartition("~")[0] + "~1"
    (report,) = (server.folder.path / "servers").glob("*.json")
    os.rename(report, report.with_name(f"{name}.json"))
    following = Server(server.folder.base, monkeypatch)
    following.passes(3)
    assert following.release.state == "shadow"
    following.passes(4)
    assert (following.release.state, following.release.share) == ("canary", 0.1)
    assert following.release.journal[-1]["why"].startswith("60 requests in 1")


def test_two_servers_that_ended_while_they_loaded_it_are_enough(server):
    push(server, 2)
    server.serves(2, State.LOADING)
    server.passes(1)
    host, pid, _ = folders.this_server().split("~")
    for number in (1, 2):
        assert server.release.state == "shadow"
        dead = server.folder.path / "servers" / f"{host}~{pid}~{number}.json"
        dead.write_text(json.dumps({"release": 1, "candidate": "LOADING", "ended": False}))
        server.passes(1)
    assert server.release.state == "rolled_back"
    assert server.release.journal[-1]["why"] == "2 servers ended while they loaded version 2"


def test_servers_that_were_stopped_in_order_speak_against_nobody(server):
    push(server, 2)
    server.passes(1)
    host, pid, _ = folders.this_server().split("~")
    for number in range(1, 6):
        dead = server.folder.path / "servers" / f"{host}~{pid}~{number}.json"
        dead.write_text(json.dumps({"release": 1, "candidate": "LOADING", "ended": True}))
    server.passes(2)
    assert server.release.state == "shadow"


def test_workers_that_end_while_it_loads_speak_against_it(server):
    push(server, 2)
    server.serves(2, State.LOADING)
    server.passes(1)
    server.controller.worker_ended()
    server.passes(1)
    assert server.release.state == "shadow"
    server.controller.worker_ended()
    server.passes(1)
    assert server.release.state == "rolled_back"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (
            lambda s: s.broken_.add(2) or s.serves(2, State.LOADING, ("INTERNAL", "no op")),
            "does not load: no op",
        ),
        (lambda s: (s.folder.base / "2").rmdir(), "the folder of version 2 is gone"),
    ],
)
def test_a_version_that_does_not_load_or_is_deleted_is_rolled_back_at_once(server, spoil, why):
    push(server, 2)
    server.passes(1)
    spoil(server)
    server.passes(1)
    assert server.release.state == "rolled_back"
    assert server.release.journal[-1]["why"].endswith(why)


@pytest.mark.parametrize("damage", [lambda text: text[:100], lambda text: text.replace("shadow", "promoted")])
def test_a_torn_or_edited_record_is_written_again_and_the_journal_says_so(server, damage):
    push(server, 2)
    server.passes(2)
    file = server.folder.path / "releases" / "0001-2.json"
    file.write_text(damage(file.read_text()))
    server.passes(1)
    assert server.folder.whole(server.release)
    assert server.release.state == "shadow"
    assert "went on from the copy" in server.release.journal[-1]["why"]


def test_a_plan_file_that_is_torn_makes_the_next_push_wait_all_the_same(server):
    (server.folder.path / "plan.json").write_text("{")
    push(server, 2)
    server.passes(1)
    assert server.release.plan == Plan()


def test_what_people_ask_is_done_by_the_controller_and_answered(server):
    push(server, 2)
    server.passes(1)
    answer = server.folder.ask({"what": "hold", "who": "ann", "why": "lunch"})
    server.passes(1)
    assert json.loads(answer.read_text()) == {"text": "version 2 is held at shadow", "done": True}
    assert (server.release.state, server.release.journal[-1]["who"]) == ("held", "ann")
    answer = server.folder.ask({"what": "dance"})
    server.passes(1)
    assert json.loads(answer.read_text())["done"] is False
    server.folder.ask({"what": "approve", "who": "bob"})
    server.passes(1)
    assert (server.release.state, server.release.approved) == ("shadow", True)


def test_release_machinery_that_fails_is_told_once_and_other_models_go_on(server, caplog, monkeypatch):
    def full(self, release):
        raise OSError("disk full")

    monkeypatch.setattr(Folder, "save", full)
    push(server, 2)
    server.passes(3)
    assert [r.message for r in caplog.records].count("The release of m cannot be followed") == 1


def test_an_edited_lease_number_does_not_let_an_older_controller_write(server):
    push(server, 2)
    server.passes(1)
    newer = dataclasses.replace(server.release, fence=99).moved("held", "by another controller", who="other")
    server.folder.save(newer)
    server.passes(2)
    assert (server.release.state, server.release.fence) == ("held", 99)
