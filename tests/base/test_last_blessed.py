"""The comparison stays within a served name: what the Resolver picks from a metadata store with models of several."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.base import metadata


class Store:
    """A metadata store on a disk, filled as Trainer, Evaluator and Resolver fill it."""

    def __init__(self, folder: Path) -> None:
        from ml_metadata.proto import metadata_store_pb2 as pb

        self.pb = pb
        self.store = metadata.store(f"sqlite:///{folder / 'metadata.db'}")
        self.types = {
            name: self.store.put_artifact_type(pb.ArtifactType(name=name))
            for name in ("Model", "ModelBlessing")
        }
        self.trainer = self.store.put_execution_type(pb.ExecutionType(name="tfx.components.Trainer"))
        self.models: list[Any] = []
        self.blessings: list[Any] = []

    def train(self, served: str, *, blessed: bool) -> int:
        """A model to be served under a name and the Evaluator's verdict; returns the model's id."""
        from tfx.types import standard_artifacts

        model = standard_artifacts.Model()
        (model.id,) = self.store.put_artifacts([self.pb.Artifact(type_id=self.types["Model"])])
        self.made_by(model.id, json.dumps({"parameters": {"variant": "cnn"}, "served": served}))
        blessing = standard_artifacts.ModelBlessing()
        (blessing.id,) = self.store.put_artifacts([self.pb.Artifact(type_id=self.types["ModelBlessing"])])
        blessing.set_int_custom_property("current_model_id", model.id)
        blessing.set_int_custom_property("blessed", int(blessed))
        self.models.append(model)
        self.blessings.append(blessing)
        return model.id

    def made_by(self, model: int, custom_config: str) -> None:
        """An execution that output `model`; without `custom_config` it is no Trainer's."""
        execution = self.pb.Execution(type_id=self.trainer)
        if custom_config:
            execution.custom_properties["custom_config"].string_value = custom_config
        (number,) = self.store.put_executions([execution])
        event = self.pb.Event(artifact_id=model, execution_id=number, type=self.pb.Event.OUTPUT)
        self.store.put_events([event])

    def judge(self, blessing: int) -> None:
        """An Evaluator's execution that output `blessing`, computed or from the cache."""
        (number,) = self.store.put_executions([self.pb.Execution(type_id=self.trainer)])
        event = self.pb.Event(artifact_id=blessing, execution_id=number, type=self.pb.Event.OUTPUT)
        self.store.put_events([event])

    def resolve(self, served: str, candidate: int = 0) -> list[int]:
        """The ids of the models, and of the models of the blessings, that the strategy gives for a name."""
        from pipelines.base.last_blessed import LatestBlessedOfName

        found = LatestBlessedOfName(served).resolve_artifacts(
            self.store,
            {
                "model": list(self.models),
                "model_blessing": list(self.blessings),
                "candidate": [model for model in self.models if model.id == candidate],
            },
        )
        assert found is not None and found["candidate"] == [], "it is not handed on"
        verdicts = [b.get_int_custom_property("current_model_id") for b in found["model_blessing"]]
        assert verdicts == [model.id for model in found["model"]]
        return verdicts


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.mark.slow
def test_each_name_is_given_its_own_last_blessed_model(store: Store) -> None:
    production = store.train("digits", blessed=True)
    logistic = store.train("digits.logistic", blessed=True)
    sample = store.train("digits.sample", blessed=True)
    store.train("digits.logistic", blessed=False)
    assert store.resolve("digits.logistic") == [logistic]
    assert store.resolve("digits") == [production], "a sample's model is no measure for one of real data"
    assert store.resolve("digits.sample") == [sample]


@pytest.mark.slow
def test_a_model_of_an_earlier_release_whose_kind_nobody_knows_is_compared_with_nothing(store: Store) -> None:
    store.train("digits", blessed=True)
    (execution,) = store.store.get_executions()
    execution.custom_properties["custom_config"].string_value = '{"parameters": {"variant": "cnn"}}'
    store.store.put_executions([execution])
    assert store.resolve("digits") == []


@pytest.mark.slow
def test_a_model_is_never_compared_with_itself(store: Store) -> None:
    """It comes from the cache, with its blessing, when its run was killed after the verdict and is repeated."""
    first = store.train("cnn", blessed=True)
    assert store.resolve("cnn", candidate=first) == []
    second = store.train("cnn", blessed=True)
    assert store.resolve("cnn", candidate=second) == [first]
    assert store.resolve("cnn", candidate=first) == [second]
    assert store.resolve("cnn") == [second]


@pytest.mark.slow
def test_the_last_blessed_model_is_the_one_judged_last_and_not_the_one_made_last(store: Store) -> None:
    """A model that was made again by the parameters of an earlier day is what is served then."""
    first, second, third = (store.train("cnn", blessed=True) for _ in range(3))
    blessing_of = dict(zip((first, second, third), store.blessings, strict=True))
    for model in (first, second, third, first):
        store.judge(blessing_of[model].id)
    assert store.resolve("cnn") == [first]
    assert store.resolve("cnn", candidate=first) == [third]
    # A Resolver hands blessings on, which is no verdict.
    (number,) = store.store.put_executions([store.pb.Execution(type_id=store.trainer)])
    handed = store.pb.Event(
        artifact_id=blessing_of[second].id, execution_id=number, type=store.pb.Event.INTERNAL_OUTPUT
    )
    store.store.put_events([handed])
    assert store.resolve("cnn") == [first]


def test_a_name_that_was_never_blessed_is_compared_with_nothing(store: Store) -> None:
    assert store.resolve("cnn") == []
    store.train("cnn", blessed=True)
    store.train("logistic", blessed=False)
    assert store.resolve("logistic") == []


@pytest.mark.slow
def test_a_resolver_that_gave_the_model_on_is_not_taken_for_its_trainer(store: Store) -> None:
    cnn = store.train("cnn", blessed=True)
    store.made_by(cnn, "")
    store.made_by(cnn, "null")
    assert store.resolve("cnn") == [cnn]


@pytest.mark.slow
def test_the_compiled_pipeline_asks_for_the_name_of_its_run_and_tells_it_the_trainer(tmp_path: Path) -> None:
    from pipelines.base import ir, registry
    from pipelines.base.paths import Paths
    from pipelines.base.settings import Settings

    card = registry.get("digits")
    paths = Paths.of("digits", tmp_path)
    for variant, served in (("cnn", "digits.sample"), ("logistic", "digits.logistic.sample")):
        compiled = ir.compile_ir("digits", Settings.of(card, variant, data=str(paths.samples / "x")), paths)
        (resolver,) = [n["pipelineNode"] for n in compiled["nodes"] if _id(n) == "LatestBlessedModel"]
        (node,) = [
            step["opNode"]
            for graph in resolver["inputs"]["inputGraphs"].values()
            for step in graph["nodes"].values()
            if "opNode" in step
        ]
        assert node["opType"] == "pipelines.base.last_blessed.LatestBlessedOfName"
        assert json.dumps(served) in json.dumps(node["kwargs"])
        parts = {_id(n): json.dumps(n) for n in compiled["nodes"]}
        assert served in parts["Trainer"]
        assert f"/serving/{served}" in parts["Pusher"]
        assert resolver["upstreamNodes"] == ["Trainer"], "its model is the candidate"


def _id(node: dict[str, Any]) -> str:
    return node["pipelineNode"]["nodeInfo"]["id"]
