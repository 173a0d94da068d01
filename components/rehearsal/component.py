"""The node Rehearsal, between Evaluator and Pusher: does a blessed model serve as well as the one that is served?

Its output is TFX's InfraBlessing, as an InfraValidator's is, with the model and its warm-up file in it; so the Pusher
takes both from there. What InfraValidator leaves out is here: latency, memory, parity, no Docker.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.rehearsal import executor


class RehearsalSpec(component_spec.ComponentSpec):
    """The model, what the Evaluator said of it, and rows to ask with where no requests were recorded."""

    PARAMETERS = {
        executor.TERMS_KEY: component_spec.ExecutionParameter(type=str),
        executor.SPLIT_KEY: component_spec.ExecutionParameter(type=str),
        executor.CODE_KEY: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        executor.MODEL_KEY: component_spec.ChannelParameter(type=standard_artifacts.Model),
        executor.MODEL_BLESSING_KEY: component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        executor.EXAMPLES_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {executor.BLESSING_KEY: component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing)}


class Rehearsal(base_component.BaseComponent):
    """`outputs["blessing"]` is an InfraBlessing. The node's default id is `Rehearsal`."""

    SPEC_CLASS = RehearsalSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        examples: types.BaseChannel,
        terms: Mapping[str, Any],
        split: str = "eval",
        code: str = "",
    ) -> None:
        """Rehearses `model` if it was blessed.

        Args:
          terms: fields of serving.rehearsal.terms.Terms, without `candidate`, `rows` and `out`.
          split: of the raw `examples`; its first rows are asked where there are no recorded requests.
          code: a digest of what rehearses; an edit reruns the node.
        """
        spec = RehearsalSpec(
            terms=json.dumps(dict(terms), sort_keys=True),
            split=split,
            code=code,
            model=model,
            model_blessing=model_blessing,
            examples=examples,
            blessing=types.Channel(type=standard_artifacts.InfraBlessing),
        )
        super().__init__(spec=spec)
