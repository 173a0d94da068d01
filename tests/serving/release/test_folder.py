"""Release files: whole or not believed, written by one controller at a time, whatever is done to them by hand."""

import dataclasses
import json
import subprocess
import sys

import pytest

from serving.release import record
from serving.release.folder import Folder, LeaseLost, lives, this_server
from serving.release.plan import Plan
from tests.serving.processes import ROOT


@pytest.fixture
def folder(tmp_path):
    for version in (1, 2, 3):
        (tmp_path / "m" / str(version)).mkdir(parents=True)
    made = Folder(tmp_path / "m")
    made.path.mkdir()
    return made


def begun(number=1, baseline=1, candidate=2, plan=None):
    return record.begun(number, baseline, candidate, plan or Plan(), "test", "a test")


def test_a_release_is_read_as_it_was_written(folder):
    release = dataclasses.replace(begun(), judgement={"errors": {"candidate": [1, 2]}}, elapsed=3.5)
    folder.save(release)
    assert folder.newest() == release
    assert folder.whole(release)


def test_the_newest_release_counts_whatever_version_it_is_of(folder):
    folder.save(begun(1, 1, 3).moved("rolled_back", "bad"))
    folder.save(begun(2, 1, 2))
    assert (folder.newest().number, folder.newest().candidate) == (2, 2)
    folder.save(begun(10_000, 1, 3))
    assert folder.newest().number == 10_000


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: text.replace('"candidate": 2', '"candidate": 3'),
        lambda text: text.replace('"state": "shadow"', '"state": "promoted"'),
        lambda text: json.dumps([1]),
    ],
    ids=["torn", "empty", "edited", "promoted by hand", "another document"],
)
def test_a_file_that_was_torn_or_edited_is_not_believed_and_its_copy_is(folder, damage):
    folder.save(begun())
    file = folder.path / "releases" / "0001-2.json"
    file.write_text(damage(file.read_text()))
    found = folder.newest()
    assert (found.state, found.candidate) == ("shadow", 2)
    assert found.journal[-1]["why"].endswith("; went on from the copy")
    assert not folder.whole(found)
    folder.save(found)
    assert folder.newest() == found


def test_where_the_copy_is_torn_too_the_candidate_is_taken_as_rolled_back(folder):
    folder.save(begun(1, 2, 3).moved("canary", "on its way", step=2))
    for part in ("releases", "copy"):
        (folder.path / part / "0001-3.json").write_text("{")
    found = folder.newest()
    assert (found.state, found.baseline, found.candidate) == ("rolled_back", 2, 3)


def test_only_one_controller_steers_and_the_next_has_a_higher_number(folder):
    other = Folder(folder.base)
    assert folder.take()
    assert not other.take()
    assert folder.take()
    first = folder.fence
    folder.give_back()
    assert other.take()
    assert other.fence > first


def test_the_lease_ends_with_its_process(folder):
    code = (
        "import sys, time; from serving.release.folder import Folder\n"
        "folder = Folder(sys.argv[1]); assert folder.take(); print('taken', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(folder.base)]
    with subprocess.Popen(
        [*command, str(folder.base)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        assert not folder.take()
        holder.kill()
        holder.wait()
    assert folder.take()


def test_what_a_later_controller_wrote_is_not_overwritten_by_an_earlier_one(folder):
    folder.save(dataclasses.replace(begun(), fence=7))
    with pytest.raises(LeaseLost):
        folder.save(dataclasses.replace(begun().moved("promoted", "late"), fence=6))
    assert folder.newest().state == "shadow"


def test_the_lease_number_grows_even_where_the_lease_file_was_lost(folder):
    folder.save(dataclasses.replace(begun(), fence=41))
    assert folder.take()
    assert folder.fence == 42


def test_a_plan_that_cannot_be_read_still_makes_pushes_wait(folder):
    folder.lay_down(Plan(margin=3.0), 2)
    assert folder.standing().plan.margin == 3.0
    (folder.path / "plan.json").write_text('{"plan": {"shares": [0.1')
    assert folder.standing().plan == Plan()
    folder.lay_down(None, None)
    assert folder.standing() is None


def test_reports_are_those_of_the_release_and_say_whether_their_server_lives(folder):
    folder.report({"release": 3, "cells": []})
    assert set(folder.reports(3)) == {this_server()}
    assert folder.reports(4) == {}
    assert lives(this_server())
    host, pid, _ = this_server().split("~")
    assert not lives(f"{host}~{pid}~1")
    assert lives(f"elsewhere~{pid}~1")


def test_half_written_files_of_a_killed_process_are_passed_over(folder):
    for part in ("releases", "servers", "asks"):
        (folder.path / part).mkdir()
        (folder.path / part / ".0001-2.json.77.0.tmp").write_text("{")
    assert folder.newest() is None
    assert folder.asks() == []
    assert folder.reports(1) == {}
