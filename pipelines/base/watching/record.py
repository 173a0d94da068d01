"""The watch in ML Metadata: each alarm, and each window with a feature beyond its bound, is an execution.

Its input is the pushed model that answered, its output the judgement. What is recorded is read from the watch's state,
once each, whoever asks and how often. Quiet windows are not recorded. It judges nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.base import production, releases
from pipelines.base.paths import Paths
from pipelines.base.summary import custom_property
from pipelines.base.watching import quality, state

STEP, JUDGEMENT = "viaduct.Watch", "viaduct.WatchJudgement"
ALARM, WINDOW = "alarm", "window"


class Event(NamedTuple):
    """name: of its own among all of a model's. kind: ALARM or WINDOW. until: Unix seconds. numbers: the judgement."""

    name: str
    kind: str
    version: int
    until: float
    why: str
    numbers: dict[str, Any]


def events(kept: state.State) -> Iterator[Event]:
    """What of a watch's state is to be recorded."""
    for window in kept.windows:
        if window["beyond"]:
            why = f"{', '.join(window['beyond'])} beyond what chance makes, in {window['rows']} rows"
            yield _event(WINDOW, window, "", why)
    for alarm in kept.alarms:
        yield _event(ALARM, alarm, alarm.get("feature") or alarm["metric"], describe(alarm))


def describe(alarm: dict[str, Any]) -> str:
    """An alarm in words."""
    if "feature" in alarm:
        return f"{alarm['feature']} has drifted: {alarm['distance']:.3g}, {alarm['bound']:.3g} is what chance makes"
    return f"{quality.told(alarm)}: it is worse"


def _event(kind: str, given: dict[str, Any], of: str, why: str) -> Event:
    name = f"{given['version']}:{kind}:{of}:{given['until']:.3f}"
    return Event(name, kind, int(given["version"]), float(given["until"]), why, given)


def record(store: Any, paths: Paths) -> int:
    """Records what is not yet recorded of the watches over a project's models; how much that was."""
    from ml_metadata.proto import metadata_store_pb2 as pb

    watched = {
        name: found
        for folder in sorted(paths.home.glob(f"watch/{paths.project}*"))
        if production.project_of(name := folder.name) == paths.project
        and (found := list(events(state.load(folder))))
    }
    context = store.get_context_by_type_and_name("pipeline", paths.project) if watched else None
    if context is None:
        return 0
    pushed = releases.pushed(store, context)
    types = {
        STEP: store.put_execution_type(pb.ExecutionType(name=STEP)),
        JUDGEMENT: store.put_artifact_type(pb.ArtifactType(name=JUDGEMENT)),
    }
    known = {execution.name for execution in store.get_executions_by_type(STEP)}
    fresh = 0
    for served, found in watched.items():
        for event in found:
            name = f"{paths.project}:{served}:{event.name}"
            if name in known:
                continue
            model = pushed.get(paths.served(served) / str(event.version))
            _put(store, types, context, name, event, paths.watch(served) / state.STATE, model)
            fresh += 1
    return fresh


def _put(
    store: Any, types: dict[str, int], context: Any, name: str, event: Event, file: Path, model: Any
) -> None:
    from ml_metadata.proto import metadata_store_pb2 as pb

    execution = pb.Execution(type_id=types[STEP], name=name, last_known_state=pb.Execution.COMPLETE)
    properties = execution.custom_properties
    properties["kind"].string_value, properties["why"].string_value = event.kind, event.why
    properties["version"].int_value, properties["until"].double_value = event.version, event.until
    judgement = pb.Artifact(type_id=types[JUDGEMENT], uri=str(file), name=name, state=pb.Artifact.LIVE)
    judgement.custom_properties["event"].string_value = name
    judgement.custom_properties["numbers"].string_value = json.dumps(event.numbers)
    releases.put(store, context, execution, judgement, model)


def of_version(store: Any, project: str, destination: str) -> list[dict[str, Any]]:
    """What is recorded of one pushed version, oldest first: {'execution', 'kind', 'until', 'why'}."""
    version = Path(destination)
    if not version.name.isdecimal():
        return []
    prefix = f"{project}:{version.parent.name}:{version.name}:"
    found = [
        {
            "execution": execution.id,
            **{key: custom_property(execution, key) for key in ("kind", "until", "why")},
        }
        for execution in store.get_executions_by_type(STEP)
        if execution.name.startswith(prefix)
    ]
    return sorted(found, key=lambda one: (one["until"], one["execution"]))


def lines(found: list[dict[str, Any]]) -> list[str]:
    """The alarms for a terminal, and how many windows had something beyond its bound."""
    windows = [one for one in found if one["kind"] == WINDOW]
    told = [f"{_time(one['until'])}: ALARM: {one['why']}" for one in found if one["kind"] == ALARM]
    if windows:
        told.append(
            f"{len(windows)} windows beyond, the last {_time(windows[-1]['until'])}: {windows[-1]['why']}"
        )
    return told


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
