"""Source and manager with loaders of the test's own: lifecycles, drains, retries, and threads in between."""

from __future__ import annotations

import threading
import time

import pytest

from serving.core.manager import Manager
from serving.core.policy import VersionPolicy, resource_preserving
from serving.core.servable import LoadFailed, ServableNotFound, State
from serving.core.source import Monitored, Source, find_versions, fingerprint
from tests.serving.processes import until


class Thing:
    def __init__(self, name):
        self.name = name
        self.closed = False

    def close(self):
        self.closed = True


def served(manager, version=None):
    """The servable and its version, given back at once."""
    with manager.acquire("m", version) as handle:
        return handle.servable, handle.id.version


@pytest.fixture
def made():
    """Makes managers and stops them whatever happens."""
    managers = []

    def make(load=lambda id, path: Thing(str(id)), **options):
        options.setdefault("retry_interval_s", 0.01)
        managers.append(Manager(load, **options))
        return managers[-1]

    yield make
    for manager in managers:
        manager.stop(1)


def state_of(manager, version):
    found = manager.states("m").get(version)
    return None if found is None else found.state


def test_a_wanted_version_becomes_available(made):
    manager = made()
    manager.aspire("m", {1: "/m/1"})
    assert manager.wait_until_settled(["m"], 10)
    with manager.acquire("m") as handle:
        assert handle.id == ("m", 1)
    assert state_of(manager, 1) is State.AVAILABLE


def test_what_is_not_served_is_not_found_in_the_originals_words(made):
    manager = made()
    for version, asked in [(None, "Latest(m)"), (4, "Specific(m, 4)")]:
        with pytest.raises(ServableNotFound) as caught:
            manager.acquire("m", version)
        assert str(caught.value) == f"Servable not found for request: {asked}"


def test_the_newest_available_version_answers_and_the_old_one_is_closed(made):
    things = {}
    manager = made(lambda id, path: things.setdefault(id.version, Thing(path)))
    manager.aspire("m", {1: "/m/1"})
    manager.wait_until_settled(["m"], 10)
    manager.aspire("m", {2: "/m/2"})
    until(lambda: state_of(manager, 1) is State.END)
    assert served(manager)[1] == 2
    assert things[1].closed
    assert not things[2].closed


def test_a_version_is_closed_only_after_its_last_request(made):
    things = {}
    manager = made(lambda id, path: things.setdefault(id.version, Thing(path)))
    manager.aspire("m", {1: "/m/1"})
    manager.wait_until_settled(["m"], 10)
    first = manager.acquire("m", 1)
    second = first.share()
    manager.aspire("m", {})
    until(lambda: state_of(manager, 1) is State.UNLOADING)
    with pytest.raises(ServableNotFound):
        manager.acquire("m", 1)
    third = second.share()
    first.release()
    first.release()
    second.release()
    assert not things[1].closed
    third.release()
    until(lambda: state_of(manager, 1) is State.END)
    assert things[1].closed


def test_a_failing_load_is_retried_and_reported_and_then_given_up(made):
    attempts = []

    def load(id, path):
        attempts.append(path)
        raise LoadFailed("DATA_LOSS", "torn file")

    manager = made(load, max_retries=2)
    manager.aspire("m", {1: "/m/1"})
    until(lambda: state_of(manager, 1) is State.END)
    assert len(attempts) == 3
    assert manager.states("m")[1].error == ("DATA_LOSS", "torn file")
    assert manager.broken("m") == {1}


def test_a_broken_version_leaves_the_working_one_alone(made):
    def load(id, path):
        if id.version == 2:
            raise ValueError("surprise")
        return Thing(path)

    manager = made(load, max_retries=0)
    manager.aspire("m", {1: "/m/1"})
    manager.wait_until_settled(["m"], 10)
    manager.aspire("m", {2: "/m/2"})
    until(lambda: state_of(manager, 2) is State.END)
    assert manager.states("m")[2].error == ("INTERNAL", "ValueError: surprise")
    assert served(manager)[1] == 1


