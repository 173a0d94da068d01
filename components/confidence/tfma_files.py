"""Names and forms of TFMA's files, which both evaluators of ours write as TFMA does."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf

from pipelines.base import whole

METRICS_FILE, PLOTS_FILE, ATTRIBUTIONS_FILE = (
    f"{name}-00000-of-00001.tfrecord" for name in ("metrics", "plots", "attributions")
)
VALIDATIONS_FILE, CONFIG_FILE = "validations.tfrecord", "eval_config.json"

SliceKey = tuple[tuple[str, Any], ...]


def write_records(path: Path, protos: Iterable[Any]) -> None:
    """Protos as TFRecords, in a file that appears whole."""
    with whole.file(path) as aside, tf.io.TFRecordWriter(str(aside)) as writer:
        for proto in protos:
            writer.write(proto.SerializeToString())


def replace_metrics(folder: Path, protos: Iterable[Any]) -> None:
    """The records of metrics anew, in one file, whatever number of files there was."""
    write_records(folder / METRICS_FILE, protos)
    for old in folder.glob("metrics-*"):
        if old.name != METRICS_FILE:
            old.unlink()


def slice_name(key: SliceKey) -> str:
    """'' for all rows, else 'country = de, hour = 3'; numbers as the dashboards write them."""
    return ", ".join(
        f"{column} = {value:g}" if isinstance(value, int | float) else f"{column} = {value}"
        for column, value in key
    )
