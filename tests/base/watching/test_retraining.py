"""When a new model is due, and what holds it back."""

from __future__ import annotations

import pytest

from pipelines.base.errors import ProjectError
from pipelines.base.rollout import Rehearsal, Watch
from pipelines.base.watching.retraining import Facts, due, rows_beyond

HOUR = 3600.0
NOW = 1000 * HOUR
ALL = Watch(new_rows=100, every_hours=24)


@pytest.mark.parametrize(
    ("facts", "reason", "held"),
    [
        ({}, "", ""),
        ({"drifted": ("a", "b")}, "drift: a, b", ""),
        ({"new_rows": 99}, "", ""),
        ({"new_rows": 100}, "data: 100 new rows", ""),
        ({"trained": NOW - 24 * HOUR}, "schedule: every 24 hours", ""),
        ({"trained": NOW - 23 * HOUR}, "", ""),
        # A clock that went back: neither the schedule nor the cooldown waits for it to come again.
        ({"trained": NOW + HOUR}, "schedule: ", ""),
        ({"new_rows": 100, "started": NOW + HOUR}, "data: ", ""),
        ({"new_rows": 100, "started": NOW - 2 * HOUR}, "data: ", "the last retraining began 2.0 h ago"),
        ({"new_rows": 100, "running": True}, "data: ", "a run is under way"),
        ({"drifted": ("a",), "releasing": "version 2 is being released"}, "drift: a", "version 2 is being"),
        # Nothing asks for it: nothing is held back.
        ({"running": True}, "", ""),
    ],
)
def test_the_first_reason_counts_and_one_thing_is_enough_to_hold_it_back(facts, reason, held):
    found = due(ALL, Facts(**{"now": NOW, "trained": NOW - HOUR, **facts}))
    assert found.reason.startswith(reason)
    assert found.held.startswith(held)
    assert bool(found.reason) == bool(reason)
    assert found.now == (bool(reason) and not held)


def test_a_card_without_reasons_never_asks():
    everything = Facts(now=NOW, new_rows=10**9, drifted=("a",))
    assert not due(Watch(on_drift=False), everything).reason


def test_rows_are_counted_in_spans_that_no_model_has_seen(tmp_path):
    for span, lines in ((1, 10), (2, 20), (10, 30)):
        folder = tmp_path / f"span-{span}"
        folder.mkdir()
        (folder / "a.csv").write_text("head\n" + "1\n" * lines)
        (folder / "_SUCCESS").touch()
    (tmp_path / "span-10" / "picture.png").touch()
    (tmp_path / "span-10.part").mkdir()
    assert [rows_beyond(tmp_path, span) for span in (None, 1, 2, 10)] == [61, 51, 31, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Watch(rows=5),
        lambda: Watch(windows=0),
        lambda: Watch(cooldown_hours=-1),
        lambda: Watch(new_rows=0),
        lambda: Rehearsal(seconds=0),
        lambda: Rehearsal(latency_ratio=0.5),
        lambda: Rehearsal(parity=0),
    ],
)
def test_terms_that_cannot_be_are_refused_with_the_fields_name(wrong):
    with pytest.raises(ProjectError, match=r"^(Watch|Rehearsal): \w+ is .*; expected"):
        wrong()
