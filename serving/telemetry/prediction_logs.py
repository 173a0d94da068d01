"""Request logs of all models: which model logs where and how often, and what a PredictionLog holds.

The writing is `serving.telemetry.request_log`'s. Here requests and responses (twins, originals or arrays) become
PredictionLog bytes, on the logger's thread and only for requests that were drawn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.telemetry.request_log import RequestLogger
from serving.wire import feedback, messages, model_spec, protos, tensors
from serving.wire.arrays import Array

logger = logging.getLogger(__name__)

_FIELDS = {
    "Predict": "predict_log",
    "Classify": "classify_log",
    "Regress": "regress_log",
    "MultiInference": "multi_inference_log",
}


@dataclass(frozen=True)
class LogOptions:
    """The flags' values; `directory` None: only models with a logging_config of their own are logged."""

    directory: str | None = None
    rate: float = 0.01
    max_bytes: int = 64 * 2**20
    max_age_s: float = 3600.0
    queue_size: int = 1000


def predict_request(name: str, version: int, signature: str, inputs: Mapping[str, Array]) -> Any:
    """The messages.PredictRequest that a REST call amounts to."""
    request = messages.PredictRequest()
    request.model_spec = model_spec.written(model_spec.Spec(name, version, None, signature))
    for alias, array in inputs.items():
        tensors.encode(array, request.inputs.add(key=alias).value)
    return request


def prediction_log(rpc: str, request: Any, response: Any, rate: float, request_id: str = "") -> bytes:
    """The serialized PredictionLog of one call, and behind it the id that its answer bore."""
    log = protos.prediction_log_pb2.PredictionLog()
    part = getattr(log, _FIELDS[rpc])
    part.request.MergeFromString(request.SerializeToString())
    part.response.MergeFromString(response.SerializeToString())
    spec = part.request.tasks[0].model_spec if rpc == "MultiInference" else part.request.model_spec
    log.log_metadata.model_spec.CopyFrom(spec)
    log.log_metadata.sampling_config.sampling_rate = rate
    data: bytes = log.SerializeToString() + feedback.LogId(request_id=request_id).SerializeToString()
    return data


class PredictionLogs:
    """One logger per logged model; follows the configuration. Thread-safe for `log`."""

    def __init__(
        self, options: LogOptions, count: Callable[[str, str, int], None] = lambda m, s, n: None
    ) -> None:
        self._options = options
        self._count = count
        self._loggers: dict[str, tuple[tuple[str, float], RequestLogger]] = {}

    def configure(self, config: Any) -> None:
        """Starts and stops loggers so that they match a ModelServerConfig."""
        wanted: dict[str, tuple[str, float]] = {}
        for model in config.model_config_list.config:
            if model.HasField("logging_config"):
                prefix = model.logging_config.log_collector_config.filename_prefix
                folder = prefix if prefix.endswith("/") else str(Path(prefix).parent)
                wanted[model.name] = (folder, model.logging_config.sampling_config.sampling_rate)
            elif self._options.directory is not None:
                wanted[model.name] = (self._options.directory, self._options.rate)
        old = self._loggers
        kept = {name: entry for name, entry in old.items() if wanted.get(name) == entry[0]}
        for name, (folder, rate) in wanted.items():
            if name not in kept:
                try:
                    kept[name] = ((folder, rate), self._logger(name, folder, rate))
                except (OSError, ValueError) as error:
                    logger.error("Requests to %s are not logged: %s", name, error)
        self._loggers = kept
        for name, entry in old.items():
            if kept.get(name) is not entry:
                entry[1].close()

    def _logger(self, name: str, folder: str, rate: float) -> RequestLogger:
        options = self._options
        return RequestLogger(
            name,
            folder,
            rate,
            options.max_bytes,
            options.max_age_s,
            options.queue_size,
            on_outcome=lambda status, records: self._count(name, status, records),
        )

    def __bool__(self) -> bool:
        return bool(self._loggers)

    def log(
        self,
        name: str,
        rpc: str,
        request: Callable[[], Any],
        response: Callable[[], Any],
        request_id: str = "",
    ) -> None:
        """Offers one call to its model's logger; never waits. The callables run later, on its thread."""
        entry = self._loggers.get(name)
        if entry is None:
            return
        (_, rate), target = entry
        target.log(lambda: prediction_log(rpc, request(), response(), rate, request_id))

    def close(self) -> None:
        for _, target in self._loggers.values():
            target.close()
        self._loggers = {}
