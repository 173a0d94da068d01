"""A node is done when ML Metadata says so, and however it ends, nothing of it stays RUNNING."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.base import executions, metadata, node
from pipelines.base.errors import ProjectError
from pipelines.base.paths import Paths, metadata_url
from tests.base import metadata_store

pytestmark = pytest.mark.slow
PROJECT, RUN = "ending", "ending-1"
HOW = "VIADUCT_TEST_ENDING"


class Run:
    """One run of the pipeline of ending.py under a HOME of its own."""

    def __init__(self, home: Path) -> None:
        from tests.base.ending import write_ir

        self.paths = Paths.of(PROJECT, home)
        self.ir = write_ir(self.paths, RUN)

    def node(self, name: str, run_id: str = RUN) -> dict[str, Any]:
        return node.run_node(self.ir, name, run_id, str(self.paths.home))

    def states(self, name: str, run_id: str = RUN) -> list[str]:
        store = metadata.store(metadata_url(self.paths.home))
        return [executions.state_of(e) for e in executions.of_run(store, PROJECT, run_id, name)]

    def reason(self, name: str) -> str:
        store = metadata.store(metadata_url(self.paths.home))
        return str(
            executions.of_run(store, PROJECT, RUN, name)[-1].custom_properties["viaduct_failure"].string_value
        )


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("VIADUCT_METADATA", raising=False)
    return Run(tmp_path)


def test_a_node_that_ran_is_done_and_is_not_run_again(run: Run) -> None:
    first = run.node("Maker")
    assert first["outputs"] and run.states("Maker") == ["COMPLETE"]
    again = run.node("Maker")
    # What each call cost is its own.
    assert {**again, "cost": first["cost"]} == first and run.states("Maker") == ["COMPLETE"]
    run.node("Reader")
    assert run.states("Reader") == ["COMPLETE"]


def test_a_node_whose_inputs_are_missing_is_not_done_and_names_what_has_to_run_first(run: Run) -> None:
    with pytest.raises(ProjectError, match=r"Reader did not run .*Maker") as caught:
        run.node("Reader")
    assert f"viaduct node {PROJECT} Maker --run-id {RUN}" in str(caught.value)
    assert "COMPLETE" not in run.states("Reader") and "RUNNING" not in run.states("Reader")
    run.node("Maker")
    run.node("Reader")
    assert run.states("Reader")[-1] == "COMPLETE"


def test_with_the_clock_a_day_back_and_over_a_hundred_executions_nodes_find_what_ran_before(run: Run) -> None:
    filled = metadata_store.Filled(run.paths)
    filled.execution("ending-0", "Other", "COMPLETE", count=130)
    run.node("Maker")
    (maker,) = executions.of_run(filled.store, PROJECT, RUN, "Maker")
    filled.execution("ending-0", "Other", "COMPLETE", count=110)
    filled.set_back(maker.id)
    run.node("Reader")
    assert run.states("Reader") == ["COMPLETE"]
    assert run.node("Maker")["execution"] == maker.id


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("raise", "no such thing"),
        ("sys.exit0", r"sys.exit\(0\)"),
        ("sys.exit3", r"sys.exit\(3\)"),
    ],
)
def test_a_node_that_raises_or_leaves_is_failed_with_the_cause(
    run: Run, how: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOW, how)
    with pytest.raises(ProjectError, match=f"ending: Maker failed: .*{told}"):
        run.node("Maker")
    assert run.states("Maker") == ["FAILED"]


def test_an_interrupted_node_is_failed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOW, "interrupt")
    with pytest.raises(KeyboardInterrupt):
        run.node("Maker")
    assert run.states("Maker") == ["FAILED"] and "KeyboardInterrupt" in run.reason("Maker")


def test_a_driver_that_fails_leaves_nothing_running(run: Run) -> None:
    with pytest.raises(ProjectError, match=r"CsvExampleGen failed: .*span-"):
        run.node("CsvExampleGen")
    assert run.states("CsvExampleGen") == ["FAILED"] and "CsvExampleGen" in run.reason("CsvExampleGen")


def test_an_attempt_after_one_that_was_killed_has_an_execution_of_its_own(run: Run) -> None:
    filled = metadata_store.Filled(run.paths)
    filled.execution(RUN, "Maker", "RUNNING")
    run.node("Maker")
    assert run.states("Maker") == ["FAILED", "COMPLETE"]
    assert "later attempt" in filled.reason(1)


def test_a_store_that_went_away_is_said_to_have_and_not_the_nodes_code(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> None:
        raise RuntimeError("Failed to establish connection to Metadata storage with error: disk I/O error")

    monkeypatch.setattr(node, "_launch", gone)
    with pytest.raises(
        ProjectError, match=r"ML Metadata at .*metadata.sqlite cannot be used: .*disk I/O error"
    ):
        run.node("Maker")


def test_two_metadata_stores_of_one_home_do_not_write_over_each_others_artifacts(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (first,) = run.node("Maker")["outputs"]
    monkeypatch.setenv("VIADUCT_METADATA", f"sqlite://{tmp_path}/other.db")
    (second,) = run.node("Maker")["outputs"]
    assert first["id"] == second["id"] and first["uri"] != second["uri"]
    assert all((Path(uri) / "begun").exists() for uri in (first["uri"], second["uri"]))


def test_a_store_that_was_deleted_and_made_anew_begins_in_a_folder_of_its_own(run: Run) -> None:
    (first,) = run.node("Maker")["outputs"]
    (run.paths.home / "metadata.sqlite").unlink()
    (second,) = run.node("Maker")["outputs"]
    assert first["id"] == second["id"] and first["uri"] != second["uri"]
    run.node("Reader")
    assert run.states("Reader") == ["COMPLETE"]
