"""The node ReportGen: calls a project's `report(context)`, which draws pictures of a trained model and its data.

Its output is a `Report` artifact: a folder with the pictures and an index.html that shows them. It judges
nothing and blocks nothing: that is the Evaluator's work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import artifact, component_spec, standard_artifacts

from components.report_gen import executor


class Report(artifact.Artifact):
    """A folder with index.html and pictures. Custom properties: `title`, `pictures` (JSON list of names)."""

    TYPE_NAME = "Report"


class ReportGenSpec(component_spec.ComponentSpec):
    """What there is to draw from; only the examples and the model are always there."""

    PARAMETERS = {
        executor.REPORT_FN_KEY: component_spec.ExecutionParameter(type=str),
        executor.CUSTOM_CONFIG_KEY: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        executor.MODEL_KEY: component_spec.ChannelParameter(type=standard_artifacts.Model),
        executor.EXAMPLES_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.TRANSFORM_GRAPH_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.TransformGraph, optional=True
        ),
        executor.EVALUATION_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.ModelEvaluation, optional=True
        ),
        executor.MODEL_RUN_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.ModelRun, optional=True
        ),
        executor.TUNER_RESULTS_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.TunerResults, optional=True
        ),
    }
    OUTPUTS = {executor.REPORT_KEY: component_spec.ChannelParameter(type=Report)}


class ReportGen(base_component.BaseComponent):
    """`outputs["report"]` is a Report. The node's default id is `ReportGen`."""

    SPEC_CLASS = ReportGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        report_fn: str,
        model: types.BaseChannel,
        examples: types.BaseChannel,
        transform_graph: types.BaseChannel | None = None,
        evaluation: types.BaseChannel | None = None,
        model_run: types.BaseChannel | None = None,
        tuner_results: types.BaseChannel | None = None,
        custom_config: Mapping[str, Any] | None = None,
    ) -> None:
        """A report of `model` on `examples`.

        Args:
          report_fn: import path of a function that takes a `components.report_gen.context.ReportContext`.
          model, examples, transform_graph, evaluation, model_run: the Trainer's, the ExampleGen's (raw rows),
            the Transform's and the Evaluator's outputs; the function finds them in its context.
          tuner_results: the Tuner's; its picture is shown beside the function's.
          custom_config: JSON-able; `parameters` in it become `context.parameters`, and a digest of the
            function's code in it makes an edit rerun the node.
        """
        spec = ReportGenSpec(
            report_fn=report_fn,
            custom_config=json.dumps(dict(custom_config or {}), sort_keys=True),
            model=model,
            examples=examples,
            transform_graph=transform_graph,
            evaluation=evaluation,
            model_run=model_run,
            tuner_results=tuner_results,
            report=types.Channel(type=Report),
        )
        super().__init__(spec=spec)
