"""The node FunctionEvaluator: an Evaluator whose numbers come from a function of the project.

For Gaussian processes, text or agents, whose measure is no metric over rows. Inputs, outputs and artifacts are
those of TFX's Evaluator; Resolver, Pusher, lineage and dashboards need not know the difference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts, standard_component_specs

from components.function_evaluator import executor


class FunctionEvaluatorSpec(component_spec.ComponentSpec):
    """TFX's Evaluator's channels, a transform graph, and the function with what it needs."""

    PARAMETERS = {
        standard_component_specs.EXAMPLE_SPLITS_KEY: component_spec.ExecutionParameter(type=str),
        executor.FUNCTION_KEY: component_spec.ExecutionParameter(type=str),
        executor.BARS_KEY: component_spec.ExecutionParameter(type=str),
        executor.SLICES_KEY: component_spec.ExecutionParameter(type=str),
        executor.SLICE_ROWS_KEY: component_spec.ExecutionParameter(type=int, optional=True),
        executor.PARAMETERS_KEY: component_spec.ExecutionParameter(type=str),
        executor.CODE_KEY: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        standard_component_specs.EXAMPLES_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.Examples
        ),
        standard_component_specs.MODEL_KEY: component_spec.ChannelParameter(type=standard_artifacts.Model),
        standard_component_specs.BASELINE_MODEL_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.Model, optional=True
        ),
        executor.TRANSFORM_GRAPH_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.TransformGraph, optional=True
        ),
    }
    OUTPUTS = {
        standard_component_specs.EVALUATION_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.ModelEvaluation
        ),
        standard_component_specs.BLESSING_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.ModelBlessing
        ),
    }
    TYPE_ANNOTATION = standard_component_specs.EvaluatorSpec.TYPE_ANNOTATION


class FunctionEvaluator(base_beam_component.BaseBeamComponent):
    """`outputs["evaluation"]` is readable by TFMA, `outputs["blessing"]` by the Pusher. Its id is `Evaluator`."""

    SPEC_CLASS = FunctionEvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        function: str,
        code: str,
        bars: Sequence[Mapping[str, Any]],
        slices: Sequence[Sequence[str]] = (),
        slice_rows: int = 0,
        example_splits: Sequence[str] = ("eval",),
        baseline_model: types.BaseChannel | None = None,
        transform_graph: types.BaseChannel | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        """The function is `(Given) -> {slice: {metric: value}}` or gives a Sampled, see measuring.Measure.

        Args:
          examples: raw examples; the function may read every split, and measures on `example_splits`.
          model: the candidate. baseline_model: the last blessed model, measured on the same data.
          function: import path of the function. code: digest of its code; an edit reruns the node.
          bars: dicts with `metric`, `at_least` or `at_most`, `max_loss` and `sure` (dataclasses.asdict of a Bar).
          slices: features that the function's slices are made of, for the record; slices with an `example_count` of
            `slice_rows` or more are judged, none with 0.
          transform_graph: for functions that need the vocabularies or the preprocessing.
          parameters: the run's hyper-parameters, for the function.
        """
        spec = FunctionEvaluatorSpec(
            examples=examples,
            model=model,
            baseline_model=baseline_model,
            transform_graph=transform_graph,
            example_splits=json.dumps(list(example_splits)),
            function=function,
            bars=json.dumps([dict(bar) for bar in bars], sort_keys=True),
            slices=json.dumps([list(keys) for keys in slices]),
            slice_rows=slice_rows or None,
            parameters=json.dumps(dict(parameters or {}), sort_keys=True),
            code=code,
            evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
            blessing=types.Channel(type=standard_artifacts.ModelBlessing),
        )
        super().__init__(spec=spec)
        self._id = "Evaluator"
