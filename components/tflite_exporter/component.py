"""The node TFLiteExporter: a SavedModel's signature as TensorFlow Lite, in float and in 8-bit integers.

Both are run on the evaluation split beside the original; the node fails if they are not as good, or the
integers not small. It deploys nothing: the files stay in the artifact.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import artifact, component_spec, standard_artifacts

from components.tflite_exporter import executor
from components.tflite_exporter.parity import Limits


class TFLiteModel(artifact.Artifact):
    """A folder with float.tflite, int8.tflite and parity.json; parity.json's figures are custom properties."""

    TYPE_NAME = "TFLiteModel"


class TFLiteExporterSpec(component_spec.ComponentSpec):
    """The model, the examples to calibrate and to compare with, and what to compare."""

    PARAMETERS = {
        executor.INPUTS_FN_KEY: component_spec.ExecutionParameter(type=str),
        executor.OPTIONS_KEY: component_spec.ExecutionParameter(type=str),
        executor.CUSTOM_CONFIG_KEY: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        executor.MODEL_KEY: component_spec.ChannelParameter(type=standard_artifacts.Model),
        executor.EXAMPLES_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.BLESSING_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.ModelBlessing, optional=True
        ),
    }
    OUTPUTS = {executor.TFLITE_KEY: component_spec.ChannelParameter(type=TFLiteModel)}


class TFLiteExporter(base_component.BaseComponent):
    """`outputs["tflite_model"]` is a TFLiteModel. The node's default id is `TFLiteExporter`."""

    SPEC_CLASS = TFLiteExporterSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        examples: types.BaseChannel,
        inputs_fn: str,
        output: str,
        model_blessing: types.BaseChannel | None = None,
        signature: str = "serving_default",
        calibration_split: str = "train",
        calibration_rows: int = 300,
        evaluation_split: str = "eval",
        evaluation_rows: int = 5_000,
        integer_inputs: str = "int8",
        limits: Limits | None = None,
        custom_config: Mapping[str, Any] | None = None,
    ) -> None:
        """Exports `signature` of `model`.

        Args:
          inputs_fn: import path of `(serialized tf.Examples [n]) -> (inputs, labels)`: a dict of float32
            arrays [n, ...] as the signature takes them, and int labels [n].
          output: the output that holds class probabilities or scores [n, classes].
          model_blessing: if given, a model that was not blessed is not exported (the artifact says so).
          calibration_split, calibration_rows: rows from which the ranges of the integers are taken.
          evaluation_split, evaluation_rows: rows on which the three models are compared.
          integer_inputs: "int8", "uint8" (bytes such as pixels go in unchanged) or "float32".
          limits: what parity means; the default is Limits().
          custom_config: part of the cache key, for a digest of inputs_fn's code.

        Raises:
          ValueError: `integer_inputs` is none of the three.
        """
        if integer_inputs not in executor.INTEGER_INPUTS:
            raise ValueError(f"integer_inputs={integer_inputs!r}: expected one of {executor.INTEGER_INPUTS}")
        options = executor.Options(
            output,
            signature,
            calibration_split,
            calibration_rows,
            evaluation_split,
            evaluation_rows,
            integer_inputs,
            limits or Limits(),
        )
        spec = TFLiteExporterSpec(
            inputs_fn=inputs_fn,
            options=options.to_json(),
            custom_config=json.dumps(dict(custom_config or {}), sort_keys=True),
            model=model,
            examples=examples,
            model_blessing=model_blessing,
            tflite_model=types.Channel(type=TFLiteModel),
        )
        super().__init__(spec=spec)
