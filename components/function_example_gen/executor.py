"""The work of FunctionExampleGen: calls the project's function on the files, writes what it yields.

Rows are written in the order in which they come, one gz TFRecord per split, in one process: it is meant for
files that a function reads whole, as a book or a table per stock, not for gigabytes.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils, standard_component_specs

from components import progress
from components.arrow_example_gen.executor import describe, parse_configs

FUNCTION_KEY = "function"
OPTIONS_KEY = "options"
CODE_KEY = "code"
Row = Mapping[str, Any]
# (files, options) -> (split, row), ...; a row's values are str, bytes, int, float or lists of one of them.
ReadRows = Callable[[Sequence[Path], Mapping[str, Any]], Iterable[tuple[str, Row]]]


class RowError(Exception):
    """The project's function yielded something that cannot be written; the text names row and feature."""


class Executor(base_executor.BaseExecutor):
    """Idempotent: files are written aside and renamed when all rows are through."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises RowError for an unknown split or value, or a split without a row; and what the function raises."""
        inputs, outputs = parse_configs(exec_properties)
        names = [split.name for split in outputs.split_config.splits]
        base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
        paths = find(base, [split.pattern for split in inputs.splits])
        read_rows: ReadRows = import_function(exec_properties[FUNCTION_KEY])
        options = json.loads(exec_properties.get(OPTIONS_KEY) or "{}")
        artifact = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        rows = write_splits(read_rows(paths, options), names, artifact.uri)
        describe(
            artifact,
            names,
            [rows[name] for name in names],
            sum(p.stat().st_size for p in paths),
            exec_properties,
        )


def find(base: str, patterns: Sequence[str]) -> list[Path]:
    """The files below `base` that match a pattern, sorted; hidden files are passed over. RowError if there is none."""
    matches = {path for pattern in patterns for path in Path(base).glob(pattern)}
    found = sorted(p for p in matches if p.is_file() and p.name[0] not in "._")
    if not found:
        raise RowError(f"No file matches {list(patterns)} in {base!r}; check --data, or make the data first.")
    return found


def import_function(path: str) -> Callable[..., Any]:
    """The function `package.module.name`. Raises ImportError with the path if there is none."""
    module, _, name = path.rpartition(".")
    function = getattr(importlib.import_module(module), name, None) if module else None
    if not callable(function):
        raise ImportError(
            f"{path!r} is no function; expected an import path like 'pipelines.p.data.read_rows'."
        )
    return function


def write_splits(rows: Iterable[tuple[str, Row]], names: Sequence[str], uri: str) -> dict[str, int]:
    """Writes rows to `uri`/Split-<name>/data_tfrecord-00000-of-00001.gz; returns the number of rows per split."""
    counts = dict.fromkeys(names, 0)
    with _writers(names, uri) as writers:
        for number, (split, row) in enumerate(rows):
            if split not in writers:
                raise RowError(f"Row {number} goes to split {split!r}; the node has {sorted(writers)}.")
            writers[split].write(encode(row, number))
            counts[split] += 1
            if number % 256 == 0:
                progress.report(number, None, "rows")
        empty = [name for name, count in counts.items() if not count]
        if empty:
            raise RowError(f"No row for split {empty[0]!r}; rows per split: {counts}. Give it more data.")
    return counts


@contextlib.contextmanager
def _writers(names: Sequence[str], uri: str) -> Iterator[dict[str, Any]]:
    import tensorflow as tf

    options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)
    targets = {name: Path(uri) / f"Split-{name}" / "data_tfrecord-00000-of-00001.gz" for name in names}
    asides = {}
    for name, target in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        asides[name] = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with contextlib.ExitStack() as stack:
            yield {n: stack.enter_context(tf.io.TFRecordWriter(str(p), options)) for n, p in asides.items()}
        for name, target in targets.items():
            os.replace(asides[name], target)
    finally:
        for aside in asides.values():
            aside.unlink(missing_ok=True)


def encode(row: Row, number: int = 0) -> bytes:
    """A row as a serialized tf.Example: text and bytes as bytes, whole numbers as int64, others as float32."""
    import tensorflow as tf

    features = {}
    for key, value in row.items():
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if all(isinstance(v, (str, bytes)) for v in values):
            texts = [v.encode("utf-8") if isinstance(v, str) else v for v in values]
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
