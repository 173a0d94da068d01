"""The node FunctionExampleGen: rows and their splits come from a function of the project.

For data whose rows are not lines of a table (a book), whose file names mean something (one table per stock), or
whose splits follow time rather than a hash. Spans, versions, patterns, cache and the Examples artifact are those
of TFX's file-based ExampleGens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tfx import types
from tfx.components.example_gen import utils
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.proto import example_gen_pb2, range_config_pb2
from tfx.types import component_spec, standard_artifacts, standard_component_specs

from components import example_gen_driver
from components.function_example_gen import executor


class FunctionExampleGenSpec(component_spec.ComponentSpec):
    """FileBasedExampleGen's parameters, the function, its options and the digest of its code."""

    PARAMETERS = {
        **standard_component_specs.FileBasedExampleGenSpec.PARAMETERS,
        executor.FUNCTION_KEY: component_spec.ExecutionParameter(type=str),
        executor.OPTIONS_KEY: component_spec.ExecutionParameter(type=str),
        executor.CODE_KEY: component_spec.ExecutionParameter(type=str),
    }
    INPUTS: dict[str, component_spec.ChannelParameter] = {}
    OUTPUTS = standard_component_specs.FileBasedExampleGenSpec.OUTPUTS


class FunctionExampleGen(base_beam_component.BaseBeamComponent):
    """`outputs["examples"]`: Examples artifact, gz TFRecords in the order of the function's rows."""

    SPEC_CLASS = FunctionExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = example_gen_driver.Driver

    def __init__(
        self,
        input_base: str,
        function: str,
        code: str,
        input_config: example_gen_pb2.Input | None = None,
        splits: Sequence[str] = ("train", "eval"),
        range_config: range_config_pb2.RangeConfig | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """The function is `(files, options) -> iterable of (split, row)`, see executor.ReadRows.

        Args:
          input_base: folder that the patterns of `input_config` start from, or one file.
          function: import path of the function.
          code: digest of the function's code; an edit of it reruns the node.
          input_config: one or more patterns; {SPAN} and {VERSION} as in TFX. Default `*`.
          splits: every split the function may name; each must get a row.
          range_config: which span to take; default the latest.
          options: passed to the function, as JSON in between.
        """
        input_config = input_config or utils.make_default_input_config()
        named = [example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=1) for name in splits]
        spec = FunctionExampleGenSpec(
            input_base=input_base,
            input_config=input_config,
            output_config=example_gen_pb2.Output(split_config=example_gen_pb2.SplitConfig(splits=named)),
            range_config=range_config,
            output_data_format=example_gen_pb2.FORMAT_TF_EXAMPLE,
            output_file_format=example_gen_pb2.FORMAT_TFRECORDS_GZIP,
            function=function,
            options=json.dumps(dict(options or {}), sort_keys=True),
            code=code,
            examples=types.Channel(type=standard_artifacts.Examples),
        )
        super().__init__(spec=spec)
