"""Scheduling, failing, cancelling: the runner over a caller that is made up, so that each case takes milliseconds."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipelines.base import registry, run_record, runner
from pipelines.base.errors import ViaductError
from pipelines.base.forkserver.client import CallError
from pipelines.base.paths import Paths
from pipelines.base.run_folder import RunFolder
from pipelines.base.run_record import RunRecord
from pipelines.base.settings import Settings

DIAMOND = {"Gen": [], "Left": ["Gen"], "Right": ["Gen"], "Push": ["Left"], "Report": ["Right"]}
Act = Callable[[], dict[str, Any]]


def done(**summary: Any) -> Act:
    return lambda: {"cached": False, "outputs": [], **summary}


def fails(cause: str) -> Act:
    def act() -> dict[str, Any]:
        raise CallError(cause, Path("the.log"), 1)

    return act


class FakeCaller:
    """Stands for nodes by functions; remembers what was called when, and how many at once at most."""

    def __init__(self, graph: Mapping[str, list[str]], acts: Mapping[str, Act]) -> None:
        self.graph, self.acts = graph, acts
        self.called: list[str] = []
        self.settled: list[tuple[str, str]] = []
        self.at_once = self.most_at_once = 0
        self.limits: set[float | None] = set()
        self.cancelled = threading.Event()
        self.untold = ""
        self._lock = threading.Lock()

    def of(self, folder: RunFolder) -> FakeCaller:
        self.folder = folder
        return self

    def ready(self, say: Callable[[str], None]) -> None:
        self.acts.get("ready", done())()

    def call(self, name: str, function: str, kwargs: dict[str, Any], limit_s: float | None = None) -> Any:
        if function.startswith("pipelines.base.jobs:"):
            if name == "compile":
                nodes = [
                    {"pipelineNode": {"nodeInfo": {"id": n, "type": {"name": n}}, "upstreamNodes": up}}
                    for n, up in self.graph.items()
                ]
                Path(kwargs["target"]).write_text(json.dumps({"nodes": nodes}))
            return self.acts.get(name, done())()
        with self._lock:
            self.called.append(name)
            self.limits.add(limit_s)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return self.acts.get(name, done())()
        finally:
            with self._lock:
                self.at_once -= 1

    def cancel(self) -> None:
        self.cancelled.set()

    def settle(self, reason: str, node: str = "") -> str:
        self.settled.append((node, reason))
        return self.untold


class Said:
    """A view that remembers."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def say(self, text: str) -> None:
        self.texts.append(text)

    def update(self, record: RunRecord, folder: Path) -> None:
        pass


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.of("card_fraud", tmp_path)


def run(paths: Paths, caller: FakeCaller, view: Said | None = None, **options: Any) -> RunRecord:
    settings = Settings.of(registry.get("card_fraud"))
    return runner.run(paths, settings, "f", view or Said(), make_caller=caller.of, **options)


def states(record: RunRecord) -> dict[str, str]:
    return {name: node.state for name, node in record.nodes.items()}


def on_disk(paths: Paths, record: RunRecord) -> RunRecord:
    read = run_record.read(paths.runs / record.run_id / run_record.RECORD)
    assert read is not None
    return read


def test_a_node_begins_after_all_that_it_waits_for(paths: Paths) -> None:
    caller = FakeCaller(DIAMOND, {})
    record = run(paths, caller)
    assert record.state == "succeeded" and set(states(record).values()) == {"done"}
    for node, waits_for in DIAMOND.items():
        assert all(caller.called.index(up) < caller.called.index(node) for up in waits_for)
    assert on_disk(paths, record) == record


def test_independent_nodes_run_side_by_side_where_they_may(paths: Paths) -> None:
    both = threading.Barrier(2, timeout=20)

    def meets() -> dict[str, Any]:
        both.wait()
        return done()()

    caller = FakeCaller(DIAMOND, {"Left": meets, "Right": meets})
    assert run(paths, caller, parallel=2).state == "succeeded"
    assert caller.most_at_once == 2


def test_no_more_nodes_run_at_once_than_were_asked_for(paths: Paths) -> None:
    caller = FakeCaller({"Gen": [], **{f"N{i}": ["Gen"] for i in range(6)}}, {})
    assert run(paths, caller, parallel=1).state == "succeeded"
    assert caller.most_at_once == 1


def test_a_failed_node_stops_what_depends_on_it_and_nothing_else(paths: Paths) -> None:
    caller = FakeCaller(DIAMOND, {"Right": fails("no"), "Push": done(pushed="/served/1", blessed=True)})
    record = run(paths, caller)
    assert states(record) == {
        "Gen": "done",
        "Left": "done",
        "Right": "failed",
        "Push": "done",
        "Report": "skipped",
    }
    assert (record.state, record.pushed, record.nodes["Right"].error) == ("failed", "/served/1", "no")


def test_ml_metadata_is_told_of_a_failed_node_and_why(paths: Paths) -> None:
    caller = FakeCaller(DIAMOND, {"Right": fails("killed by signal 9")})
    run(paths, caller)
    assert caller.settled == [("Right", "killed by signal 9")]


def test_cached_nodes_count_as_done(paths: Paths) -> None:
    caller = FakeCaller(DIAMOND, {"Gen": done(cached=True)})
    record = run(paths, caller)
    assert record.state == "succeeded" and record.nodes["Gen"].state == "cached"


