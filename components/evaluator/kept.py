"""Rows that a Beam run kept beside its evaluation, so that it gets the same intervals and verdicts as one in process.

Beam asks the models and measures; a row's label, predictions and slices are all that resampling needs, and they fit one
machine where the examples do not. They are written as Parquet by the run itself and removed in the end.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma
from absl import logging
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.slicer import slicer_lib
from tfx.dsl.io import fileio

from components.confidence import judging, tfma_files
from components.confidence.judging import Terms
from components.confidence.tfma_files import SliceKey
from components.evaluator.measuring import computing, uncertainty
from components.evaluator.measuring.rows import NotProven, Rows
from components.evaluator.measuring.slicing import Slices

# Where the pipeline that is being built keeps its rows: TFX calls our extractors with arguments of its own, and loads
# their module anew for it, so that it is held here.
ROWS_FOLDER: contextvars.ContextVar[str] = contextvars.ContextVar("viaduct_rows_folder", default="")
LABEL, WEIGHT, SLICES, PREDICTION = "label", "weight", "slices", "prediction:"
NO_INTERVALS = "none: measured on Beam, {}"


@contextlib.contextmanager
def folder(uri: str) -> Iterator[str]:
    """A folder beside the evaluation for the rows of one run; gone at the end, with those of killed runs before."""
    if fileio.exists(uri):
        for name in fileio.listdir(uri):
            if name.startswith(".rows-"):
                fileio.rmtree(os.path.join(uri, name))
    aside = os.path.join(uri, f".rows-{uuid.uuid4().hex}")
    fileio.makedirs(aside)
    try:
        yield aside
    finally:
        fileio.rmtree(aside)


def judge(uri: Path, rows_folder: str, terms: Terms, config: config_pb2.EvalConfig) -> bool:
    """Adds intervals and verdicts to what TFMA wrote to `uri`; whether the model is blessed."""
    metrics = _metrics(uri)
    try:
        rows = read(rows_folder, config)
        measured = computing.measure(rows, config, known_only=True)
        found, plan = uncertainty.uncertainty(rows, measured)
    except NotProven as reason:
        logging.warning("No intervals: %s", reason)
        return judging.judge(uri, terms, config, metrics, {}, NO_INTERVALS.format(reason))
    _undefined(uri, metrics, measured.slices)
    return judging.judge(uri, terms, config, metrics, found, plan.words, measured.problems)


def _metrics(uri: Path) -> dict[SliceKey, dict[metric_types.MetricKey, float]]:
    """What TFMA measured, the whole split first; numbers only."""
    found = {}
    for one in tfma.load_metrics(str(uri)):
        found[slicer_lib.deserialize_slice_key(one.slice_key)] = {
            metric_types.MetricKey.from_proto(pair.key): pair.value.double_value.value
            for pair in one.metric_keys_and_values
            if pair.value.HasField("double_value")
        }
    return dict(sorted(found.items(), key=lambda item: (len(item[0]), str(item[0]))))


def _undefined(
    uri: Path,
    metrics: dict[SliceKey, dict[metric_types.MetricKey, float]],
    measured: Mapping[SliceKey, Mapping[metric_types.MetricKey, Any]],
) -> None:
    """Areas of slices with one class, which TFMA sums to 0, become NaN, in `metrics` and in the file."""
    undefined: dict[bytes, set[bytes]] = {}
    for key, values in metrics.items():
        for metric in values:
            known = measured.get(key, {}).get(metric)
            if isinstance(known, float) and math.isnan(known):
                values[metric] = math.nan
                place = slicer_lib.serialize_slice_key(key).SerializeToString(deterministic=True)
                undefined.setdefault(place, set()).add(
                    metric.to_proto().SerializeToString(deterministic=True)
                )
    if not undefined:
        return
    records = list(tfma.load_metrics(str(uri)))
    for one in records:
        for pair in one.metric_keys_and_values:
            wrong = undefined.get(one.slice_key.SerializeToString(deterministic=True), ())
            if pair.key.SerializeToString(deterministic=True) in wrong:
                pair.value.double_value.value = math.nan
    tfma_files.replace_metrics(uri, records)


def read(rows_folder: str, config: config_pb2.EvalConfig) -> Rows:
    """The kept rows of all workers. Raises NotProven where there are none, or they have different shapes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted(fileio.glob(os.path.join(rows_folder, "*.parquet")))
    tables = []
    for file in files:
        with fileio.open(file, "rb") as opened:
            tables.append(pq.read_table(pa.BufferReader(opened.read())))
    table = pa.concat_tables(tables) if tables else None
    if table is None or not table.num_rows:
        raise NotProven("its rows are of a form that is not resampled")
    names = [spec.name for spec in config.model_specs] if len(config.model_specs) > 1 else [""]
    weighted = any(spec.example_weight_key for spec in config.model_specs)
    return Rows(
        _matrix(table.column(LABEL)),
        {name: _matrix(table.column(f"{PREDICTION}{name}")) for name in names},
        _slices(table.column(SLICES)),
        np.asarray(table.column(WEIGHT)) if weighted else None,
    )


def _matrix(column: Any) -> np.ndarray:
    column = column.combine_chunks()
    lengths = np.diff(np.asarray(column.offsets))
    if not len(lengths) or (lengths != lengths[0]).any():
        raise NotProven("its rows have labels or predictions of different lengths")
    values = np.asarray(column.flatten()).reshape(len(column), -1)
    return values[:, 0] if values.shape[1] == 1 else values


def _slices(column: Any) -> Slices:
    """Slices of every row, from the JSON lists of their keys; each distinct list is read once."""
    encoded = column.combine_chunks().dictionary_encode()
    lists = [
        [tuple((name, value) for name, value in key) for key in json.loads(text)]
        for text in encoded.dictionary.to_pylist()
    ]
    keys = sorted(
        {key for found in lists for key in found}, key=lambda key: (len(key), [(c, str(v)) for c, v in key])
    )
    place = {key: number for number, key in enumerate(keys)}
    table = np.full((len(lists), max(map(len, lists))), -1, np.int32)
    for number, found in enumerate(lists):
        table[number, : len(found)] = sorted(place[key] for key in found)
    return Slices(keys, [np.ascontiguousarray(layer) for layer in table[np.asarray(encoded.indices)].T])
