"""The node TfjsExporter: a Keras model as a folder for browsers: model, runtime, vocabulary and page.

The folder needs no server: its index.html opens from a disk. The node deploys nothing. Its converter lives in an
environment of its own, which the first export installs (see environment.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import artifact, component_spec, standard_artifacts

from components.tfjs_exporter import executor


class TfjsModel(artifact.Artifact):
    """A folder with index.html, model.js, model/model.json and tf.min.js.

    Custom properties: `exported` (0 or 1), `files` (JSON list of names).
    """

    TYPE_NAME = "TfjsModel"


class TfjsExporterSpec(component_spec.ComponentSpec):
    """The Trainer's run folder with the Keras file, the vocabularies, and what goes beside the model."""

    PARAMETERS = {
        executor.OPTIONS_KEY: component_spec.ExecutionParameter(type=str),
        executor.ENVIRONMENT_KEY: component_spec.ExecutionParameter(type=str),
        executor.CODE_KEY: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        executor.MODEL_RUN_KEY: component_spec.ChannelParameter(type=standard_artifacts.ModelRun),
        executor.TRANSFORM_GRAPH_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.TransformGraph, optional=True
        ),
        executor.BLESSING_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.ModelBlessing, optional=True
        ),
    }
    OUTPUTS = {executor.TFJS_KEY: component_spec.ChannelParameter(type=TfjsModel)}


class TfjsExporter(base_component.BaseComponent):
    """`outputs["tfjs_model"]` is a TfjsModel. The node's default id is `TfjsExporter`."""

    SPEC_CLASS = TfjsExporterSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        model_run: types.BaseChannel,
        keras_file: str,
        page: str,
        environment: str,
        code: str,
        transform_graph: types.BaseChannel | None = None,
        model_blessing: types.BaseChannel | None = None,
        vocabularies: Mapping[str, str] | None = None,
        assets: Mapping[str, Any] | None = None,
    ) -> None:
        """Exports `keras_file`, which the Trainer's run_fn saved as HDF5 in `fn_args.model_run_dir`.

        Args:
          model_run: the Trainer's output of that name.
          page: folder of the page's files, relative to the checkout.
          environment: where the converter's environment is, or is made.
          code: digest of the page's files, so that an edit of them reruns the node.
          transform_graph, vocabularies: {name in the page: Transform's vocabulary name}.
          model_blessing: if given, a model that was not blessed is not exported.
          assets: further settings for the page, JSON-able.
        """
        options = {
            "keras_file": keras_file,
            "page": page,
            "vocabularies": dict(vocabularies or {}),
            "assets": dict(assets or {}),
        }
        spec = TfjsExporterSpec(
            options=json.dumps(options, sort_keys=True),
            environment=environment,
            code=code,
            model_run=model_run,
            transform_graph=transform_graph,
            model_blessing=model_blessing,
            tfjs_model=types.Channel(type=TfjsModel),
        )
        super().__init__(spec=spec)
