"""A HOME with runs of a project as TFX, the runner and the Pusher leave them: artifacts, records, served versions."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from pipelines.base import artifact_root, metadata, run_record
from pipelines.base.housekeeping import applying, planning
from pipelines.base.housekeeping.planning import Plan, Question
from pipelines.base.paths import Paths, metadata_url
from pipelines.base.run_record import RunRecord
from pipelines.base.settings import Settings
from pipelines.base.training import SERVED_KEY

PROJECT = "card_fraud"
DAY = 86400.0
TYPES = (
    "Examples",
    "TransformGraph",
    "TransformCache",
    "Model",
    "ModelRun",
    "ModelEvaluation",
    "ModelBlessing",
    "PushedModel",
)


class World:
    """Fills HOME; `runs` are their ids in order. All of it is of now; `look` and `apply` ask `later` seconds on."""

    def __init__(self, home: Path) -> None:
        from ml_metadata.proto import metadata_store_pb2 as pb

        self.pb, self.paths = pb, Paths.of(PROJECT, home)
        self.store = metadata.store(metadata_url(self.paths.home))
        self.root = artifact_root.of(self.paths, self.store)
        put = self.store.put_context_type
        self._contexts = {
            kind: put(pb.ContextType(name=kind)) for kind in ("pipeline", "pipeline_run", "node")
        }
        self._component = self.store.put_execution_type(pb.ExecutionType(name="tfx.components.Any"))
        self._types = {name: self.store.put_artifact_type(pb.ArtifactType(name=name)) for name in TYPES}
        self.runs: list[str] = []
        self.made: dict[str, dict[str, int]] = {}

    def node(
        self,
        run: str,
        node: str,
        outputs: dict[str, str],
        inputs: dict[str, int] | None = None,
        state: str = "COMPLETE",
        artifact_state: str = "LIVE",
        properties: dict[str, Any] | None = None,
        config: dict[str, Any] | None = None,
    ) -> dict[str, int]:
        """One execution; {key: id of the artifact}. `outputs` are {key: type}."""
        pb = self.pb
        execution = pb.Execution(type_id=self._component, last_known_state=pb.Execution.State.Value(state))
        for name, value in (config or {}).items():
            execution.custom_properties[name].string_value = (
                value if isinstance(value, str) else json.dumps(value)
            )
        names = {"pipeline": PROJECT, "pipeline_run": run, "node": f"{PROJECT}.{node}"}
        contexts = [pb.Context(type_id=self._contexts[kind], name=name) for kind, name in names.items()]
        number, _, _ = self.store.put_execution(execution, [], contexts, reuse_context_if_already_exist=True)
        execution.id = number
        self.store.put_events(
            [_event(pb, pb.Event.INPUT, key, number, a) for key, a in (inputs or {}).items()]
        )
        found = {}
        for key, kind in outputs.items():
            folder = self.root / node / key / str(number)
            folder.mkdir(parents=True)
            (folder / "rows").write_text(f"{run} {key}")
            artifact = pb.Artifact(
                type_id=self._types[kind], uri=str(folder), state=pb.Artifact.State.Value(artifact_state)
            )
            for name, value in (properties or {}).items():
                kind_of = "int_value" if isinstance(value, int) else "string_value"
                setattr(artifact.custom_properties[name], kind_of, value)
            event = _event(pb, pb.Event.OUTPUT, key, number)
            _, (found[key],), _ = self.store.put_execution(
                execution, [(artifact, event)], contexts, reuse_context_if_already_exist=True
            )
        return found

    def run(
        self,
        *,
        served: str = f"{PROJECT}.sample",
        push: bool = True,
        blessed: bool = True,
        examples: int = 0,
        state: str = "succeeded",
        alive: bool = False,
        data: str = "",
        span: int | None = None,
        record: bool = True,
    ) -> str:
        """A whole run; with `examples` (an artifact) its rows are those of an earlier one."""
        run = f"{PROJECT}-{len(self.runs):03d}"
        self.runs.append(run)
        if record:
            self.record(run, state=state, alive=alive, data=data)
        made: dict[str, int] = {}
        if not examples:
            base = {"input_base": data or str(self.paths.data)}
            properties = {} if span is None else {"span": span}
            made |= self.node(
                run, "ArrowExampleGen", {"examples": "Examples"}, None, properties=properties, config=base
            )
            examples = made["examples"]
        outputs = {
            "transformed_examples": "Examples",
            "transform_graph": "TransformGraph",
            "updated_analyzer_cache": "TransformCache",
        }
        made |= self.node(run, "Transform", outputs, {"examples": examples})
        config = {"custom_config": {SERVED_KEY: served}}
        inputs = {"examples": made["transformed_examples"], "transform_graph": made["transform_graph"]}
        made |= self.node(run, "Trainer", {"model": "Model", "model_run": "ModelRun"}, inputs, config=config)
        said = {"blessed": int(blessed), "current_model_id": made["model"]}
        verdicts = {"evaluation": "ModelEvaluation", "blessing": "ModelBlessing"}
        judged = {"examples": examples, "model": made["model"]}
        made |= self.node(run, "Evaluator", verdicts, judged, properties=said)
        if push:
            version = self.paths.served(served) / str(1000 + len(self.runs))
            version.mkdir(parents=True)
            (version / "saved_model.pb").write_text(run)
            pushed = {"pushed": 1, "pushed_destination": str(version)}
            made |= self.node(
                run,
                "Pusher",
                {"pushed_model": "PushedModel"},
                {"model": made["model"], "model_blessing": made["blessing"]},
                properties=pushed,
            )
        self.made[run] = {"examples": examples, **made}
        return run

    def record(self, run: str, *, state: str = "succeeded", alive: bool = False, data: str = "") -> RunRecord:
        from pipelines.base import registry

        settings = Settings.of(registry.get(PROJECT), data=data)
        record = run_record.begin(self.paths, settings, "f")
        (self.paths.runs / record.run_id).rmdir()
        started = record.pid_started if alive else "1"
        state = "running" if alive else state
        record = dataclasses.replace(record, run_id=run, state=state, pid_started=started, ended=time.time())
        folder = self.paths.runs / run
        (folder / "logs").mkdir(parents=True)
        (folder / "logs" / "Trainer.log").write_text("it went well")
        (folder / "ir.json").write_text("{}")
        record.write(folder)
        return record

    def record_ended(self, run: str) -> None:
        record = run_record.read(self.paths.runs / run / run_record.RECORD)
        assert record is not None
        record.state = "succeeded"
        record.write(self.paths.runs / run)

    def question(self, later: float = 40 * DAY, last_runs: int = 1, **asked: Any) -> Question:
        return Question(
            self.paths.home, asked.pop("older_than", 30 * DAY), asked.pop("configs", []),
            now=time.time() + later, last_runs=last_runs, **asked,
        )  # fmt: skip

    def look(self, later: float = 40 * DAY, **asked: Any) -> Plan:
        return planning.project(self.question(later, **asked), PROJECT, self.store)

    def apply(self, later: float = 40 * DAY, **asked: Any) -> applying.Done:
        done = applying.apply(self.question(later, **asked))
        assert done.failed == []
        return done

    def going(self, later: float = 40 * DAY, **asked: Any) -> set[int]:
        """Ids of the artifacts that would go."""
        return {artifact for thing in self.look(later, **asked).going for artifact in thing.artifacts}

    def why(self, artifact: int, **asked: Any) -> str:
        """Why an artifact stays; fails if it would go."""
        folder = self.uri(artifact)
        (thing,) = [t for t in self.look(**asked).staying if folder in t.paths]
        return thing.why

    def uri(self, artifact: int) -> Path:
        (read,) = self.store.get_artifacts_by_id([artifact])
        return Path(read.uri)

    def state(self, artifact: int) -> str:
        (read,) = self.store.get_artifacts_by_id([artifact])
        return str(self.pb.Artifact.State.Name(read.state))


def _event(pb: Any, kind: int, key: str, execution: int, artifact: int = 0) -> Any:
    event = pb.Event(type=kind, execution_id=execution)
    if artifact:
        event.artifact_id = artifact
    event.path.steps.add().key = key
    return event
