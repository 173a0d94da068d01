"""What would go of a HOME, and why the rest stays."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from pipelines.base import artifact_root, metadata, registry
from pipelines.base.housekeeping import pins, planning
from pipelines.base.paths import sqlite_url
from tests.base.housekeeping.world import DAY, PROJECT, World


def test_an_old_run_that_nothing_needs_goes_whole_and_its_record_stays(world: World) -> None:
    old, new = world.run(), world.run()
    plan = world.look()
    assert {a for t in plan.going for a in t.artifacts} == set(world.made[old].values())
    assert {t.name for t in plan.going if t.kind == "run logs and IR"} == {old}
    version = world.paths.served("card_fraud.sample") / "1001"
    (gone,) = [thing for thing in plan.going if thing.kind == "served version"]
    push = world.made[old]["pushed_model"]
    assert gone.paths[0] == version and gone.artifacts == (push,) and world.uri(push) in gone.paths
    kept = [path for thing in plan.going for path in thing.paths if path.name in ("run.json", new)]
    assert kept == []


def test_nothing_young_goes_and_the_table_says_so(world: World) -> None:
    world.run(), world.run()
    plan = world.look(later=2 * DAY)
    assert plan.going == []
    assert {t.why for t in plan.staying if t.kind == "statistics" or t.kind == "model"} >= {
        "younger than 30 d"
    }
    assert world.going(later=2 * DAY, older_than=DAY)
    assert world.look(later=60, older_than=0.0).going == [], (
        "what is an hour old may not have said what it is for"
    )


def test_what_is_behind_the_newest_served_version_stays(world: World) -> None:
    served, newest = world.run(), world.run(push=False, blessed=False)
    made = world.made[served]
    for key in (
        "model",
        "transform_graph",
        "transformed_examples",
        "examples",
        "blessing",
        "evaluation",
        "pushed_model",
    ):
        assert "1001, served: the newest" in world.why(made[key]), key
    # Not behind a model: TensorBoard's logs and the analyzer cache.
    assert world.going() == {made["model_run"], made["updated_analyzer_cache"]}
    assert world.why(world.made[newest]["model"]) == "behind one of the last runs"


def test_the_last_blessed_of_each_name_stays_though_nothing_is_served(world: World) -> None:
    first = world.run(push=False)
    last = world.run(push=False)
    other = world.run(push=False, served="card_fraud.boosted.sample")
    world.run(push=False, blessed=False)
    assert world.why(world.made[last]["model"]) == "behind card_fraud.sample, blessed last"
    assert world.why(world.made[last]["blessing"]) == "behind card_fraud.sample, blessed last"
    assert world.why(world.made[other]["examples"]) == "behind card_fraud.boosted.sample, blessed last"
    assert {world.made[first]["model"], world.made[first]["examples"]} <= world.going()


def test_a_pinned_run_stays_until_it_is_unpinned(world: World) -> None:
    old = world.run(served="card_fraud.a", push=False, blessed=False)
    world.run()
    pins.pin(world.paths.home, old, "the paper's figures")
    assert world.going() == set()
    assert world.why(world.made[old]["model_run"]) == "behind a pinned run (the paper's figures)"
    assert pins.unpin(world.paths.home, old) and not pins.unpin(world.paths.home, old)
    assert world.going() == set(world.made[old].values())


def test_the_last_runs_stay_also_those_without_a_record(world: World) -> None:
    runs = [world.run(push=False, blessed=False, record=number % 2 == 0) for number in range(5)]
    gone = world.going(last_runs=3)
    assert gone == {a for run in runs[1:2] for a in world.made[run].values()}, (
        "three with a record, three in all"
    )
    assert world.going(last_runs=10) == set()


def test_inputs_of_an_execution_under_way_stay_though_its_run_is_unknown(world: World) -> None:
    old = world.run(push=False, blessed=False)
    world.run()
    world.node(
        "card_fraud-elsewhere", "Trainer", {}, {"examples": world.made[old]["examples"]}, state="RUNNING"
    )
    assert world.why(world.made[old]["examples"]) == "behind a run under way"
    assert world.made[old]["model"] in world.going()


def test_a_living_run_keeps_what_it_made(world: World) -> None:
    living = world.run(push=False, blessed=False, alive=True)
    world.run()
    assert world.why(world.made[living]["model_run"]) == "behind a run under way"


def test_labelled_and_named_versions_stay(world: World) -> None:
    runs = [world.run() for _ in range(4)]
    base = world.paths.served("card_fraud.sample")
    config = (
        f'model_config_list {{ config {{ name: "x" base_path: "{base}" model_platform: "tensorflow"\n'
        ' version_labels { key: "stable" value: 1001 } model_version_policy { specific { versions: 1002 } } } }'
    )
    gone = world.going(configs=[config])
    assert not gone & {world.made[run]["model"] for run in (runs[0], runs[1], runs[3])}
    assert world.made[runs[2]]["model"] in gone
    assert "labelled 'stable'" in world.why(world.made[runs[0]]["model"], configs=[config])


def test_both_sides_of_the_last_release_stay(world: World) -> None:
    runs = [world.run() for _ in range(4)]
    folder = world.paths.served("card_fraud.sample") / ".release"
    (folder / "releases").mkdir(parents=True)
    said = {"number": 3, "baseline": 1001, "candidate": 1003, "state": "rolled_back", "journal": []}
    (folder / "releases" / "0003-1003.json").write_text(json.dumps(said))
    assert world.going() >= set(world.made[runs[1]].values())
    assert "released: rolled_back" in world.why(world.made[runs[0]]["model"])
    assert "released: rolled_back" in world.why(world.made[runs[2]]["model"])


def test_equal_models_share_a_version_which_stays_with_the_last_of_its_pushes(world: World) -> None:
    first, second = world.run(), world.run(push=False)
    version = world.paths.served("card_fraud.sample") / "1001"
    said = {"pushed": 1, "pushed_destination": str(version)}
    again = world.node(
        second,
        "Pusher",
        {"pushed_model": "PushedModel"},
        {"model": world.made[second]["model"]},
        properties=said,
    )
    world.run(push=False, blessed=False)
    assert again["pushed_model"] not in world.going()
    assert set(world.made[first].values()) <= world.going()
    assert version not in [path for thing in world.look().going for path in thing.paths]


def test_a_version_that_this_metadata_store_did_not_push_stays(world: World) -> None:
    world.run()
    foreign = world.paths.served("card_fraud.sample") / "17"
    foreign.mkdir()
    (stays,) = [thing for thing in world.look().staying if foreign in thing.paths]
    assert "another metadata store's" in stays.why


def test_artifacts_of_another_store_in_the_same_home_are_left_alone(world: World, tmp_path: Path) -> None:
    world.run(push=False, blessed=False)
    other = metadata.store(sqlite_url(tmp_path / "other.sqlite"))
    artifact_root.of(world.paths, other)
    plan = planning.project(world.question(), PROJECT, other)
    inside = [p for t in plan.going for p in t.paths if p.is_relative_to(world.paths.pipeline_root)]
    assert inside == []


def test_leavings_of_failed_attempts_go(world: World) -> None:
    run = world.run()
    left = world.node(run, "Trainer", {"model": "Model"}, state="FAILED", artifact_state="ABANDONED")
    orphan = world.root / "Trainer" / "model" / str(world.store.get_executions()[-1].id + 1)
    world.node("card_fraud-x", "Trainer", {}, state="FAILED")
    orphan.mkdir()
    whys = {path: t.why for t in world.look(later=400 * DAY).going for path in t.paths}
    assert whys[world.uri(left["model"])] == whys[orphan] == "left by an attempt that failed"


def test_samples_checkpoints_and_leavings_of_executions_go_when_they_are_old(world: World) -> None:
    samples = [world.paths.samples / name for name in ("9-rows-a", "9-rows-b")]
    for sample in samples:
        sample.mkdir(parents=True)
    world.run(data=str(samples[1]))
    checkpoint, system = (
        world.root / "Trainer/checkpoints/abc",
        world.root / "Trainer/.system/executor_execution/4",
    )
    for folder in (checkpoint, system):
        folder.mkdir(parents=True)
    gone = {path for thing in world.look().going for path in thing.paths}
    assert {samples[0], checkpoint, system} <= gone
    (stays,) = [thing for thing in world.look().staying if samples[1] in thing.paths]
    assert stays.why == "data of one of the last runs"
    os.utime(checkpoint, (time.time() + 39 * DAY,) * 2)
    assert checkpoint not in {path for thing in world.look().going for path in thing.paths}


def test_logs_of_ended_hosts_memos_of_lost_data_and_beams_leavings_go(world: World, tmp_path: Path) -> None:
    host, memos = world.paths.home / "host", world.paths.home / "data-states"
    for folder in (host, memos):
        folder.mkdir()
    (host / "0123.log").write_text("warming up")
    (memos / "a.json").write_text(json.dumps({"folder": str(tmp_path / "lost"), "files": {}}))
    (memos / "b.json").write_text(json.dumps({"folder": str(tmp_path), "files": {}}))
    temporary = tmp_path / "temporary"
    (temporary / "beam-temp-abc").mkdir()
    (temporary / "__autograph_generated_file1.py").write_text("")
    (temporary / "mine.py").write_text("")
    gone = {path.name for thing in planning.shared(world.question()).going for path in thing.paths}
    assert gone == {"0123.log", "a.json", "beam-temp-abc", "__autograph_generated_file1.py"}
    young = planning.shared(world.question(later=7200, older_than=0.0)).going
    assert {path.name for thing in young for path in thing.paths} == {"0123.log", "a.json"}, (
        "a day for strangers' files"
    )


def _retained(monkeypatch: pytest.MonkeyPatch, days: int, spans: str) -> None:
    import dataclasses

    card = dataclasses.replace(registry.get(PROJECT), retention_days=days, spans=spans)  # type: ignore[arg-type]
    monkeypatch.setattr(registry, "get", lambda name: card)


def test_rows_beyond_their_retention_go_before_every_root_and_name_what_learnt_from_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = int(time.time() // DAY)
    for number in (today - 50, today - 1):
        world.paths.span(number).mkdir(parents=True)
    old, new = world.run(span=today - 50), world.run(span=today - 1, served="card_fraud.other")
    pins.pin(world.paths.home, old)
    assert world.going(later=0, last_runs=10) == set()
    _retained(monkeypatch, 40, "date")
    plan = world.look(later=0, last_runs=10)
    rows = {world.made[old]["examples"], world.made[old]["transformed_examples"]}
    assert {a for t in plan.going for a in t.artifacts} == rows
    assert {t.why for t in plan.going if t.artifacts} == {
        "its retention is over; trained on it: card_fraud.sample/1001"
    }
    assert [t.paths for t in plan.going if t.kind == "span"] == [(world.paths.span(today - 50),)]
    assert world.made[new]["examples"] not in rows


def test_retention_waits_for_a_run_that_reads_the_rows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.paths.span(3).mkdir(parents=True)
    run = world.run(span=3, alive=True)
    _retained(monkeypatch, 10, "counter")
    plan = world.look()
    assert plan.going == []
    told = [t.why for t in plan.staying if "when that has ended" in t.why]
    assert len(told) == 3, "the span, its examples and the transformed ones"
    world.record_ended(run)
    assert world.made[run]["examples"] in world.going()


def test_rows_of_a_sample_have_no_retention(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = world.paths.samples / "9-rows"
    sample.mkdir(parents=True)
    world.run(data=str(sample))
    _retained(monkeypatch, 1, "none")
    assert world.going() == set()


def test_requests_logged_long_ago_go_and_those_of_other_models_are_theirs(world: World) -> None:
    world.run()
    world.paths.served("card_fraud.sample").mkdir(parents=True, exist_ok=True)
    world.paths.request_logs.mkdir(parents=True)
    ours, others = "card_fraud.sample-20260101T000000Z-7-1.tfrecord", "shop-20260101T000000Z-7-1.tfrecord"
    for name in (ours, others, "card_fraud.sample-20260101T000000Z-7-2.tfrecord.part"):
        (world.paths.request_logs / name).write_text("")

    def gone(days: float) -> list[str]:
        return [Path(t.name).name for t in world.look(later=days * DAY).going if t.kind == "requests"]

    # card_fraud's watch waits 60 days for outcomes.
    assert gone(50) == []
    assert gone(61) == [ours]


def test_what_users_did_long_ago_goes_and_what_a_test_or_the_watch_needs_stays(world: World) -> None:
    world.run()
    served = world.paths.served("card_fraud.sample")
    folder = served / ".feedback"
    folder.mkdir(parents=True)
    for name, days in (("seen-h~1~2-0.log", 1.0), ("outcomes-h~1~2-1.log", 20.0)):
        (folder / name).write_text("")
        os.utime(folder / name, (time.time() - days * DAY,) * 2)

    def gone(later: float) -> list[str]:
        return sorted(Path(t.name).name for t in world.look(later=later).going if t.kind == "feedback")

    # card_fraud's watch waits 60 days for outcomes.
    assert gone(35 * DAY) == []
    assert gone(45 * DAY) == ["outcomes-h~1~2-1.log"]
    assert gone(70 * DAY) == ["outcomes-h~1~2-1.log", "seen-h~1~2-0.log"]
    place = served / ".release" / "releases"
    place.mkdir(parents=True)
    began = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - 5 * DAY))
    record = {"number": 1, "baseline": 1, "candidate": 2, "journal": [{"time": began, "state": "canary"}]}
    (place / "0001-2.json").write_text(json.dumps(record))
    assert gone(70 * DAY) == ["outcomes-h~1~2-1.log"]
    (place / "0001-2.json").write_text("{")
    assert gone(70 * DAY) == []
    record["journal"].append({"time": began, "state": "promoted"})
    (place / "0001-2.json").write_text(json.dumps(record))
    assert len(gone(70 * DAY)) == 2
