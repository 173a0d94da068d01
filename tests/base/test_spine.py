"""The spine: nodes by name, what waits for what, what a node's cache key sees, and where an ExampleGen reads."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.base import ir, registry, spine
from pipelines.base.paths import Paths
from pipelines.base.rollout import Rehearsal
from pipelines.base.settings import Settings

pytestmark = pytest.mark.slow


def settings_of(project: str, **rest: Any) -> Settings:
    return Settings.of(registry.get(project), **rest)


def compiled(project: str, home: Path) -> dict[str, Any]:
    return ir.compile_ir(project, settings_of(project), Paths.of(project, home))


def executor_of(graph: dict[str, Any], node: str) -> dict[str, Any]:
    spec = graph["deploymentConfig"]["executorSpecs"][node]
    return spec.get("pythonExecutorSpec", spec)


def test_transform_waits_for_the_validator_and_the_trainer_for_transform(tmp_path: Path) -> None:
    upstream = {node.id: set(node.upstream) for node in ir.nodes(compiled("sentiment", tmp_path))}
    assert "ExampleValidator" in upstream["Transform"]
    assert "Transform" in upstream["Trainer"]


@pytest.mark.parametrize("node", ["Evaluator", "Trainer", "Transform"])
def test_what_the_cache_key_of_a_node_holds_changes_with_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: str
) -> None:
    edited = {
        "Evaluator": "pipelines.base.tabular.forests",
        "Trainer": "pipelines.exoplanets.model",
        "Transform": "pipelines.exoplanets.features",
    }[node]

    def key(edit: str) -> str:
        def digest(*modules: str) -> str:
            return f"{modules} {edit if edited in modules else ''}"

        monkeypatch.setattr(spine, "source_digest", digest)
        graph = compiled("exoplanets", tmp_path)
        (found,) = [n["pipelineNode"] for n in graph["nodes"] if n["pipelineNode"]["nodeInfo"]["id"] == node]
        return json.dumps([found["parameters"], executor_of(graph, node)], sort_keys=True)

    assert key("before") == key("before") != key("after")


def test_the_validator_knows_what_reads_columns_only_where_the_schema_is_inferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reviewed = executor_of(compiled("card_fraud", tmp_path), "ExampleValidator")
    assert [flag.partition("=")[0] for flag in reviewed["extraFlags"]] == ["--label"]
    monkeypatch.setattr(Paths, "schema", property(lambda self: tmp_path / "none.pbtxt"))
    inferred = executor_of(compiled("sentiment", tmp_path), "ExampleValidator")
    assert inferred["extraFlags"] == ["--preprocessing_fn=pipelines.sentiment.features.preprocessing_fn"]


def test_the_pusher_is_told_the_cards_plan_and_a_card_without_one_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.base.project import Release
    from pipelines.sentiment import pipeline

    assert "extraFlags" not in executor_of(compiled("sentiment", tmp_path), "Pusher")
    planned = dataclasses.replace(pipeline.PROJECT, release=Release("5,100"))
    monkeypatch.setattr(pipeline, "PROJECT", planned)
    (flag,) = executor_of(compiled("sentiment", tmp_path), "Pusher")["extraFlags"]
    assert json.loads(flag.removeprefix("--release_plan=")) == planned.release.plan()


def test_the_report_is_drawn_beside_the_push(tmp_path: Path) -> None:
    nodes = {node.id: set(node.upstream) for node in ir.nodes(compiled("sentiment", tmp_path))}
    assert "ReportGen" not in nodes["Pusher"] and "Evaluator" not in nodes["ReportGen"]
    with_numbers = {node.id: set(node.upstream) for node in ir.nodes(compiled("recommendations", tmp_path))}
    assert "Evaluator" in with_numbers["ReportGen"] and "ReportGen" not in with_numbers["Pusher"]


@pytest.mark.parametrize(
    ("files", "pattern"),
    [(("span-0/a.csv",), "span-{SPAN}/*.csv"), (("a.csv",), "*.csv"), ((), "span-{SPAN}/*.csv")],
)
def test_what_an_example_gen_reads_follows_the_folder(
    tmp_path: Path, files: tuple[str, ...], pattern: str
) -> None:
    folder = tmp_path / "raw"
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    given = spine.raw(Paths.of("sentiment", tmp_path), settings_of("sentiment", data=str(folder)), "*.csv")
    assert given["input_base"] == str(folder) and given["range_config"] is None
    assert [split.pattern for split in given["input_config"].splits] == [pattern]


def test_one_span_is_read_when_it_was_asked_for(tmp_path: Path) -> None:
    paths = Paths.of("sentiment", tmp_path)
    given = spine.raw(paths, settings_of("sentiment", span=4))
    static = given["range_config"].static_range
    assert (static.start_span_number, static.end_span_number) == (4, 4)
    assert given["input_base"] == str(paths.data)


def test_a_rehearsal_stands_between_evaluator_and_pusher_for_cards_that_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.card_fraud import pipeline

    asking = dataclasses.replace(registry.get("card_fraud"), rehearsal=Rehearsal(quick_seconds=2.0))
    monkeypatch.setattr(pipeline, "PROJECT", asking)
    graph = compiled("card_fraud", tmp_path)
    upstream = {node.id: set(node.upstream) for node in ir.nodes(graph)}
    assert {"Evaluator", "Trainer"} <= upstream["Rehearsal"]
    assert {"Rehearsal", "Evaluator", "Trainer"} <= upstream["Pusher"]
    (found,) = [
        n["pipelineNode"] for n in graph["nodes"] if n["pipelineNode"]["nodeInfo"]["id"] == "Rehearsal"
    ]
    terms = json.loads(found["parameters"]["parameters"]["terms"]["fieldValue"]["stringValue"])
    assert (terms["seconds"], terms["signature"]) == (2.0, "serve_examples")
    assert terms["logs"] == str(tmp_path / "request-logs")