def test_a_repaired_version_is_tried_again_at_once(made):
    contents = {"/m/1": "torn"}

    def load(id, path):
        if contents[path] == "torn":
            raise LoadFailed("DATA_LOSS", "torn file")
        return Thing(path)

    manager = made(load, max_retries=3, retry_interval_s=3600, fingerprint=contents.get)
    manager.aspire("m", {1: "/m/1"})
    until(lambda: manager.broken("m"))
    manager.aspire("m", {1: "/m/1"})
    assert state_of(manager, 1) is State.LOADING
    contents["/m/1"] = "whole"
    manager.aspire("m", {1: "/m/1"})
    until(lambda: state_of(manager, 1) is State.AVAILABLE)
    assert manager.states("m")[1].error is None


def test_a_version_that_waits_for_a_retry_can_be_taken_back(made):
    def load(id, path):
        raise LoadFailed("DATA_LOSS", "torn file")

    manager = made(load, retry_interval_s=3600)
    manager.aspire("m", {1: "/m/1"})
    until(lambda: manager.broken("m"))
    manager.aspire("m", {})
    until(lambda: state_of(manager, 1) is State.END)
    assert manager.broken("m") == set()


def test_the_same_version_from_another_folder_replaces_the_old_one_without_a_gap(made):
    manager = made()
    manager.aspire("m", {1: "/old/1"})
    manager.wait_until_settled(["m"], 10)
    old = served(manager)[0]
    manager.aspire("m", {1: "/new/1"})
    until(lambda: served(manager)[0] is not old)
    until(lambda: old.closed)
    assert state_of(manager, 1) is State.AVAILABLE


def test_resource_preserving_never_holds_two_versions(made):
    alive = []
    most = []

    class Counted(Thing):
        def close(self):
            alive.remove(self)

    def load(id, path):
        alive.append(Counted(path))
        most.append(len(alive))
        return alive[-1]

    manager = made(load, policy=resource_preserving)
    for version in (1, 2, 3):
        manager.aspire("m", {version: f"/m/{version}"})
        until(lambda v=version: state_of(manager, v) is State.AVAILABLE)
    assert max(most) == 1


def test_requests_never_meet_a_closed_version_while_versions_change(made):
    """40 swaps under four threads that acquire, look and release as fast as they can."""
    manager = made()
    manager.aspire("m", {0: "/m/0"})
    manager.wait_until_settled(["m"], 10)
    faults = []
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            try:
                with manager.acquire("m") as handle:
                    if handle.servable.closed:
                        faults.append("closed while held")
                    time.sleep(0)
                    if handle.servable.closed:
                        faults.append("closed while held")
            except ServableNotFound as error:
                faults.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in range(1, 41):
        manager.aspire("m", {version: f"/m/{version}"})
        until(lambda v=version: state_of(manager, v) is State.AVAILABLE)
    stop.set()
    for thread in threads:
        thread.join()
    assert faults == []


def test_stopping_closes_everything(made):
    things = []
    manager = made(lambda id, path: things.append(Thing(path)) or things[-1])
    manager.aspire("m", {1: "/m/1"})
    manager.aspire("n", {1: "/n/1"})
    manager.wait_until_settled(["m", "n"], 10)
    manager.stop(5)
    assert [t.closed for t in things] == [True, True]


def push(root, version, name="saved_model.pb"):
    folder = root / str(version)
    folder.mkdir(parents=True)
    if name:
        (folder / name).write_bytes(b"x")


def test_only_numbered_folders_are_versions(tmp_path):
    for name in ("1", "00000012", "tmp", "-3", "4.tmp", "٥", str(2**63)):
        (tmp_path / name).mkdir()
    (tmp_path / "7").write_text("a file")
    assert find_versions(str(tmp_path)) == {1: str(tmp_path / "1"), 12: str(tmp_path / "00000012")}


class Seen:
    def __init__(self, tmp_path, policy=None, broken=()):
        self.calls = {}
        self.source = Source(self.calls.__setitem__, lambda name: set(broken), poll_wait_s=0.02)
        self.source.configure([Monitored("m", str(tmp_path), policy or VersionPolicy())])

    def versions(self):
        return sorted(self.calls.get("m", {}))


