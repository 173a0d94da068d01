"""The node SqlExampleGen: tf.Examples from the rows of a query, whose pointer is the raw data of the run.

Spans and cache are those of TFX's file-based ExampleGens: the pointer (bridges.warehouse.pointer) is the file, and
holds the query, the number of its rows and their digest. Splits are made as ArrowExampleGen makes them, so a row goes
to the same split whether it comes from a file or from a table.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from tfx import types
from tfx.components.example_gen import utils
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.orchestration import data_types
from tfx.proto import example_gen_pb2, range_config_pb2
from tfx.types import component_spec, standard_artifacts, standard_component_specs

from components.arrow_example_gen import driver
from components.sql_example_gen import executor


class SqlExampleGenSpec(component_spec.ComponentSpec):
    """FileBasedExampleGen's parameters, how to read, and the path of a schema."""

    PARAMETERS = {
        **standard_component_specs.FileBasedExampleGenSpec.PARAMETERS,
        executor.OPTIONS_KEY: component_spec.ExecutionParameter(type=str),
        executor.SCHEMA_PATH_KEY: component_spec.ExecutionParameter(type=str, optional=True),
    }
    INPUTS: dict[str, component_spec.ChannelParameter] = {}
    OUTPUTS = standard_component_specs.FileBasedExampleGenSpec.OUTPUTS


class SqlExampleGen(base_beam_component.BaseBeamComponent):
    """`outputs["examples"]`: Examples artifact, gz TFRecords, with `num_rows` and `num_rows_<split>`."""

    SPEC_CLASS = SqlExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = driver.Driver

    def __init__(
        self,
        input_base: str,
        input_config: example_gen_pb2.Input | None = None,
        output_config: example_gen_pb2.Output | None = None,
        range_config: range_config_pb2.RangeConfig | None = None,
        split_key: str = "",
        split_time: str = "",
        columns: Sequence[str] | None = None,
        label: str = "",
        schema_path: str | data_types.RuntimeParameter | None = None,
        parts: int = executor.DEFAULT_PARTS,
        readers: int = executor.DEFAULT_READERS,
        gzip_level: int = 1,
    ) -> None:
        """The arguments, but those of TFX:

        split_key: column whose rows of equal value never straddle splits; a query that is no whole table is read in
          parts of its values. The pointer's own goes before it.
        split_time: column of times, the latest of which go to the last split (see ArrowExampleGen).
        columns: those of the query to write, in this order; default all.
        label: column that no row may lack.
        schema_path: a TFMD schema.pbtxt, which fixes the columns' types and demands columns.
        parts, readers: how many pieces the query is cut into, and how many of them are read at a time.
        """
        input_config = input_config or utils.make_default_input_config()
        if split_key and split_time:
            raise ValueError(f"split_key={split_key!r} and split_time={split_time!r}: expected one")
        options = {
            "parts": parts,
            "readers": readers,
            "gzip_level": gzip_level,
            "split_key": split_key,
            "split_time": split_time,
            "columns": list(columns or ()),
            "label": label,
        }
        spec = SqlExampleGenSpec(
            input_base=input_base,
            input_config=input_config,
            output_config=output_config or utils.make_default_output_config(input_config),
            range_config=range_config,
            output_data_format=example_gen_pb2.FORMAT_TF_EXAMPLE,
            output_file_format=example_gen_pb2.FORMAT_TFRECORDS_GZIP,
            options=json.dumps(options, sort_keys=True),
            schema_path=schema_path,
            examples=types.Channel(type=standard_artifacts.Examples),
        )
        super().__init__(spec=spec)
