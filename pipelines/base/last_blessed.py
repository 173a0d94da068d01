"""What a new model is compared with: the last blessed model that is served under the same name, other than itself.

A name stands for one variant, one profile, and real or made-up data (see production.py): a simpler variant that a
person asks for is no regression of the larger one, and a model of a sample says nothing of one of real data. Both
models are measured on the new run's evaluation rows. A model that comes from the cache, because its run was killed
after the verdict, would else meet itself as the model to beat.
Loaded by TFX's Resolver from the path in the compiled pipeline; a strategy of TFX's own can tell neither.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from tfx import types
from tfx.dsl.components.common.resolver import ResolverStrategy
from tfx.types import standard_artifacts

from pipelines.base.lineage import OUTPUT_EVENTS
from pipelines.base.summary import custom_property
from pipelines.base.training import SERVED_KEY

CANDIDATE = "candidate"


class LatestBlessedOfName(ResolverStrategy):
    """The model blessed last among those whose Trainer was told that they are served as `served`.

    Models of earlier releases, whose Trainers were not told, are compared with nothing.

    "Last" goes by the ids of the executions that gave the blessings, computed or from the cache, and by no clock.
    """

    def __init__(self, served: str) -> None:
        self.served = served

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]] | None:
        """That model and its blessing under the keys they came in; empty lists if there is none.

        A model under the key `candidate` is neither chosen nor handed on.
        """
        candidates = {model.id for model in input_dict.get(CANDIDATE, ())}
        given = {key: artifacts for key, artifacts in input_dict.items() if key != CANDIDATE}
        models, blessings = (
            {a.id: (key, a) for key, artifacts in given.items() for a in artifacts if isinstance(a, kind)}
            for kind in (standard_artifacts.Model, standard_artifacts.ModelBlessing)
        )
        of_name = {model for model, served in _served(store, models) if served == self.served}
        given_last = _last_executions(store, blessings)
        resolved: dict[str, list[types.Artifact]] = {key: [] for key in input_dict}
        for number in sorted(blessings, key=lambda number: (given_last[number], number), reverse=True):
            key, blessing = blessings[number]
            model = blessing.get_int_custom_property("current_model_id")
            blessed = blessing.get_int_custom_property("blessed") == 1
            if blessed and model in models and model in of_name - candidates:
                resolved[key] = [blessing]
                resolved[models[model][0]] = [models[model][1]]
                break
        return resolved


def _last_executions(store: Any, artifacts: Iterable[int]) -> dict[int, int]:
    """Id of an artifact -> the highest id of an execution that output it, the Resolver's own aside; 0 for none."""
    last: dict[int, int] = defaultdict(int)
    for event in _events(store, artifacts):
        if event.type == event.OUTPUT:
            last[event.artifact_id] = max(last[event.artifact_id], event.execution_id)
    return last


def _served(store: Any, models: Iterable[int]) -> Iterator[tuple[int, str]]:
    """(id of a model, the name that the Trainer was told which made it or took it from the cache)."""
    events = [event for event in _events(store, models) if event.type in OUTPUT_EVENTS]
    executions = {e.id: e for e in store.get_executions_by_id([event.execution_id for event in events])}
    for event in events:
        # Trainers alone are told: what else outputs models, as the Resolver, is passed over.
        config = json.loads(custom_property(executions[event.execution_id], "custom_config") or "null") or {}
        if SERVED_KEY in config:
            yield event.artifact_id, config[SERVED_KEY]


def _events(store: Any, artifacts: Iterable[int]) -> list[Any]:
    ids = list(artifacts)
    return list(store.get_events_by_artifact_ids(ids)) if ids else []
