"""The journal of releases in ML Metadata: once a step, with its judgement, and in the lineage of the version."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pipelines.base import metadata, releases
from pipelines.base.paths import sqlite_url
from serving.release import plan as plans
from serving.release import record
from serving.release.folder import Folder

PROJECT = "card_fraud"
JUDGEMENT = {
    "errors": {"candidate": [2, 900], "baseline": [3, 8100], "e_worse": 1.5, "e_fine": 40.0, "passes": True}
}


class Home:
    """A store that knows the pushes of two versions, and their served folder."""

    def __init__(self, base: Path) -> None:
        from ml_metadata.proto import metadata_store_pb2 as pb

        self.served = base / "serving" / PROJECT
        self.store = metadata.store(sqlite_url(base / "metadata.sqlite"))
        context = pb.Context(
            type_id=self.store.put_context_type(pb.ContextType(name="pipeline")), name=PROJECT
        )
        kind = self.store.put_execution_type(pb.ExecutionType(name="tfx.components.Pusher"))
        pushed = self.store.put_artifact_type(pb.ArtifactType(name="PushedModel"))
        for version in (1, 2):
            (self.served / str(version)).mkdir(parents=True)
            artifact = pb.Artifact(type_id=pushed, uri=f"/x/{version}")
            artifact.custom_properties["pushed_destination"].string_value = str(self.served / str(version))
            execution, event = pb.Execution(type_id=kind), pb.Event(type=pb.Event.OUTPUT)
            self.store.put_execution(
                execution, [(artifact, event)], [context], reuse_context_if_already_exist=True
            )

    def releases(self) -> None:
        """Version 2 goes to half of the traffic and is promoted by ann."""
        folder = Folder(self.served)
        begun = record.begun(1, 1, 2, plans.Plan(shares=(0.5, 1.0)), "controller", "it was pushed")
        begun = dataclasses.replace(begun, judgement=JUDGEMENT)
        folder.save(begun.moved("promoted", "looks good", step=1, who="ann"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_each_step_of_a_journal_is_one_execution_however_often_it_is_recorded(home: Home) -> None:
    assert releases.record(home.store, PROJECT) == 0
    home.releases()
    assert releases.record(home.store, PROJECT) == 2
    assert releases.record(home.store, PROJECT) == 0
    assert len(home.store.get_executions_by_type(releases.STEP)) == 2


def test_a_version_names_its_release_the_judges_numbers_and_who_decided(home: Home) -> None:
    home.releases()
    releases.record(home.store, PROJECT)
    steps = releases.of_version(home.store, PROJECT, str(home.served / "2"))
    assert [(s["state"], s["share"], s["who"]) for s in steps] == [
        ("canary", 0.5, "controller"),
        ("promoted", 1.0, "ann"),
    ]
    assert steps[1]["judgement"] == JUDGEMENT
    assert releases.of_version(home.store, PROJECT, str(home.served / "1")) == []
    told = releases.lines(steps)[1]
    assert told.startswith("1: promoted at 100 % by ann, ")
    assert told.endswith("looks good (errors 2/900 against 3/8100, e-value 1.5)")


def test_a_step_reads_the_pushed_model_and_writes_its_judgement(home: Home) -> None:
    home.releases()
    releases.record(home.store, PROJECT)
    (first, _) = home.store.get_executions_by_type(releases.STEP)
    events = home.store.get_events_by_execution_ids([first.id])
    kinds = {kind.id: kind.name for kind in home.store.get_artifact_types()}
    artifacts = home.store.get_artifacts_by_id([e.artifact_id for e in events])
    assert sorted(kinds[a.type_id] for a in artifacts) == ["PushedModel", "viaduct.Judgement"]


def test_a_record_that_cannot_be_read_stops_nothing(home: Home) -> None:
    home.releases()
    (home.served / releases.FOLDER / "0002-3.json").write_text('{"number": 2', encoding="utf-8")
    assert releases.record(home.store, PROJECT) == 2


def test_a_project_without_runs_has_nothing_to_record(home: Home) -> None:
    assert releases.record(home.store, "digits") == 0
