"""The node ArrowExampleGen: a drop-in for CsvExampleGen that also reads Parquet and .gz, and costs far less.

Same inputs, configs, span and version patterns, cache behaviour and Examples artifact as TFX's
FileBasedExampleGen. Which row goes to which split differs row by row from CsvExampleGen (another hash), not
in proportion.
"""

from __future__ import annotations

from collections.abc import Sequence

from tfx import types
from tfx.components.example_gen import utils
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.orchestration import data_types
from tfx.proto import example_gen_pb2, range_config_pb2
from tfx.types import component_spec, standard_artifacts, standard_component_specs

from components.arrow_example_gen import driver, executor
from components.arrow_example_gen.options import DEFAULT_PIECE_BYTES, Options
from pipelines.base.csv_reading import UTF_8


class ArrowExampleGenSpec(component_spec.ComponentSpec):
    """FileBasedExampleGen's parameters, the reader's options, and an optional schema."""

    PARAMETERS = {
        **standard_component_specs.FileBasedExampleGenSpec.PARAMETERS,
        executor.OPTIONS_KEY: component_spec.ExecutionParameter(type=str, optional=True),
        executor.SCHEMA_PATH_KEY: component_spec.ExecutionParameter(type=str, optional=True),
    }
    INPUTS = {
        executor.SCHEMA_KEY: component_spec.ChannelParameter(type=standard_artifacts.Schema, optional=True),
    }
    OUTPUTS = standard_component_specs.FileBasedExampleGenSpec.OUTPUTS


class ArrowExampleGen(base_beam_component.BaseBeamComponent):
    """Reads CSV and Parquet files, plain or .gz, into train and eval (or your) splits of tf.Examples.

    `outputs["examples"]`: Examples artifact, gz TFRecords, with custom properties `num_rows`,
    `num_rows_<split>`, `num_input_bytes` and `warnings` (a JSON list of sentences) besides TFX's own. The
    node's default id is `ArrowExampleGen`.

    Everything but `input_base` has the meaning it has in TFX, or a default.

    Args:
      input_base: folder that the patterns of `input_config` start from (default pattern `*`), or one
        file.
      input_config: input splits; patterns may hold {SPAN}, {YYYY}-{MM}-{DD} and {VERSION}.
      output_config: hash buckets per split; default train 2, eval 1. `partition_feature_name` =
        `split_key`.
      range_config: which span to take; default the latest.
      split_key: column (integers or text) whose rows of equal value never straddle splits.
      split_time: column (dates, times or numbers, in every row) by which the rows are split, the latest into the
        last split; rows of one moment stay together. It is read once more for that, by this process.
      columns: columns to write, in this order; default all.
      schema_path: a TFMD schema.pbtxt. It fixes the columns' types (otherwise inferred over the whole
        input, by CsvExampleGen's rules), a missing column or a text in a number column is refused, and
        one pass is saved.
      schema: the same as a channel, e.g. of ImportSchemaGen. It goes before `schema_path`.
      delimiter: one character; default `,`, or a tab for .tsv.
      column_names: names of the columns of CSV files without a header line.
      quoting: whether `"` quotes values.
      gzip_level: 0 to 9; 1 costs a quarter of 6 and makes files about a fifth larger.
      piece_bytes: raw bytes per Beam element and shard. batch_rows: rows encoded at a time.
      null_values: words of CSV files that mean a missing value besides an empty cell, as ["NA", "?"].
      decimal: `.` or `,`, in numbers of CSV files. thousands: what groups their digits, as `,` in '1,234'.
      encoding: of CSV files, as Python names it; other than UTF-8 a file is read by one worker.
      label: column that every row must have a value of; rows without one are refused with their lines.
      custom_config: passed through; not read here, but part of the cache key.
    """

    SPEC_CLASS = ArrowExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = driver.Driver

    def __init__(
        self,
        input_base: str | data_types.RuntimeParameter,
        input_config: example_gen_pb2.Input | data_types.RuntimeParameter | None = None,
        output_config: example_gen_pb2.Output | data_types.RuntimeParameter | None = None,
        range_config: range_config_pb2.RangeConfig | data_types.RuntimeParameter | None = None,
        split_key: str | None = None,
        columns: Sequence[str] | None = None,
        schema_path: str | data_types.RuntimeParameter | None = None,
        schema: types.BaseChannel | None = None,
        delimiter: str | None = None,
        column_names: Sequence[str] | None = None,
        quoting: bool = True,
        gzip_level: int = 1,
        piece_bytes: int = DEFAULT_PIECE_BYTES,
        batch_rows: int = 8192,
        null_values: Sequence[str] = (),
        decimal: str = ".",
        thousands: str = "",
        encoding: str = UTF_8,
        label: str = "",
        split_time: str | None = None,
        custom_config: example_gen_pb2.CustomConfig | None = None,
    ) -> None:
        """The arguments are the class's. Raises ValueError for an option out of its range."""
        options = Options(
            columns=tuple(columns) if columns is not None and not isinstance(columns, str) else columns,  # type: ignore[arg-type]
            split_key=split_key,
            delimiter=delimiter,
            column_names=column_names,  # type: ignore[arg-type]
            quoting=quoting,
            gzip_level=gzip_level,
            piece_bytes=piece_bytes,
            batch_rows=batch_rows,
            null_values=null_values,  # type: ignore[arg-type]
            decimal=decimal,
            thousands=thousands,
            encoding=encoding,
            label=label,
            split_time=split_time,
        )
        input_config = input_config or utils.make_default_input_config()
        output_config = output_config or utils.make_default_output_config(input_config)
        spec = ArrowExampleGenSpec(
            input_base=input_base,
            input_config=input_config,
            output_config=output_config,
            range_config=range_config,
            output_data_format=example_gen_pb2.FORMAT_TF_EXAMPLE,
            output_file_format=example_gen_pb2.FORMAT_TFRECORDS_GZIP,
            custom_config=custom_config,
            options=options.to_json(),
            schema_path=schema_path,
            schema=schema,
            examples=types.Channel(type=standard_artifacts.Examples),
        )
        super().__init__(spec=spec)
