"""The work of FunctionExampleGen: calls the project's function on the files, writes what it yields.

Rows are written in the order in which they come, one gz TFRecord per split and columns beside it, in one process: it
is meant for files that a function reads whole, as a book or a table per stock, not for gigabytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import logging
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils, standard_component_specs

from components import engine, inputs, progress
from components.shards import describe, folder_aside, parse_configs
from components.split_writer import SplitsWriter
from components.user_code import import_function
from pipelines.base.errors import ViaductError

if TYPE_CHECKING:
    import pyarrow as pa

FUNCTION_KEY = "function"
OPTIONS_KEY = "options"
CODE_KEY = "code"
BATCH_ROWS, BATCH_BYTES = 4096, 16 << 20
Row = Mapping[str, Any]
# (files, options) -> (split, row), ...; a row's values are str, bytes, int, float or lists of one of them.
ReadRows = Callable[[Sequence[Path], Mapping[str, Any]], Iterable[tuple[str, Row]]]


class RowError(ViaductError):
    """The project's function yielded something that cannot be written; the text names row and feature."""


class Executor(base_beam_executor.BaseBeamExecutor):
    """Idempotent: files are written aside and renamed when all rows are through.

    Where a Beam runner is named, one of its workers does it.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises RowError for an unknown split or value, or a split without a row; and what the function raises."""
        input_config, output_config = parse_configs(exec_properties)
        names = [split.name for split in output_config.split_config.splits]
        base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
        paths = find(base, [split.pattern for split in input_config.splits])
        artifact = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        arguments = {
            "function": exec_properties[FUNCTION_KEY],
            "files": [str(path) for path in paths],
            "options": json.loads(exec_properties.get(OPTIONS_KEY) or "{}"),
            "names": names,
            "uri": artifact.uri,
        }
        choice = engine.choose(self._beam_pipeline_args)
        choice.note("FunctionExampleGen", [artifact])
        if choice.is_beam:
            with folder_aside(artifact.uri) as folder:
                rows = engine.on_worker(self._make_beam_pipeline, folder, read_and_write, **arguments)
        else:
            rows = read_and_write(**arguments)
        describe(
            artifact,
            names,
            [rows[name] for name in names],
            sum(p.stat().st_size for p in paths),
            exec_properties,
        )


def read_and_write(
    function: str, files: Sequence[str], options: Mapping[str, Any], names: Sequence[str], uri: str
) -> dict[str, int]:
    """Writes what the function of that import path yields for the files; the rows per split."""
    read_rows: ReadRows = import_function(function)
    return write_splits(read_rows([Path(file) for file in files], options), names, uri)


def find(base: str, patterns: Sequence[str]) -> list[Path]:
    """The files below `base` that match a pattern, sorted, as `inputs` tells them. RowError if there is none."""
    files = sorted({Path(path) for pattern in patterns for path in inputs.data_files(base, pattern)})
    if not files:
        raise RowError(f"No file matches {list(patterns)} in {base!r}; check --data, or make the data first.")
    return files


def write_splits(rows: Iterable[tuple[str, Row]], names: Sequence[str], uri: str) -> dict[str, int]:
    """Writes rows to `uri`/Split-<name>/data_tfrecord-00000-of-00001.gz and as columns; the rows per split."""
    with SplitsWriter(uri, names) as writer:
        waiting: dict[str, _Waiting] = {name: _Waiting() for name in names}
        for number, (split, row) in enumerate(rows):
            if split not in waiting:
                raise RowError(f"Row {number} goes to split {split!r}; the node has {sorted(waiting)}.")
            if waiting[split].add(encode(row, number)):
                waiting[split].pass_on(writer, split)
            if number % 256 == 0:
                progress.report(number, None, "rows")
        for name in names:
            waiting[name].pass_on(writer, name)
        counts = writer.rows
        empty = [name for name, count in counts.items() if not count]
        if empty:
            raise RowError(f"No row for split {empty[0]!r}; rows per split: {counts}. Give it more data.")
    return counts


class _Waiting:
    """Rows of one split until they are enough to be written."""

    def __init__(self) -> None:
        self._examples: list[bytes] = []
        self._bytes = 0

    def add(self, example: bytes) -> bool:
        """Whether there are enough now."""
        self._examples.append(example)
        self._bytes += len(example)
        return len(self._examples) == BATCH_ROWS or self._bytes > BATCH_BYTES

    def pass_on(self, writer: SplitsWriter, split: str) -> None:
        if self._examples:
            writer.write(split, decoded(self._examples), self._examples)
            self._examples, self._bytes = [], 0


def decoded(examples: Sequence[bytes]) -> pa.RecordBatch | None:
    """The rows as columns; None where a feature is whole numbers in one row and fractions or text in another."""
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    try:
        return ExamplesToRecordBatchDecoder().DecodeBatch(examples)
    except RuntimeError as error:
        # Whoever decodes the records meets the same, and can say which node cannot work with it.
        logging.warning("No columns of these rows: %s", error)
        return None


def encode(row: Row, number: int = 0) -> bytes:
    """A row as a serialized tf.Example: text and bytes as bytes, whole numbers as int64, others as float32."""
    import tensorflow as tf

    features = {}
    for key, value in row.items():
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if all(isinstance(v, (str, bytes)) for v in values):
            texts = [_bytes_of(v, key, number) for v in values]
            features[key] = tf.train.Feature(bytes_list=tf.train.BytesList(value=texts))
        elif all(isinstance(v, int) for v in values):
            features[key] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        elif all(isinstance(v, (int, float)) for v in values):
            features[key] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
        else:
            raise RowError(
                f"Row {number}: {key} is {value!r}; expected text, bytes, int, float or a list of one."
            )
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _bytes_of(value: str | bytes, key: str, number: int) -> bytes:
    try:
        return value.encode("utf-8") if isinstance(value, str) else value
    except UnicodeEncodeError as error:
        raise RowError(
            f"Row {number}: {key} is {value!r}, which is no UTF-8; expected text or bytes."
        ) from error
