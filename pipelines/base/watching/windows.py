"""Request logs as windows: so many rows in a row that one version answered, each with what it stands for.

Files are read once; rows that do not yet make a window are kept for the next look. What was read and what is kept are
named by one file (state.py), so a process that is killed between two writes reads nothing twice and loses nothing.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.base import whole

logger = logging.getLogger(__name__)

# Of log files in one look, so that one after a long pause ends.
MOST_FILES = 100
_HEAD = struct.Struct("<qd")
Hear = Callable[[bytes, Any, int, float], None]


class Row(NamedTuple):
    """version: that answered it. weight: requests it stands for, 1 / sampling rate. example: serialized."""

    version: int
    weight: float
    example: bytes


@dataclass(frozen=True)
class Window:
    """`rows` of one version in the order they were logged; `until`: when their last file ended, Unix seconds."""

    version: int
    rows: tuple[Row, ...]
    until: float


class Read(NamedTuple):
    """What a look found: whole windows, rows that wait, and the names of all files that have been read."""

    windows: list[Window]
    waiting: list[Row]
    done: list[str]


def read(
    logs: Path, model: str, done: list[str], waiting: list[Row], size: int, hear: Hear | None = None
) -> Read:
    """The windows of `size` rows in the log files of `model` that are not among `done`, after the rows in `waiting`.

    hear(record, PredictionLog, version, when its file ended): is told of every request on the way.
    """
    from serving.client.log_files import log_files

    files = log_files(logs, model)
    there = {file.path.name for file in files}
    fresh = [file for file in files if file.path.name not in set(done)][:MOST_FILES]
    by_version: dict[int, list[Row]] = {}
    for row in waiting:
        by_version.setdefault(row.version, []).append(row)
    windows = []
    for file in fresh:
        for row in rows_of(file.path, _at(hear, file.ended)):
            kept = by_version.setdefault(row.version, [])
            kept.append(row)
            if len(kept) == size:
                windows.append(Window(row.version, tuple(kept), file.ended))
                kept.clear()
    read_names = [name for name in done if name in there] + [file.path.name for file in fresh]
    return Read(windows, [row for rows in by_version.values() for row in rows], read_names)


def _at(hear: Hear | None, ended: float) -> Callable[[bytes, Any, int], None]:
    def heard(record: bytes, log: Any, version: int) -> None:
        if hear is not None:
            hear(record, log, version, ended)

    return heard


def rows_of(file: Path, heard: Callable[[bytes, Any, int], None] | None = None) -> Iterator[Row]:
    """The rows of a log file's requests; what is damaged in it is passed over with a word."""
    from serving.client import request_logs
    from serving.wire import protos

    try:
        for record in request_logs.records(file):
            log = protos.prediction_log_pb2.PredictionLog.FromString(record)
            weight = 1 / (log.log_metadata.sampling_config.sampling_rate or 1.0)
            version = _version(log)
            if heard is not None:
                heard(record, log, version)
            for example in request_logs.examples(log):
                yield Row(version, weight, example)
    except (OSError, ValueError) as error:
        logger.warning("%s is read no further: %s", file, error)


def _version(log: Any) -> int:
    """That answered: a request need not name one."""
    part = getattr(log, log.WhichOneof("log_type") or "predict_log")
    # Of a MultiInference all tasks were answered by one version.
    results = list(getattr(part.response, "results", ()))
    for message in (part.response, *results, part.request):
        spec = getattr(message, "model_spec", None)
        if spec is not None and spec.HasField("version"):
            return int(spec.version.value)
    return int(log.log_metadata.model_spec.version.value)


def keep(file: Path, rows: list[Row]) -> None:
    """Writes rows that wait."""
    from serving.telemetry.request_log import frame

    whole.write(file, b"".join(frame(_HEAD.pack(row.version, row.weight) + row.example) for row in rows))


def kept(file: Path) -> list[Row]:
    """What `keep` wrote; [] where that is gone or damaged, which costs a part of a window."""
    from serving.client import request_logs

    found = []
    try:
        for record in request_logs.records(file):
            version, weight = _HEAD.unpack_from(record)
            found.append(Row(version, weight, record[_HEAD.size :]))
    except (OSError, ValueError, struct.error):
        return []
    return found
