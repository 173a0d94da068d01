"""Looks at real request logs: windows are judged by what the version learnt from, once, and kills lose nothing."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import pytest

from pipelines.base import registry
from pipelines.base.rollout import Watch
from pipelines.base.watching import state, windows
from pipelines.base.watching.loop import Watcher
from serving.release import plan, record
from serving.release.folder import Folder
from tests.base.watching.conftest import VERSION, rows, write_log

TERMS = Watch(rows=100, windows=3, cooldown_hours=1.0)


def watcher(paths, **terms):
    card = dataclasses.replace(registry.get("card_fraud"), watch=dataclasses.replace(TERMS, **terms))
    return Watcher(card, paths, "card_fraud")


def live(paths, *versions):
    for version in versions or (VERSION,):
        (paths.serving / str(version)).mkdir(parents=True, exist_ok=True)


def test_quiet_requests_are_windows_without_an_alarm_and_moved_ones_make_a_retraining_due(paths):
    live(paths)
    write_log(paths.request_logs, 1, rows(250, seed=1))
    watch = watcher(paths)
    kept, said, due = watch.look()
    assert said == [f"version {VERSION}, 100 rows: 3 features, none beyond"] * 2
    assert (due.reason, kept.alarms) == ("", [])
    # Fifty rows wait; 310 more make three windows, the first of them half old.
    write_log(paths.request_logs, 2, rows(310, shift=2.0, seed=2))
    kept, said, due = watch.look()
    assert [line[:5] for line in said] == ["versi", "versi", "versi", "ALARM"]
    assert kept.alarms[0]["feature"] == "Amount"
    assert due.now
    assert due.reason == "drift: Amount"
    # Everything was read once, also by another process.
    assert watcher(paths).look()[1] == []
    assert len(state.load(watch.folder).windows) == 5
    # The cooldown holds the next one back, a version that nobody has complained about asks for none.
    watch.begin(due.reason)
    assert watch.due(state.load(watch.folder)).held.startswith("the last retraining began 0.0 h ago")
    live(paths, VERSION + 1)
    assert watch.due(state.load(watch.folder)).reason == ""


def test_a_column_that_moves_by_itself_is_left_out_by_name(paths):
    live(paths)
    write_log(paths.request_logs, 1, rows(300, shift=2.0))
    kept, said, _ = watcher(paths, without=("Amount",)).look()
    assert said == [f"version {VERSION}, 100 rows: 2 features, none beyond"] * 3
    assert kept.alarms == []


def test_a_release_in_flight_holds_a_retraining_back(paths):
    live(paths, VERSION, VERSION + 1)
    write_log(paths.request_logs, 1, rows(300, shift=2.0))
    place = Folder(paths.serving)
    place.save(record.begun(1, VERSION, VERSION + 1, plan.Plan(), "test", "a test"))
    _, _, due = watcher(paths).look()
    assert (due.reason, due.now) == ("drift: Amount", False)
    assert due.held == f"version {VERSION + 1} is being released (shadow)"


def test_versions_make_windows_of_their_own_and_one_without_lineage_is_passed_over(paths, caplog):
    live(paths)
    write_log(paths.request_logs, 1, rows(150, shift=3.0), version=77)
    write_log(paths.request_logs, 2, rows(150))
    write_log(paths.request_logs, 3, rows(100, shift=3.0), name="other")
    kept, said, _ = watcher(paths).look()
    assert said == [f"version {VERSION}, 100 rows: 3 features, none beyond"]
    assert [w["version"] for w in kept.windows] == [VERSION]
    assert "Requests to version 77 are compared with nothing" in caplog.text


def test_requests_count_by_the_rate_they_were_sampled_with(paths):
    live(paths)
    found = list(windows.rows_of(write_log(paths.request_logs, 1, rows(3), rate=0.25)))
    assert [(row.version, row.weight) for row in found] == [(VERSION, 4.0)] * 3


def test_new_rows_and_time_are_reasons_of_their_own(paths):
    live(paths)
    assert watcher(paths).look()[2].reason == ""
    span = paths.span(3)
    span.mkdir(parents=True)
    (span / "rows.csv").write_text("a\n" + "1\n" * 40)
    facts = watcher(paths).facts(state.State())
    assert facts.trained > 0
    assert facts.new_rows in (0, 40)  # 0 where the run's span is not told
    assert watcher(paths, every_hours=1e-9).look()[2].reason.startswith("schedule: ")


def test_a_watch_that_is_killed_at_any_write_reads_nothing_twice_and_loses_nothing(paths):
    live(paths)
    write_log(paths.request_logs, 1, rows(250, seed=1))
    write_log(paths.request_logs, 2, rows(60, seed=2))
    watch = watcher(paths)
    watch.look()
    write_log(paths.request_logs, 3, rows(145, seed=3))
    killed = 0
    for number in range(10):
        pid = os.fork()
        if pid == 0:
            left, replace = [number], os.replace

            def step(left=left):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            def replaced(source, target, replace=replace, step=step):
                step()
                replace(source, target)
                step()

            os.replace = replaced
            watch.look()
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        kept = state.load(watch.folder)
        waiting = state.waiting(watch.folder, kept)
        seen = sum(w["rows"] for w in kept.windows) + len(waiting)
        assert seen == (310 if len(kept.done) == 2 else 455)
        if not os.WIFSIGNALED(status):
            break
        killed += 1
    assert killed == 4
    # What the last of them left goes with the next look that reads something.
    write_log(paths.request_logs, 4, rows(1))
    kept, _, _ = watch.look()
    assert [p.name for p in sorted(watch.folder.glob("waiting-*"))] == [f"waiting-{kept.generation}.tfrecord"]


def test_two_watches_of_one_model_do_not_look_at_once(paths):
    folder = paths.watch("card_fraud")
    with state.alone(folder) as first, state.alone(folder) as second:
        assert (first, second) == (True, False)


@pytest.mark.parametrize("damage", ["{", '{"windows": 3, "unknown": 1}'])
def test_a_state_that_cannot_be_read_begins_anew(paths, damage):
    folder = paths.watch("card_fraud")
    folder.mkdir(parents=True)
    (folder / state.STATE).write_text(damage)
    assert state.load(folder).generation == 0


def test_a_damaged_log_costs_its_own_rest_alone(paths, tmp_path: Path):
    live(paths)
    file = write_log(paths.request_logs, 1, rows(150))
    file.write_bytes(file.read_bytes()[:-40])
    assert len(list(windows.rows_of(file))) == 149
