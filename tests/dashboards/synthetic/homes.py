"""Writes a small HOME as runs leave it: records, ML Metadata and artifacts of every kind the pages read."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipelines.base import metadata
from pipelines.base.run_record import NodeRecord, RunRecord
from tests.dashboards.synthetic.artifacts import WRITERS, folder_of
from tests.dashboards.synthetic.records import EVIL

GRAPH = {
    "CsvExampleGen": [],
    "StatisticsGen": ["CsvExampleGen"],
    "SchemaGen": ["StatisticsGen"],
    "ExampleValidator": ["StatisticsGen", "SchemaGen"],
    "Transform": ["CsvExampleGen", "SchemaGen"],
    "Trainer": ["Transform", "ExampleValidator", "SchemaGen"],
    "Evaluator": ["CsvExampleGen", "Trainer"],
    "ReportGen": ["Trainer"],
    "Pusher": ["Trainer", "Evaluator"],
}
OUTPUTS = {
    "CsvExampleGen": ["Examples"],
    "StatisticsGen": ["ExampleStatistics"],
    "SchemaGen": ["Schema"],
    "ExampleValidator": ["ExampleAnomalies"],
    "Transform": ["TransformGraph"],
    "Trainer": ["Model", "ModelRun"],
    "Evaluator": ["ModelEvaluation", "ModelBlessing"],
    "ReportGen": ["Report"],
    "Pusher": ["PushedModel"],
}
KEYS = {"Model": "model", "ModelRun": "model_run", "Examples": "examples", "ModelBlessing": "blessing"}


class Builder:
    """Adds runs to one HOME. Give `extra` uris or properties to make odd ones."""

    def __init__(self, home: Path, url: str = "") -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.store = metadata.store(url or f"sqlite://{home / 'metadata.sqlite'}")
        self.types: dict[str, int] = {}

    def run(
        self,
        project: str,
        number: int,
        *,
        started: float | None = None,
        metric: str = "recall",
        value: float = 0.85,
        blessed: bool = True,
        state: str = "succeeded",
        parameters: dict[str, Any] | None = None,
        record: bool = True,
        task: str = "binary",
        variant: str = "",
        profile: str = "quick",
        baseline: int | None = None,
        served: str = "",
    ) -> RunRecord:
        """One finished run with all its artifacts; `record=False` leaves it to ML Metadata alone.

        `baseline` is the id of a model that the Evaluator compares the new one with, `served` the name that the model
        is pushed under (default: the project's, production's).
        """
        served = served or project
        started = started or time.time() - 3600 * (20 - number)
        run_id = f"{project}-20260101-00{number:04d}-abcd"
        parameters = parameters or {"epochs": 5 + number, "learning_rate": 0.001}
        nodes: dict[str, NodeRecord] = {}
        made: dict[str, list[int]] = {}
        contexts = {
            "pipeline": self._context("pipeline", project),
            "pipeline_run": self._context("pipeline_run", run_id),
        }
        for at, (name, upstream) in enumerate(GRAPH.items()):
            node = self._context("node", f"{project}.{name}")
            folder = self.home / "pipelines" / project / name
            kinds = OUTPUTS[name]
            artifacts = []
            for kind in kinds:
                target = folder / KEYS.get(kind, kind.lower()) / str(number)
                WRITERS.get(kind, folder_of)(target, number, value=value, metric=metric, task=task)
                artifacts.append(self._artifact(kind, target, number, blessed, served))
            properties = {
                "custom_config": json.dumps({"parameters": parameters, "code": f"digest{number // 2}"})
            }
            execution = self._execution(name, properties if name == "Trainer" else {})
            inputs = [
                ("model" if up == "Trainer" else up.lower(), a) for up in upstream for a in made[up][:1]
            ]
            if name == "Evaluator" and baseline is not None:
                inputs.append(("baseline_model", baseline))
            ids = self._put(
                execution, artifacts, kinds, inputs, [contexts["pipeline"], contexts["pipeline_run"], node]
            )
            made[name] = ids[1]
            outputs = [
                {"key": KEYS.get(k, k.lower()), "type": k, "id": i, "uri": a.uri}
                for k, i, a in zip(kinds, ids[1], artifacts, strict=True)
            ]
            summary: dict[str, Any] = {"execution": ids[0], "cached": False, "outputs": outputs}
            if name == "CsvExampleGen":
                summary |= {"rows": {"all": 1000 + number}, "span": number}
            nodes[name] = NodeRecord("done", started + 5 * at, started + 5 * at + 4, summary)
        found = RunRecord(
            run_id=run_id,
            project=project,
            settings={
                "variant": variant,
                "profile": profile,
                "parameters": parameters,
                "data": f"/data/{EVIL}",
            },
            fingerprint="f",
            pid=1,
            pid_started="never",
            started=started,
            ended=started + 50,
            state=state,
            blessed=blessed,
            metrics={metric: value, "fall_out": 0.01, "example_count": 400.0},
            pushed=str(self.home / "serving" / served / str(1700000000 + number)) if blessed else "",
            model=str(self.home / "pipelines" / project / "Trainer" / "model" / str(number)),
            nodes=nodes,
        )
        if blessed:
            folder_of(self.home / "serving" / served / str(1700000000 + number), number)
        if record:
            self.write(found)
        return found

    def write(self, record: RunRecord) -> Path:
        """The run's folder with run.json, ir.json and logs."""
        folder = self.home / "runs" / record.project / record.run_id
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        (folder / "run.json").write_text(json.dumps(asdict(record)), encoding="utf-8")
        ir_nodes = [
            {"pipelineNode": {"nodeInfo": {"id": name, "type": {"name": f"x.{name}"}}, "upstreamNodes": up}}
            for name, up in GRAPH.items()
        ]
        (folder / "ir.json").write_text(json.dumps({"nodes": ir_nodes}), encoding="utf-8")
        for name in record.nodes:
            (folder / "logs" / f"{name}.log").write_text(f"{name} says {EVIL}\n", encoding="utf-8")
        return folder

    # ---- ML Metadata ------------------------------------------------------------------------------------

    def _type(self, group: str, name: str) -> int:
        if f"{group}/{name}" not in self.types:
            cls = {
                "artifact": mlmd.ArtifactType,
                "execution": mlmd.ExecutionType,
                "context": mlmd.ContextType,
            }
            kind = cls[group](name=name)
            if group == "artifact":
                kind.properties["span"] = mlmd.INT
            put = getattr(self.store, f"put_{group}_type")
            self.types[f"{group}/{name}"] = put(kind, can_add_fields=True, can_omit_fields=True)
        return self.types[f"{group}/{name}"]

    def _context(self, kind: str, name: str) -> Any:
        known = (
            self.store.get_context_by_type_and_name(kind, name) if f"context/{kind}" in self.types else None
        )
        return known or mlmd.Context(type_id=self._type("context", kind), name=name)

    def _artifact(self, kind: str, target: Path, number: int, blessed: bool, served: str) -> Any:
        found = mlmd.Artifact(type_id=self._type("artifact", kind), uri=str(target), state=mlmd.Artifact.LIVE)
        if kind in ("Examples", "ExampleStatistics"):
            found.properties["span"].int_value = number
            found.custom_properties["remark"].string_value = EVIL
        if kind == "ModelBlessing":
            found.custom_properties["blessed"].int_value = int(blessed)
        if kind == "PushedModel":
            found.custom_properties["pushed"].int_value = int(blessed)
            pushed = self.home / "serving" / served / str(1700000000 + number)
            found.custom_properties["pushed_destination"].string_value = str(pushed)
        return found

    def _execution(self, name: str, properties: dict[str, str]) -> Any:
        found = mlmd.Execution(
            type_id=self._type("execution", f"tfx.components.{name}"),
            last_known_state=mlmd.Execution.COMPLETE,
        )
        for key, text in properties.items():
            found.custom_properties[key].string_value = text
        return found

    def _put(
        self,
        execution: Any,
        outputs: list[Any],
        kinds: list[str],
        inputs: list[tuple[str, int]],
        contexts: list[Any],
    ) -> tuple[int, list[int]]:
        pairs = []
        for artifact, kind in zip(outputs, kinds, strict=True):
            pairs.append((artifact, _event(mlmd.Event.OUTPUT, KEYS.get(kind, kind.lower()))))
        for key, artifact_id in inputs:
            (known,) = self.store.get_artifacts_by_id([artifact_id])
            pairs.append((known, _event(mlmd.Event.INPUT, key)))
        execution_id, artifact_ids, context_ids = self.store.put_execution(
            execution, pairs, contexts, reuse_context_if_already_exist=True
        )
        for context, context_id in zip(contexts, context_ids, strict=True):
            context.id = context_id
        return execution_id, list(artifact_ids)[: len(outputs)]


