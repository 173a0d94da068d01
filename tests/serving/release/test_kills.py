"""kill -9 of the controller between any two of its writes: the next one goes on, and traffic is where it should be.

A controller over real files runs in a forked child that ends itself by SIGKILL at its N-th step of writing a record, a
command or an answer: before the file gets its name, and right after. Another child without that fault then takes over.
"""

from __future__ import annotations

import dataclasses
import os
import signal

import pytest

from serving.core.policy import VersionPolicy
from serving.release import controller as controllers
from serving.release import folder as folders
from serving.release.folder import Folder
from serving.release.steering import direct
from serving.release.tally import CANDIDATE
from tests.serving.release.test_controller import PLAN, Server, shadowed

# More steps of writing than there are in any of the courses.
MOST = 40
COUNTED = ("releases", "copy", "asks")


def promoted(server):
    """Begins by a push, shadow, two canaries, promoted."""
    server.passes(3)
    shadowed(server)
    server.passes(11)
    server.requests("0.1", 1000)
    server.passes(11)
    server.requests("0.5", 200_000, errors=(500, 500))
    server.passes(2)


def rolled_back(server):
    server.passes(3)
    server.tally["shadow", CANDIDATE, "five_alone"] += 1
    server.passes(2)


def held(server):
    """No request at all, until the limit."""
    server.passes(60)


COURSES = {"promoted": promoted, "rolled_back": rolled_back, "held": held}


def in_a_child(base, course, kill_at=None):
    """Runs a course over the files in `base`; whether the child was killed by its own fault."""
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            return True
        assert os.waitstatus_to_exitcode(status) == 0
        return False
    try:
        with pytest.MonkeyPatch.context() as patch:
            # Of the time that was watched, which is written now and then, nothing is killed here.
            patch.setattr(controllers, "SAVE_S", 1e9)
            patch.setattr(folders.os, "fsync", lambda handle: None)
            if kill_at is not None:
                _kills_at(patch, kill_at)
            server = Server(base, patch)
            course(server)
            server.controller.stop()
        os._exit(0)
    except BaseException:
        os._exit(1)


def _kills_at(patch, number):
    replace, left = os.replace, [number]

    def step():
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def replaced(source, target):
        counted = target.parent.name in COUNTED
        if counted:
            step()
        replace(source, target)
        if counted:
            step()

    patch.setattr(folders.os, "replace", replaced)


def pushed(base):
    """Version 1 served under a plan, version 2 pushed."""
    for version in ("1", "2"):
        (base / version).mkdir(parents=True)
    Folder(base).lay_down(dataclasses.replace(PLAN), 1)


@pytest.mark.parametrize("ends", COURSES)
def test_a_controller_that_is_killed_between_two_writes_is_followed_by_one_that_ends_the_release(
    tmp_path, ends
):
    course, killed = COURSES[ends], 0
    for number in range(MOST):
        base = tmp_path / str(number)
        pushed(base)
        if not in_a_child(base, course, kill_at=number):
            break
        killed += 1
        place = Folder(base)
        between = place.newest()
        if between is not None:
            # Whoever looks now sees a state that was meant; in flight the baseline is there for all that fails.
            assert between.state in ("shadow", "canary", ends)
            made = direct(VersionPolicy(), {1, 2}, (), place.standing(), between)
            assert made.live == between.winner if not between.in_flight else made.live == 1
        assert not in_a_child(base, course)
        after = place.newest()
        assert (after.number, after.state) == (1, ends), number
        assert place.whole(after)
        assert after.journal[-1]["why"]
        states = [line["state"] for line in after.journal if line["who"] == "controller"]
        assert states[0] == "shadow"
        assert states[-1] == ends
        assert [p.name for p in place.path.glob("releases/*.json")] == ["0001-2.json"]
    # A record is two files, and each a step before and one after.
    assert killed >= 4 * len(states)
    assert number < MOST - 1


@pytest.mark.parametrize("what", ["hold", "promote", "rollback"])
def test_a_command_that_a_kill_interrupts_is_done_once(tmp_path, what):
    for number in range(MOST):
        base = tmp_path / str(number)
        pushed(base)

        def asks(server):
            server.passes(3)
            server.folder.ask({"what": what, "who": "ann", "why": "she says so"})
            server.passes(2)

        # The first writes are the release's beginning and the command itself.
        if not in_a_child(base, asks, kill_at=number):
            break
        assert not in_a_child(base, lambda server: server.passes(3))
        place = Folder(base)
        told = [line["state"] for line in place.newest().journal if line["who"] == "ann"]
        assert told in ([], [{"hold": "held", "promote": "promoted", "rollback": "rolled_back"}[what]])
        assert place.asks() == []
    assert number > 10
