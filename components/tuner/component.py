"""The node Tuner: trials of a run_fn on Transform's examples, and the hyper-parameters that were chosen.

Its outputs are those of TFX's Tuner, which takes KerasTuner only: `best_hyperparameters` is what TFX's Trainer takes as
its input of that name. How to search is the function's that `tune_fn` names; the node keeps what it finds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.tuner import executor


class TunerSpec(component_spec.ComponentSpec):
    """What trials train on and are measured on, and what to search."""

    PARAMETERS = {
        executor.TUNE_FN_KEY: component_spec.ExecutionParameter(type=str),
        executor.TASK_KEY: component_spec.ExecutionParameter(type=str),
        executor.CUSTOM_CONFIG_KEY: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        executor.EXAMPLES_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.RAW_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.TRANSFORM_GRAPH_KEY: component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
        executor.SCHEMA_KEY: component_spec.ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS = {
        executor.BEST_KEY: component_spec.ChannelParameter(type=standard_artifacts.HyperParameters),
        executor.RESULTS_KEY: component_spec.ChannelParameter(type=standard_artifacts.TunerResults),
    }


class Tuner(base_component.BaseComponent):
    """`outputs["best_hyperparameters"]`, and `outputs["tuner_results"]`: results.json and tuning.png."""

    SPEC_CLASS = TunerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        tune_fn: str,
        examples: types.BaseChannel,
        raw_examples: types.BaseChannel,
        transform_graph: types.BaseChannel,
        schema: types.BaseChannel,
        task: Mapping[str, Any],
        custom_config: Mapping[str, Any] | None = None,
    ) -> None:
        """Args:
        tune_fn: import path of the function that searches; it is given what executor.gather gives.
        examples, transform_graph, schema: what the Trainer gets.
        raw_examples: the rows before Transform, which exported models take.
        task: JSON-able: `train_splits`, `tune_splits`, and what the function wants besides.
        custom_config: what every trial's run_fn gets as such, but for its parameters; `code` in it is the digest of
          the code that trains and measures.
        """
        spec = TunerSpec(
            tune_fn=tune_fn,
            task=json.dumps(dict(task), sort_keys=True),
            custom_config=json.dumps(dict(custom_config or {}), sort_keys=True),
            examples=examples,
            raw_examples=raw_examples,
            transform_graph=transform_graph,
            schema=schema,
            best_hyperparameters=types.Channel(type=standard_artifacts.HyperParameters),
            tuner_results=types.Channel(type=standard_artifacts.TunerResults),
        )
        super().__init__(spec=spec)
