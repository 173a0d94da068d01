"""TFX's cache and Resolver look at LIVE artifacts only, and a run that is taken up again makes anew what has gone."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines.base import executions, metadata, node, run_record, stack, whole
from pipelines.base.housekeeping import applying
from pipelines.base.housekeeping.planning import Question
from pipelines.base.paths import Paths, metadata_url

pytestmark = pytest.mark.slow
PROJECT = "ending"


class Runs:
    """Runs of the pipeline of ending.py, whose second node reads what the first makes."""

    def __init__(self, home: Path) -> None:
        stack.light()
        self.paths = Paths.of(PROJECT, home)

    def node(self, run: str, name: str) -> dict[str, Any]:
        from tests.base.ending import write_ir

        return node.run_node(write_ir(self.paths, run), name, run, str(self.paths.home))

    def state(self, run: str, name: str) -> str:
        store = metadata.store(metadata_url(self.paths.home))
        return executions.state_of(executions.of_run(store, PROJECT, run, name)[-1])

    def clear(self, last_runs: int = 0) -> list[str]:
        question = Question(self.paths.home, 0.0, [], now=time.time() + 7200, last_runs=last_runs)
        done = applying.apply(question)
        assert done.failed == []
        return [thing.kind for thing in done.moved]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.delenv("VIADUCT_METADATA", raising=False)
    return Runs(tmp_path / "home")


def test_what_has_gone_is_no_hit_of_the_cache_and_what_came_back_is(runs: Runs) -> None:
    first = runs.node("ending-1", "Maker")
    assert runs.node("ending-2", "Maker")["cached"]
    assert "model" in runs.clear()
    made = runs.node("ending-3", "Maker")
    assert not made["cached"] and made["outputs"][0]["uri"] != first["outputs"][0]["uri"]
    runs.node("ending-3", "Reader")
    assert runs.state("ending-3", "Reader") == "COMPLETE"
    assert "model" in runs.clear()
    applying.restore(runs.paths.home)
    assert runs.node("ending-4", "Maker")["cached"]


def test_a_finished_node_whose_outputs_have_gone_is_run_again_for_those_after_it(runs: Runs) -> None:
    """A scheduler that clears an old run's tasks calls its nodes once more under the same run id."""
    runs.node("ending-1", "Maker")
    runs.clear()
    again = runs.node("ending-1", "Maker")
    assert not again["cached"] and Path(again["outputs"][0]["uri"]).exists()
    runs.node("ending-1", "Reader")
    assert runs.state("ending-1", "Reader") == "COMPLETE"


def test_house_is_kept_in_a_loop_while_nodes_of_three_runs_are_at_work(runs: Runs) -> None:
    """Each node works in a fork, as in the warm host. What no root keeps goes at once, over and over."""
    runs.node("ending-0", "Maker")
    children = [_forked(runs, f"ending-{number}") for number in range(1, 4)]
    while children:
        question = Question(runs.paths.home, 0.0, [], now=time.time() + 7200, last_runs=0, least_age=0.0)
        assert applying.apply(question).failed == []
        ended = [child for child in children if os.waitpid(child, os.WNOHANG)[0]]
        children = [child for child in children if child not in ended]
    for number in range(1, 4):
        for name in ("Maker", "Reader"):
            assert runs.state(f"ending-{number}", name) in ("COMPLETE", "CACHED")


def _forked(runs: Runs, run: str) -> int:
    """A child that runs both nodes under the record of a run under way."""
    child = os.fork()
    if child:
        return child
    try:
        record = run_record.RunRecord(
            run, PROJECT, {}, "f", os.getpid(), whole.process_started(os.getpid()), time.time(), order=1
        )
        (runs.paths.runs / run).mkdir(parents=True, exist_ok=True)
        record.write(runs.paths.runs / run)
        for name in ("Maker", "Reader"):
            runs.node(run, name)
    finally:
        os._exit(0)


def test_the_resolvers_channels_give_live_artifacts_alone(runs: Runs) -> None:
    """What LatestBlessedOfName chooses from comes out of TFX's channels."""
    from tfx.orchestration import metadata as tfx_metadata
    from tfx.orchestration.portable.input_resolution import channel_resolver
    from tfx.proto.orchestration import pipeline_pb2

    made = runs.node("ending-1", "Maker")["outputs"][0]
    channel = pipeline_pb2.InputSpec.Channel()
    channel.artifact_query.type.name = "Model"
    channel.output_key = "model"
    query = channel.context_queries.add()
    query.type.name = "pipeline"
    query.name.field_value.string_value = PROJECT

    def resolved() -> list[int]:
        connection = metadata.connection_config(metadata_url(runs.paths.home))
        with tfx_metadata.Metadata(connection) as handle:
            return [artifact.id for artifact in channel_resolver.resolve_single_channel(handle, channel)]

    assert resolved() == [made["id"]]
    runs.clear()
    assert resolved() == []
