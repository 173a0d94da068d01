"""Releases in ML Metadata: each step that the model server's journal tells becomes an execution with its judgement.

The server writes its journal beside the served versions (`.release/releases/*.json`) and knows no metadata store; this
module reads those files. A step is recorded once, whoever asks and how often. It judges nothing and steers nothing.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.base.summary import custom_property

STEP, JUDGEMENT = "viaduct.Release", "viaduct.Judgement"
FOLDER = ".release/releases"
# Of a step, in its execution's custom properties.
TEXTS = ("state", "who", "why", "time")


def journals(served: Path) -> Iterator[dict[str, Any]]:
    """The records of all releases in a served folder, oldest first; what cannot be read is left out."""
    for file in sorted((served / FOLDER).glob("*.json")):
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            yield {
                "file": str(file),
                **{k: int(record[k]) for k in ("number", "baseline", "candidate")},
                "journal": [dict(line) for line in record["journal"]],
            }
        except (OSError, ValueError, TypeError, KeyError):
            continue


def record(store: Any, project: str) -> int:
    """Records what is not yet recorded of the releases of a project's pushed models; how many steps that were."""
    from ml_metadata.proto import metadata_store_pb2 as pb

    context = store.get_context_by_type_and_name("pipeline", project)
    if context is None:
        return 0
    models = pushed(store, context)
    types = {
        STEP: store.put_execution_type(pb.ExecutionType(name=STEP)),
        JUDGEMENT: store.put_artifact_type(pb.ArtifactType(name=JUDGEMENT)),
    }
    known = {execution.name for execution in store.get_executions_by_type(STEP)}
    fresh = 0
    for served in sorted({path.parent for path in models}):
        for release in journals(served):
            model = models.get(served / str(release["candidate"]))
            for number, line in enumerate(release["journal"]):
                name = f"{project}:{served.name}:{release['number']}-{release['candidate']}:{number}"
                if name not in known:
                    _put(store, types, context, name, release, line, model)
                    fresh += 1
    return fresh


def pushed(store: Any, context: Any) -> dict[Path, Any]:
    """The PushedModel artifacts of a pipeline by the folder that they were copied to."""
    kinds = {kind.id: kind.name for kind in store.get_artifact_types()}
    found = {}
    for artifact in store.get_artifacts_by_context(context.id):
        if (artifact.type or kinds.get(artifact.type_id)) == "PushedModel":
            destination = custom_property(artifact, "pushed_destination")
            if destination:
                found[Path(destination)] = artifact
    return found


def _put(
    store: Any,
    types: dict[str, int],
    context: Any,
    name: str,
    release: dict[str, Any],
    line: dict[str, Any],
    model: Any,
) -> None:
    from ml_metadata.proto import metadata_store_pb2 as pb

    execution = pb.Execution(type_id=types[STEP], name=name, last_known_state=pb.Execution.COMPLETE)
    properties = execution.custom_properties
    for key in TEXTS:
        properties[key].string_value = str(line.get(key, ""))
    for key in ("number", "baseline", "candidate"):
        properties[key].int_value = release[key]
    properties["share"].double_value = float(line.get("share") or 0)
    judgement = pb.Artifact(type_id=types[JUDGEMENT], uri=release["file"], name=name, state=pb.Artifact.LIVE)
    judgement.custom_properties["numbers"].string_value = json.dumps(line.get("judgement") or {})
    put(store, context, execution, judgement, model)


def put(store: Any, context: Any, execution: Any, judgement: Any, model: Any) -> None:
    """Records an execution, the judgement that it made, and the PushedModel that it is of (None: nobody knows it)."""
    from ml_metadata import errors as mlmd_errors
    from ml_metadata.proto import metadata_store_pb2 as pb

    linked = [(judgement, _event(pb.Event.OUTPUT, "judgement"))]
    if model is not None:
        linked.append((model, _event(pb.Event.INPUT, "pushed_model")))
    # Where somebody else recorded it in this moment, it is recorded.
    with contextlib.suppress(mlmd_errors.AlreadyExistsError):
        store.put_execution(execution, linked, [context])


def _event(kind: int, key: str) -> Any:
    """An event of ML Metadata with the key of what went in or came out."""
    from ml_metadata.proto import metadata_store_pb2 as pb

    made = pb.Event(type=kind)
    made.path.steps.add().key = key
    return made


def of_version(store: Any, project: str, destination: str) -> list[dict[str, Any]]:
    """The recorded steps of one pushed version's releases, oldest first, each with its judgement's numbers."""
    version = Path(destination)
    if not version.name.isdecimal():
        return []
    prefix = f"{project}:{version.parent.name}:"
    steps = [
        execution
        for execution in store.get_executions_by_type(STEP)
        if execution.name.startswith(prefix) and custom_property(execution, "candidate") == int(version.name)
    ]
    return [_step(store, execution) for execution in sorted(steps, key=_order)]


def _order(execution: Any) -> tuple[int, int]:
    return custom_property(execution, "number"), int(execution.name.rpartition(":")[2])


def _step(store: Any, execution: Any) -> dict[str, Any]:
    keys = ("number", "baseline", "candidate", "share", *TEXTS)
    made = store.get_artifact_by_type_and_name(JUDGEMENT, execution.name)
    numbers = json.loads(custom_property(made, "numbers") or "{}") if made is not None else {}
    return {
        "execution": execution.id,
        **{k: custom_property(execution, k) for k in keys},
        "judgement": numbers,
    }


def lines(steps: list[dict[str, Any]]) -> list[str]:
    """The steps for a terminal."""
    found = []
    for step in steps:
        judged = [
            f"{guard} {said['candidate'][0]:g}/{said['candidate'][1]:g} against "
            f"{said['baseline'][0]:g}/{said['baseline'][1]:g}, e-value {said['e_worse']:g}"
            for guard, said in step["judgement"].items()
            if guard != "shadow"
        ]
        told = f" ({'; '.join(judged)})" if judged else ""
        found.append(
            f"{step['number']}: {step['state']} at {100 * step['share']:g} % by {step['who']}, "
            f"{step['time'][:19]}Z: {step['why']}{told}"
        )
    return found
