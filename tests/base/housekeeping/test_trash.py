"""Nothing is lost by a kill -9 at any step of throwing away, mending, putting back and purging."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from pipelines.base.errors import ViaductError
from pipelines.base.housekeeping import trash
from pipelines.base.housekeeping.planning import Thing
from tests.base.housekeeping.kept_states import KeptStates, every_kill, killed_at

NOW = 1_800_000_000.0


class Home:
    """A HOME with things that go: some of artifacts, with one folder or two, some of files alone."""

    def __init__(self, folder: Path, shapes: list[tuple[int, int]]) -> None:
        self.folder, self.shapes = folder, shapes
        self.states = KeptStates(folder / "states.json")

    def make(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.states.put({artifact: "LIVE" for thing in self.things() for artifact in thing.artifacts})
        for path in self.paths():
            path.mkdir(parents=True)
            (path / "rows").write_text(path.name)

    def things(self) -> list[Thing]:
        things, number = [], 0
        for i, (artifacts, folders) in enumerate(self.shapes):
            ids = tuple(range(number, number + artifacts))
            number += artifacts
            paths = tuple(self.folder / "pipelines" / f"{i}-{j}" for j in range(folders))
            things.append(Thing("p", "model", f"thing {i}", paths, ids, 10, 1e6, "old"))
        return things

    def paths(self) -> list[Path]:
        return [path for thing in self.things() for path in thing.paths]

    def throw(self) -> None:
        trash.throw(trash.plan(self.folder, self.things(), NOW), self.states)

    def restore(self) -> None:
        trash.restore(self.folder, self.states, lambda item: True)

    def mend(self) -> None:
        assert trash.mend(self.folder, self.states) == []

    def check_live_is_there(self) -> None:
        """What ML Metadata calls LIVE has its files, at every moment."""
        states = self.states.all()
        for thing in self.things():
            if any(states[artifact] == "LIVE" for artifact in thing.artifacts):
                assert [path for path in thing.paths if not (path / "rows").is_file()] == []

    def check_nothing_is_lost(self) -> None:
        """All comes back whole, whatever was done before."""
        self.check_live_is_there()
        self.mend()
        self.check_live_is_there()
        self.restore()
        assert [path.name for path in self.paths() if (path / "rows").read_text() != path.name] == []
        assert set(self.states.all().values()) <= {"LIVE"}
        self.mend()
        assert list((self.folder / "trash").glob("*/*")) == [], "no empty batch stays"


# (artifacts, folders) of each thing.
SHAPES = pytest.mark.parametrize("shapes", [[(0, 1)], [(1, 2), (0, 2), (2, 1)]], ids=["files", "artifacts"])


@SHAPES
def test_a_kill_at_any_step_of_throwing_away_loses_nothing(
    tmp_path: Path, shapes: list[tuple[int, int]]
) -> None:
    home = Home(tmp_path / "home", shapes)
    assert every_kill(home.throw, home.make, home.check_nothing_is_lost) >= len(home.paths()) + 2


@SHAPES
def test_a_kill_at_any_step_of_putting_back_loses_nothing(
    tmp_path: Path, shapes: list[tuple[int, int]]
) -> None:
    home = Home(tmp_path / "home", shapes)

    def thrown() -> None:
        home.make()
        home.throw()

    every_kill(home.restore, thrown, home.check_nothing_is_lost)


@pytest.mark.parametrize("first", range(2, 9))
def test_a_kill_while_what_a_kill_left_is_mended_loses_nothing(tmp_path: Path, first: int) -> None:
    home = Home(tmp_path / "home", [(1, 2), (0, 1)])

    def half() -> None:
        home.make()
        killed_at(first, home.throw)

    every_kill(home.mend, half, home.check_nothing_is_lost)


def test_a_purge_that_is_killed_goes_on_and_nothing_half_gone_is_put_back(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", [(1, 1), (1, 2)])

    def thrown() -> None:
        home.make()
        home.throw()

    def whole_or_gone() -> None:
        home.restore()
        home.mend()
        states = home.states.all()
        back = [path for path in home.paths() if path.exists()]
        if back:
            assert [path for path in home.paths() if not (path / "rows").is_file()] == []
            assert set(states.values()) == {"LIVE"}
        else:
            assert set(states.values()) == {"DELETED"}
            assert list((home.folder / "trash").glob("*/*")) == []

    def purge() -> None:
        trash.purge(home.folder, trash.KEPT_S, NOW + trash.KEPT_S + 1)

    assert every_kill(purge, thrown, whole_or_gone) > 2


def test_what_is_younger_than_a_week_is_not_purged(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", [(1, 1)])
    home.make()
    home.throw()
    assert trash.purge(home.folder, trash.KEPT_S, NOW + trash.KEPT_S - 1) == (0, [])
    assert trash.purge(home.folder, trash.KEPT_S, NOW + trash.KEPT_S) == (10, [])
    with pytest.raises(StopIteration):
        next(iter((home.folder / "trash").glob("*/*")))


def test_a_full_disk_changes_nothing_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path / "home", [(1, 1), (0, 1)])
    home.make()

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(trash.whole, "write", full)
        with pytest.raises(ViaductError, match=r"No space left.*Nothing was changed.*--empty-trash"):
            home.throw()
    home.check_live_is_there()
    assert set(home.states.all().values()) == {"LIVE"} and all(path.exists() for path in home.paths())
    assert list((home.folder / "trash").glob("*/*")) == []


def test_metadata_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", [(1, 1)])
    home.make()

    class Full(KeptStates):
        def mark(self, artifacts: object, *, deleted: bool) -> None:
            raise RuntimeError("database or disk is full")

    with pytest.raises(RuntimeError, match="disk is full"):
        trash.throw(trash.plan(home.folder, home.things(), NOW), Full(home.states.file))
    assert trash.batches(home.folder) == [] and all(path.exists() for path in home.paths())


def test_what_cannot_be_moved_stays_live_and_the_rest_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home", [(1, 2), (1, 1)])
    home.make()
    rename = os.rename

    def refused(source: object, target: object) -> None:
        if str(source).endswith("pipelines/0-1"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rename", refused)
    failed = trash.throw(trash.plan(home.folder, home.things(), NOW), home.states)
    assert len(failed) == 1 and "thing 0 stays: it lies on another disk" in failed[0]
    assert home.states.all() == {0: "LIVE", 1: "DELETED"}
    home.check_live_is_there()
    (batch,) = trash.batches(home.folder)
    assert [item.name for item in batch.items] == ["thing 1"]


def test_what_somebody_made_anew_is_not_overwritten_by_putting_back(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", [(0, 1)])
    home.make()
    home.throw()
    (path,) = home.paths()
    path.mkdir()
    restored, failed = trash.restore(home.folder, home.states, lambda item: True)
    assert restored == [] and "something is there by now" in failed[0]
    path.rmdir()
    home.check_nothing_is_lost()


def test_a_list_that_cannot_be_read_is_never_purged(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", [(1, 1)])
    home.make()
    home.throw()
    (batch,) = trash.batches(home.folder)
    text = (batch.folder / trash.LIST).read_text()
    (batch.folder / trash.LIST).write_text(text[:-9])
    assert trash.purge(home.folder, 0, NOW) == (0, [])
    home.mend()
    (batch.folder / trash.LIST).write_text(json.dumps(json.loads(text)))
    home.check_nothing_is_lost()


def test_two_do_not_change_the_trash_at_once(tmp_path: Path) -> None:
    with (
        trash.alone(tmp_path),
        pytest.raises(ViaductError, match="Another `viaduct gc` is at work"),
        trash.alone(tmp_path),
    ):
        pass
