"""What a new model is compared with: the last blessed model of the same variant.

A simpler variant that a person asks for by name is not a regression of the larger one served before it. Loaded by
TFX's Resolver from the path in the compiled pipeline; a strategy of TFX's own cannot tell variants apart.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

from tfx import types
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
from tfx.types import standard_artifacts

from pipelines.base.lineage import OUTPUT_EVENTS
from pipelines.base.summary import custom_property
from pipelines.base.training import PARAMETERS_KEY


class LatestBlessedOfVariant(LatestBlessedModelStrategy):
    """TFX's strategy over the models whose Trainer was given `variant`, as its execution records."""

    def __init__(self, variant: str) -> None:
        self.variant = variant

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]] | None:
        """The newest such model and its blessing under the keys they came in; empty lists if there is none."""
        models = {
            a.id for a in itertools.chain(*input_dict.values()) if isinstance(a, standard_artifacts.Model)
        }
        left_out = models - {model for model, variant in _variants(store, models) if variant == self.variant}
        kept = {key: [a for a in artifacts if a.id not in left_out] for key, artifacts in input_dict.items()}
        return super().resolve_artifacts(store, kept)


def _variants(store: Any, models: Iterable[int]) -> Iterator[tuple[int, str]]:
    """(id of a model, variant of the Trainer that made it or took it from the cache)."""
    events = [e for e in store.get_events_by_artifact_ids(list(models)) if e.type in OUTPUT_EVENTS]
    executions = {e.id: e for e in store.get_executions_by_id([event.execution_id for event in events])}
    for event in events:
        # Trainers alone have such parameters: what else outputs models, as the Resolver, is passed over.
        config = json.loads(custom_property(executions[event.execution_id], "custom_config") or "null") or {}
        if PARAMETERS_KEY in config:
            yield event.artifact_id, config[PARAMETERS_KEY]["variant"]
