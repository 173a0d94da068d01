"""Makes a version servable: loads it, replays its warm-up requests, puts batchers before its signatures.

This is the `load` function that the manager calls in its worker threads. A version that fails its warm-up
counts as one that cannot load, as in the original.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from serving.core.servable import LoadFailed, ServableId
from serving.engine import saved_model
from serving.engine.saved_model import Arrays, EngineOptions, SavedModel, Signature
from serving.errors import ServingError
from serving.execution.batcher import Batcher
from serving.execution.batching_parameters import BatchingParameters
from serving.execution.crowd import Crowd
from serving.models import warmup
from serving.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

PER_MODEL_FILE = "batching_params.pbtxt"


@dataclass
class LoadOptions:
    """What the flags say about loading."""

    engine: EngineOptions = field(default_factory=EngineOptions)
    batching: BatchingParameters | None = None
    per_model_batching: bool = False
    warmup: bool = True
    warmup_iterations: int = 1


class ModelLoader:
    """Callable as the manager wants it. `live` are the models that are in memory, for the gauges."""

    def __init__(self, options: LoadOptions, metrics: Metrics) -> None:
        self._options = options
        self._metrics = metrics
        self.live: dict[ServableId, SavedModel] = {}

    def __call__(self, id: ServableId, path: str) -> SavedModel:
        """Raises LoadFailed."""
        started = time.perf_counter()
        try:
            model = saved_model.load(path, self._options.engine)
        except LoadFailed:
            self._metrics.load_attempts.add((path, "fail"))
            raise
        self._metrics.load_attempts.add((path, "success"))
        self._metrics.load_latency.add((path,), (time.perf_counter() - started) * 1e6)
        try:
            if self._options.warmup:
                self._warm_up(id, path, model)
            parameters = self._batching(path)
            if parameters is not None:
                for name, signature in model.signatures.items():
                    model.batchers[name] = self._batcher(id, signature, parameters)
                    if parameters.run_idle_inline:
                        model.crowds[name] = Crowd()
        except BaseException:
            model.close()
            raise
        self.live[id] = model
        model.on_close = lambda: self._forget(id, model)
        return model

    def _forget(self, id: ServableId, model: SavedModel) -> None:
        if self.live.get(id) is model:
            del self.live[id]

    def _warm_up(self, id: ServableId, path: str, model: SavedModel) -> None:
        started = time.perf_counter()
        status = "OK"
        try:
            count = warmup.replay(model, id.name, path, self._options.warmup_iterations)
        except ServingError as error:
            status = error.code
            raise LoadFailed(error.code, f"Warm-up of {path} failed: {error.message}") from error
        finally:
            seconds = time.perf_counter() - started
            if warmup.has_requests(path):
                self._metrics.warmup_latency.add((path, status), seconds * 1e6)
        if count:
            logger.info("Replayed %d warm-up requests of %s in %.2f s", count, id, seconds)

    def _batching(self, path: str) -> BatchingParameters | None:
        parameters = self._options.batching
        if parameters is None or not self._options.per_model_batching:
            return parameters
        own = Path(path) / PER_MODEL_FILE
        if not own.is_file():
            return None
        try:
            return BatchingParameters.from_file(own)
        except (ServingError, ValueError, OSError) as error:
            raise LoadFailed("INVALID_ARGUMENT", f"{own}: {error}") from error

    def _batcher(self, id: ServableId, signature: Signature, parameters: BatchingParameters) -> Batcher:
        sizes, padding = self._metrics.batch_size, self._metrics.batch_padding

        def on_batch(rows: int, padded: int) -> None:
            sizes.add((id.name,), padded)
            padding.add((id.name,), padded - rows)

        run = self._timed(id.name, signature)
        return Batcher(run, parameters, on_batch, by_rows=signature.by_rows, run_until=run)

    def _timed(self, name: str, signature: Signature) -> Callable[..., Arrays]:
        latency = self._metrics.runtime_latency

        def run(inputs: Arrays, deadline: float | None = None) -> Arrays:
            started = time.perf_counter()
            outputs = signature.run(inputs, (), deadline)
            seconds = time.perf_counter() - started
            latency.add((name, "Predict", "TF1"), seconds * 1e6)
            if all(a.shape[:1] == (1,) for a in inputs.values()):
                signature.timed(seconds)
            return outputs

        return run