def _event(kind: int, key: str) -> Any:
    event = mlmd.Event(type=kind)
    event.path.steps.add().key = key
    event.path.steps.add().index = 0
    return event


def build(home: Path) -> Builder:
    """Two projects with a few runs each, a failed one, a dead one, a half-written one and one of MLMD alone."""
    builder = Builder(home)
    for number, (value, blessed) in enumerate(((0.7, False), (0.83, True), (0.88, True)), 1):
        builder.run("card_fraud", number, value=value, blessed=blessed)
    builder.run("digits", 4, metric="sparse_categorical_accuracy", value=0.97, task="multiclass")
    builder.run("digits", 5, metric="sparse_categorical_accuracy", value=0.98, task="multiclass")
    builder.run("card_fraud", 6, record=False)
    failed = builder.run("card_fraud", 7, blessed=False, state="failed")
    failed.nodes["Trainer"] = NodeRecord(
        "failed", failed.started, failed.started + 9, {}, f"run_fn failed: {EVIL}"
    )
    for name in ("Evaluator", "Pusher", "ReportGen"):
        failed.nodes[name] = NodeRecord("skipped")
    failed.blessed, failed.metrics, failed.pushed = None, {}, ""
    builder.write(failed)
    dead = builder.run("digits", 8, state="running")
    dead.ended, dead.blessed, dead.metrics = 0.0, None, {}
    builder.write(dead)
    half = home / "runs" / "digits" / "digits-20260101-half"
    half.mkdir(parents=True)
    (half / "run.json").write_text('{"run_id": "digits-2026', encoding="utf-8")
    return builder