def test_the_source_wants_the_latest_version_and_follows_pushes(tmp_path):
    push(tmp_path, 1)
    seen = Seen(tmp_path)
    assert seen.versions() == [1]
    seen.source.start()
    push(tmp_path, 2)
    until(lambda: seen.versions() == [2])
    seen.source.stop()


def test_a_folder_whose_files_are_still_coming_does_not_displace_the_old_version(tmp_path):
    push(tmp_path, 1)
    push(tmp_path, 2, name="")
    seen = Seen(tmp_path)
    assert seen.versions() == [1]
    (tmp_path / "2" / "saved_model.pb").write_bytes(b"x")
    seen.source.poll()
    assert seen.versions() == [2]


def test_a_base_path_that_goes_away_changes_nothing(tmp_path):
    push(tmp_path / "base", 1)
    seen = Seen(tmp_path / "base")
    (tmp_path / "base").rename(tmp_path / "moved")
    seen.calls.clear()
    seen.source.poll()
    assert seen.calls == {}
    assert "Could not find base path" in seen.source.complaint("m")


def test_an_empty_base_path_is_explained(tmp_path):
    seen = Seen(tmp_path)
    assert seen.versions() == []
    assert "Did you forget to name your leaf directory as a number" in seen.source.complaint("m")


def test_a_model_that_leaves_the_configuration_is_given_up(tmp_path):
    push(tmp_path, 1)
    seen = Seen(tmp_path)
    seen.source.configure([])
    assert seen.calls["m"] == {}


def test_the_fingerprint_notices_changed_files(tmp_path):
    push(tmp_path, 1)
    before = fingerprint(str(tmp_path / "1"))
    assert before == fingerprint(str(tmp_path / "1"))
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"other")
    assert before != fingerprint(str(tmp_path / "1"))


@pytest.mark.parametrize("kind", ["model-load", "model-unload"])
def test_a_thread_that_cannot_start_is_tried_again(made, monkeypatch, kind):
    """The books say what runs: a load that never began holds no place, and requests keep what is not unloaded."""
    failed = []
    start = threading.Thread.start

    def sometimes(thread):
        if thread.name == kind and len(failed) < 2:
            failed.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", sometimes)
    monkeypatch.setattr("serving.core.manager.THREAD_RETRY_S", 0.01)
    manager = made()
    manager.aspire("m", {1: "/m/1"})
    until(lambda: state_of(manager, 1) is State.AVAILABLE)
    manager.aspire("m", {2: "/m/2"})
    until(lambda: state_of(manager, 2) is State.AVAILABLE)
    until(lambda: state_of(manager, 1) is State.END)
    assert len(failed) == 2
    assert served(manager)[1] == 2


def test_a_fingerprint_that_fails_is_a_failed_load(made):
    def broken(path):
        raise RuntimeError("no such thing")

    manager = made(fingerprint=broken)
    manager.aspire("m", {1: "/m/1"})
    assert manager.wait_until_settled(["m"], 10)
    assert manager.states("m")[1].error == ("INTERNAL", "RuntimeError: no such thing")


def test_a_version_that_hangs_while_it_loads_holds_up_no_other_once_nobody_wants_it(made):
    comes = threading.Event()

    def load(id, path):
        if id.version == 2:
            comes.wait(60)
        return Thing(str(id))

    manager = made(load, load_threads=1)
    manager.aspire("m", {1: "/m/1"})
    assert manager.wait_until_settled(["m"], 10)
    manager.aspire("m", {1: "/m/1", 2: "/m/2"})
    until(lambda: state_of(manager, 2) is State.LOADING)
    manager.aspire("m", {1: "/m/1", 3: "/m/3"})
    until(lambda: state_of(manager, 3) is State.AVAILABLE)
    comes.set()
    until(lambda: state_of(manager, 2) in (None, State.END))
    assert served(manager)[1] == 3
