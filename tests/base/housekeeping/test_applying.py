"""Taking away, putting back, and what happens on disks that take no more."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.base import executions
from pipelines.base.errors import ViaductError
from pipelines.base.housekeeping import applying, trash, turns
from tests.base.housekeeping.world import DAY, World


def _files(folder: Path) -> set[str]:
    """What lies in `folder`, locks and ML Metadata's own files aside."""
    found = (str(path.relative_to(folder)) for path in folder.rglob("*"))
    return {name for name in found if not name.endswith(".lock") and not name.startswith("metadata.sqlite")}


def test_what_goes_is_deleted_in_ml_metadata_before_its_files_move(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, _ = world.run(), world.run()
    seen: list[str] = []
    move = trash._move

    def watched(item: trash.Item) -> None:
        assert {world.state(artifact) for artifact in item.artifacts} <= {"DELETED"}
        assert all(Path(source).exists() for source, _ in item.moves)
        seen.append(item.kind)
        move(item)

    monkeypatch.setattr(trash, "_move", watched)
    done = world.apply()
    assert {"model", "served version", "run logs and IR"} <= set(seen)
    assert {world.state(artifact) for artifact in world.made[old].values()} == {"DELETED"}
    assert not world.uri(world.made[old]["model"]).exists()
    assert (world.paths.runs / old / "run.json").exists() and not (world.paths.runs / old / "logs").exists()
    assert len(done.moved) == len(seen)


def test_restoring_brings_files_and_states_back(world: World) -> None:
    old, new = world.run(), world.run()
    before = _files(world.paths.home)
    world.apply()
    restored, failed = applying.restore(world.paths.home)
    assert failed == [] and restored
    assert {name for name in _files(world.paths.home) if not name.startswith("trash")} == before
    every = [*world.made[old].values(), *world.made[new].values()]
    assert {world.state(artifact) for artifact in every} == {"LIVE"}
    with pytest.raises(ViaductError, match="There is nothing in"):
        applying.restore(world.paths.home)


def test_a_part_of_a_name_restores_that_part_alone(world: World) -> None:
    old, _ = world.run(), world.run()
    world.apply()
    restored, _ = applying.restore(world.paths.home, "Trainer/model/")
    assert [item.artifacts for item in restored] == [(world.made[old]["model"],)]
    assert world.state(world.made[old]["model_run"]) == "DELETED"
    with pytest.raises(ViaductError, match="nothing that 'nonsense' names"):
        applying.restore(world.paths.home, "nonsense")


def test_the_trash_is_purged_after_a_week_and_metadata_stays(world: World) -> None:
    old, _ = world.run(), world.run()
    world.apply()
    assert world.apply(later=6 * DAY, older_than=300 * DAY).freed == 0
    assert world.apply(later=8 * DAY, older_than=300 * DAY).freed > 0
    assert list((world.paths.home / "trash").glob("*/*")) == []
    assert {world.state(artifact) for artifact in world.made[old].values()} == {"DELETED"}
    assert len(executions.of_run(world.store, world.paths.project, old)) == 5


def test_a_second_time_nothing_goes(world: World) -> None:
    world.run(), world.run()
    assert world.apply().moved and not world.apply().moved


def test_what_a_kill_left_between_metadata_and_files_is_moved_the_next_time(world: World) -> None:
    old, _ = world.run(), world.run()
    plan = world.look()
    batch = trash.plan(world.paths.home, plan.going, time.time())
    batch.folder.mkdir(parents=True)
    batch.write()
    states = applying.Artifacts(world.store)
    states.mark([a for thing in plan.going for a in thing.artifacts], deleted=True)
    world.apply(later=0, older_than=300 * DAY)
    assert not world.uri(world.made[old]["model"]).exists()
    assert (world.paths.runs / old / "logs").exists(), "what no metadata speaks of was not begun, and stays"
    applying.restore(world.paths.home)
    assert world.uri(world.made[old]["model"]).exists() and world.state(world.made[old]["model"]) == "LIVE"


def test_a_project_whose_nodes_look_for_inputs_is_left_for_the_next_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, _ = world.run(), world.run()
    monkeypatch.setattr(applying, "PATIENCE_S", 0.2)
    with turns.looking(world.paths):
        done = world.apply()
    assert done.moved == [] and "card_fraud: its nodes are looking for their inputs" in done.notes[0]
    assert world.state(world.made[old]["model"]) == "LIVE"
    assert world.apply().moved


def test_nodes_look_side_by_side_and_wait_for_who_clears(world: World) -> None:
    order: list[str] = []
    with turns.looking(world.paths), turns.looking(world.paths):
        pass
    with turns.clearing(world.paths, 0.0):
        node = threading.Thread(target=_look, args=(world, order))
        node.start()
        node.join(0.2)
        order.append("cleared")
    node.join(20)
    assert order == ["cleared", "looked"]


def _look(world: World, order: list[str]) -> None:
    with turns.looking(world.paths):
        order.append("looked")


def test_a_home_without_metadata_keeps_house_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    from pipelines.base.housekeeping.planning import Question

    (tmp_path / "home" / "samples" / "card_fraud" / "9-rows").mkdir(parents=True)
    question = Question(tmp_path / "home", 0.0, [], now=4e9)
    (thing,) = applying.apply(question).moved
    assert thing.kind == "sample" and not (tmp_path / "home" / "metadata.sqlite").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Any]:
    """A function that mounts a disk of so many kB at a folder, with options; all are unmounted in the end."""
    mounted: list[Path] = []

    def mount(folder: Path, options: str) -> None:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True
        )
        if done.returncode != 0:
            pytest.skip("the right to mount a small file system is missing")
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_without_room_is_told_changes_nothing_and_is_helped_by_emptying_the_trash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_disk: Any
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    small_disk(home, "size=2m")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("VIADUCT_METADATA", raising=False)
    world = World(home)
    now: dict[str, Any] = {"later": 0, "older_than": 0.0, "least_age": 0.0}
    world.run(), world.run()
    (world.uri(world.made[world.runs[0]]["model"]) / "weights").write_bytes(b"x" * 300_000)
    world.apply(**now)
    third = world.run(push=False, blessed=False)
    world.run()
    with (home / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
        while True:
            filler.write(b"x" * 4096)
    live = {a: world.state(a) for a in world.made[third].values()}
    with pytest.raises(ViaductError, match=r"No space left|disk is full|disk I/O"):
        applying.apply(world.question(**now))
    assert {a: world.state(a) for a in world.made[third].values()} == live
    assert all(world.uri(a).exists() for a in world.made[third].values())
    freed, failed = applying.empty(home)
    assert freed > 300_000 and failed == []
    assert world.apply(**now).moved


def test_a_disk_that_cannot_be_written_is_told_and_looking_still_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_disk: Any
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    small_disk(home, "size=4m")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("VIADUCT_METADATA", raising=False)
    world = World(home)
    world.run(), world.run()
    del world.store  # open for writing, it would keep the disk from becoming read-only
    subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)
    with pytest.raises(ViaductError, match=r"cannot be written.*Read-only"):
        applying.apply(world.question())
    assert applying.look(world.question()).going