def test_every_node_has_the_time_limit_of_the_card(paths: Paths) -> None:
    caller = FakeCaller(DIAMOND, {})
    run(paths, caller, limit_s=7200.0)
    assert caller.limits == {7200.0}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_run_ends_its_nodes_and_tells_the_metadata(
    paths: Paths, number: signal.Signals
) -> None:
    view, before = Said(), signal.getsignal(number)

    def interrupted() -> dict[str, Any]:
        os.kill(os.getpid(), number)
        assert caller.cancelled.wait(20)
        raise CallError("cancelled", Path("the.log"), -15)

    caller = FakeCaller(DIAMOND, {"Gen": interrupted})
    record = run(paths, caller, view)
    assert record.state == "cancelled" and caller.settled == [("", "cancelled by the user")]
    assert states(record) == {
        "Gen": "cancelled",
        **dict.fromkeys(("Left", "Right", "Push", "Report"), "skipped"),
    }
    assert view.texts == ["Interrupted: ending Gen ..."]
    assert on_disk(paths, record).state == "cancelled" and on_disk(paths, record).ended
    assert signal.getsignal(number) == before


def test_a_signal_that_is_ignored_stays_ignored(paths: Paths) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        seen = []
        caller = FakeCaller(
            {"Gen": []},
            {"Gen": lambda: seen.append(signal.getsignal(signal.SIGHUP)) or done()()},  # type: ignore[func-returns-value]
        )
        assert run(paths, caller).state == "succeeded"
        assert seen == [signal.SIG_IGN]
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("when", ["ready", "prepare", "compile"])
def test_ctrl_c_before_the_first_node_claims_nothing_of_nodes_or_metadata(paths: Paths, when: str) -> None:
    def interrupted() -> dict[str, Any]:
        raise KeyboardInterrupt

    view = Said()
    caller = FakeCaller(DIAMOND, {when: interrupted})
    record = run(paths, caller, view)
    assert record.state == "cancelled" and view.texts == ["Interrupted."]
    assert caller.settled == [] and caller.called == [] and caller.cancelled.is_set()


def test_a_store_that_cannot_be_told_of_a_cancelled_run_is_said(paths: Paths) -> None:
    view = Said()

    def interrupted() -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGINT)
        assert caller.cancelled.wait(20)
        return done()()

    caller = FakeCaller(DIAMOND, {"Gen": interrupted})
    caller.untold = "no connection"
    run(paths, caller, view)
    assert view.texts[-1] == "The metadata could not be told (no connection); the next run will."


@pytest.mark.parametrize("when", ["ready", "prepare", "compile"])
def test_what_goes_wrong_before_the_first_node_is_raised_and_recorded(paths: Paths, when: str) -> None:
    with pytest.raises(CallError, match="broken"):
        run(paths, FakeCaller(DIAMOND, {when: fails("broken")}))
    (record,) = run_record.read_all(paths)
    assert record.state == "failed" and record.ended


def test_the_next_run_settles_the_record_of_one_that_died(paths: Paths) -> None:
    dead = run_record.begin(paths, Settings.of(registry.get("card_fraud")), "f")
    dead.nodes, dead.pid, dead.pid_started = {"Gen": run_record.NodeRecord("running")}, 2**22 + 1, "1"
    dead.write(paths.runs / dead.run_id)
    view = Said()
    run(paths, FakeCaller(DIAMOND, {}), view)
    assert on_disk(paths, dead).state == on_disk(paths, dead).nodes["Gen"].state == "failed"
    assert any(dead.run_id in text for text in view.texts)


class FullDisk:
    """No file takes any bytes once `full` is set, but what the run keeps in reserve gives some back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, paths: Paths) -> None:
        self.full, self._paths = False, paths
        write = run_record.whole.write

        def limited(target: Path, content: str | bytes, **rest: Any) -> None:
            if self.full and list(paths.runs.glob("*/.reserve")):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
            write(target, content, **rest)

        monkeypatch.setattr(run_record.whole, "write", limited)


def test_a_disk_that_nodes_fill_leaves_a_record_that_says_failed(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch, paths)

    def fills() -> dict[str, Any]:
        disk.full = True
        raise CallError("the disk of /home is full; make room and run again", Path("the.log"), 1)

    record = run(paths, FakeCaller(DIAMOND, {"Gen": fills}))
    assert record.state == "failed" and "is full" in record.nodes["Gen"].error
    assert on_disk(paths, record) == record
    assert not list(paths.runs.glob("*/.reserve"))
    disk.full = False
    assert run(paths, FakeCaller(DIAMOND, {})).state == "succeeded", "after making room the next run is right"


def test_a_disk_that_is_full_from_the_start_is_one_sentence(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(*arguments: Any) -> RunRecord:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x")

    monkeypatch.setattr(run_record, "begin", begin)
    with pytest.raises(ViaductError, match=r"^The disk of .* is full .*Make room and run again\.$"):
        run(paths, FakeCaller(DIAMOND, {}))


def test_a_run_is_up_to_date_only_with_its_model_what_it_pushed_and_its_database(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VIADUCT_METADATA", raising=False)
    kept = [paths.pipeline_root / "model", paths.serving / "1", paths.home / "metadata.sqlite"]
    model, pushed, _ = kept
    record = run(paths, FakeCaller({"Gen": []}, {}))
    record.model, record.pushed = str(model), str(pushed)
    record.write(paths.runs / record.run_id)
    for path in kept:
        assert runner.up_to_date(paths, "f") is None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert runner.up_to_date(paths, "f") == record
    assert runner.up_to_date(paths, "other") is None
