"""The comparison stays within a variant: what the Resolver picks from a metadata store with models of several."""

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

    def train(self, variant: str, *, blessed: bool) -> int:
        """A model of `variant` and the Evaluator's verdict; returns the model's id."""
        from tfx.types import standard_artifacts

        model = standard_artifacts.Model()
        (model.id,) = self.store.put_artifacts([self.pb.Artifact(type_id=self.types["Model"])])
        self.made_by(model.id, json.dumps({"parameters": {"variant": variant}, "code": "c"}))
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

    def resolve(self, variant: str) -> list[int]:
        """The ids of the models, and of the models of the blessings, that the strategy gives for `variant`."""
        from pipelines.base.last_blessed import LatestBlessedOfVariant

        found = LatestBlessedOfVariant(variant).resolve_artifacts(
            self.store, {"model": list(self.models), "model_blessing": list(self.blessings)}
        )
        assert found is not None
        verdicts = [b.get_int_custom_property("current_model_id") for b in found["model_blessing"]]
        assert verdicts == [model.id for model in found["model"]]
        return verdicts


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.mark.slow
def test_each_variant_is_given_its_own_last_blessed_model(store: Store) -> None:
    store.train("cnn", blessed=True)
    logistic = store.train("logistic", blessed=True)
    cnn = store.train("cnn", blessed=True)
    store.train("logistic", blessed=False)
    assert store.resolve("logistic") == [logistic]
    assert store.resolve("cnn") == [cnn]


def test_a_variant_that_was_never_blessed_is_compared_with_nothing(store: Store) -> None:
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
def test_the_compiled_pipeline_asks_for_the_variant_of_its_run(
    tmp_path: Path,
) -> None:
    from pipelines.base import ir, registry
    from pipelines.base.paths import Paths
    from pipelines.base.project import Settings

    card = registry.get("digits")
    for variant in ("cnn", "logistic"):
        compiled = ir.compile_ir("digits", Settings.of(card, variant), Paths.of("digits", tmp_path))
        (resolver,) = [n["pipelineNode"] for n in compiled["nodes"] if _id(n) == "LatestBlessedModel"]
        (node,) = [
            step["opNode"]
            for graph in resolver["inputs"]["inputGraphs"].values()
            for step in graph["nodes"].values()
            if "opNode" in step
        ]
        assert node["opType"] == "pipelines.base.last_blessed.LatestBlessedOfVariant"
        assert json.dumps(variant) in json.dumps(node["kwargs"])


def _id(node: dict[str, Any]) -> str:
    return node["pipelineNode"]["nodeInfo"]["id"]
