"""One model server put together: models, handlers, gRPC and REST on one event loop, and an orderly end.

`Server` is built from parsed flags and run by `serving.main`. The ports open first, so that health checks are
answered while TensorFlow and the models still load. No command line and no signals here.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from serving import flags as flag_module
from serving import model_config
from serving.access_log import AccessLog
from serving.batching import BatchingParameters
from serving.core.policy import availability_preserving, resource_preserving
from serving.engine import EngineOptions
from serving.errors import ServingError
from serving.execution import Runner
from serving.flags import UsageError
from serving.grpc_api import GrpcApi, GrpcOptions
from serving.handlers import Handlers
from serving.loading import LoadOptions, ModelLoader
from serving.metrics import Metrics
from serving.models import Models, ModelsOptions
from serving.prediction_logs import LogOptions, PredictionLogs
from serving.rest import RestApi, RestOptions
from serving.rest_server import RestServer, listen
from serving.watch import Watcher

logger = logging.getLogger(__name__)

READY_POLL_S = 0.05


def _batching(flags: argparse.Namespace) -> BatchingParameters | None:
    if not flags.enable_batching:
        return None
    if not flags.batching_parameters_file:
        return BatchingParameters.adaptive()
    try:
        return BatchingParameters.from_file(flags.batching_parameters_file)
    except (ValueError, OSError, ServingError) as error:
        raise UsageError(str(error)) from None


def _session_config(flags: argparse.Namespace) -> bytes:
    """A serialized ConfigProto of the flags; empty where they say nothing, so that TensorFlow is not needed."""
    if not flags.tensorflow_session_config_file and not flags.per_process_gpu_memory_fraction:
        return b""
    from tensorflow.core.protobuf import config_pb2

    config = config_pb2.ConfigProto()
    if flags.tensorflow_session_config_file:
        model_config.parse_text(flags.tensorflow_session_config_file, config)
    if flags.per_process_gpu_memory_fraction:
        config.gpu_options.per_process_gpu_memory_fraction = flags.per_process_gpu_memory_fraction
    return config.SerializeToString()


def _load_options(flags: argparse.Namespace) -> LoadOptions:
    both = flags.tensorflow_session_parallelism
    engine = EngineOptions(
        tags=tuple(t for t in flags.saved_model_tags.split(",") if t),
        intra_op_threads=flags.tensorflow_intra_op_parallelism or both,
        inter_op_threads=flags.tensorflow_inter_op_parallelism or both,
        session_config=_session_config(flags),
        op_libraries=tuple(p for p in flags.custom_op_libraries.split(",") if p),
    )
    return LoadOptions(
        engine=engine,
        batching=_batching(flags),
        per_model_batching=flags.enable_per_model_batching_parameters,
        warmup=flags.enable_model_warmup,
        warmup_iterations=max(1, flags.num_request_iterations_for_warmup),
    )


def _credentials(path: str) -> grpc.ServerCredentials | None:
    if not path:
        return None
    tls = flag_module.read_tls(path)
    ca = tls.custom_ca.encode() or None
    if tls.client_verify and ca is None:
        raise UsageError(f"{path!r} sets client_verify but no custom_ca to verify clients with")
    return grpc.ssl_server_credentials(
        [(tls.server_key.encode(), tls.server_cert.encode())], ca, require_client_auth=tls.client_verify
    )


class Server:
    """Built in any thread; `run` belongs to one event loop. `flags` as `serving.flags.parse` gives them.

    Raises UsageError for files that cannot be used and OSError for ports that are taken.
    """

    def __init__(self, flags: argparse.Namespace) -> None:
        self._flags = flags
        self.started = time.monotonic()
        self.metrics = Metrics()
        self._log = AccessLog(flags.access_log) if flags.access_log else None
        self._logs = PredictionLogs(
            LogOptions(flags.request_log_dir or None, flags.request_log_rate, flags.request_log_max_bytes,
                       flags.request_log_max_age_seconds),
            lambda name, status: self.metrics.request_log_count.add((name, status)),
        )  # fmt: skip
        self._loader = ModelLoader(_load_options(flags), self.metrics)
        self._grpc_options = self._make_grpc_options()
        self._config = self._first_config()
        self.models = Models(self._loader, self._models_options())
        self._runner = Runner(flags.rest_api_num_threads, self._observe)
        self.handlers = Handlers(
            self.models,
            self._runner,
            self.metrics,
            as_content=flags.enable_serialization_as_tensor_content,
            check_method_name=flags.enable_signature_method_name_check,
            allow_reload=flags.allow_reload_config,
            logs=self._logs,
        )
        self._watcher = Watcher(self.models.source.base_paths, self.models.source.kick)
        self._background = ThreadPoolExecutor(4, "server")
        self._stopping = asyncio.Event()
        self.grpc_port: int | None = None
        self.rest_port: int | None = None
        self._grpc: GrpcApi | None = None
        self._rest: RestServer | None = None
        self._gauges()

    def _observe(self, name: str, seconds: float) -> None:
        self.metrics.runtime_latency.add((name, "Predict", "TF1"), seconds * 1e6)

    def _gauges(self) -> None:
        def depth() -> dict[tuple[str, ...], float]:
            totals: dict[tuple[str, ...], float] = {}
            for id, model in list(self._loader.live.items()):
                waiting = sum(b.queue_depth for b in list(model.batchers.values()))
                totals[(id.name,)] = totals.get((id.name,), 0) + waiting
            return totals

        def states() -> dict[tuple[str, ...], float]:
            return {
                (name, str(version), state.state.name): 1
                for name in self.models.names()
                for version, state in self.models.states(name).items()
            }

        self.metrics.gauge(":tensorflow:serving:batching_session:queue_depth", ["model_name"], depth)
        self.metrics.gauge(":viaduct:serving:model_version_state", ["model_name", "version", "state"], states)

    def _make_grpc_options(self) -> GrpcOptions:
        flags = self._flags
        size = flags.grpc_max_message_bytes
        limits = [("grpc.max_receive_message_length", size), ("grpc.max_send_message_length", size)]
        return GrpcOptions(
            channel_arguments=[*limits, *flag_module.channel_arguments(flags.grpc_channel_arguments)],
            credentials=_credentials(flags.ssl_config_file),
            health=flags.enable_grpc_healthcheck_service,
            reflection=flags.enable_grpc_reflection,
            gzip=flags.grpc_response_gzip,
        )

    def _first_config(self) -> Any:
        flags = self._flags
        if not flags.model_config_file:
            return model_config.single(flags.model_name, flags.model_base_path)
        try:
            return model_config.read(flags.model_config_file)
        except ServingError as error:
            raise UsageError(error.message) from None

    def _models_options(self) -> ModelsOptions:
        flags = self._flags
        return ModelsOptions(
            file_system_poll_wait_seconds=flags.file_system_poll_wait_seconds,
            max_num_load_retries=max(0, flags.max_num_load_retries),
            load_retry_interval_s=max(0, flags.load_retry_interval_micros) / 1e6,
            num_load_threads=flags.num_load_threads,
            transition=resource_preserving if flags.resource_preserving else availability_preserving,
            allow_labels_for_unavailable=flags.allow_version_labels_for_unavailable_models,
            on_config=self._logs.configure,
        )

    async def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serves until `stop` is called. `on_ready` is called once: when every model has loaded or failed."""
        self._loop = asyncio.get_running_loop()
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._open()
            await self._in_background(self._apply_first)
            tasks.append(self._loop.create_task(self._follow_readiness(on_ready)))
            if self._flags.model_config_file and self._flags.model_config_file_poll_wait_seconds > 0:
                tasks.append(self._loop.create_task(self._follow_config()))
            await self._stopping.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._close()

    def stop(self) -> None:
        """Asks `run` to end; from any thread, or from a signal handler on the loop."""
        with contextlib.suppress(RuntimeError, AttributeError):
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def _in_background(self, call: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._background, call, *args)

    async def _open(self) -> None:
        flags = self._flags
        rest_listener = None
        if flags.rest_api_port not in (None, -1):
            rest_listener = listen(flags.host, flags.rest_api_port)
            self.rest_port = rest_listener.getsockname()[1]
        if flags.port != -1 or flags.grpc_socket_path:
            self._grpc = GrpcApi(self.handlers, self._grpc_options, self._log)
            if flags.port != -1:
                host = f"[{flags.host}]" if ":" in flags.host else flags.host
                self.grpc_port = self._grpc.listen(f"{host}:{flags.port}")
            if flags.grpc_socket_path:
                self._grpc.listen(f"unix:{flags.grpc_socket_path}")
            await self._grpc.start()
        if rest_listener is not None:
            options = RestOptions(
                max_body_bytes=flags.rest_api_max_body_bytes,
                timeout_s=flags.rest_api_timeout_in_ms / 1000,
                cors=flags.rest_api_enable_cors_support,
                metrics_path=flag_module.metrics_path(flags.monitoring_config_file),
            )
            app = RestApi(self.handlers, options, self._log)
            self._rest = RestServer(
                app, rest_listener, read_timeout_s=options.timeout_s, tls=self._rest_tls()
            )
            await self._rest.start()
        logger.info("Listening: gRPC %s, REST %s", self.grpc_port, self.rest_port)

    def _rest_tls(self) -> tuple[str, str, str | None, bool] | None:
        if not self._flags.rest_api_ssl_config_file:
            return None
        tls = flag_module.read_tls(self._flags.rest_api_ssl_config_file)
        for path in filter(None, (tls.server_key, tls.server_cert, tls.custom_ca)):
            if not Path(path).is_file():
                raise UsageError(
                    f"{self._flags.rest_api_ssl_config_file!r} names {path[:60]!r}, which is no file; REST takes "
                    "the paths of PEM files"
                )
        return tls.server_key, tls.server_cert, tls.custom_ca or None, tls.client_verify

    def _apply_first(self) -> None:
        try:
            self.models.apply(self._config)
        except ServingError as error:
            raise UsageError(f"Failed to start server. Error: {error.code}: {error.message}") from None
        if self._flags.file_system_poll_wait_seconds > 0:
            self.models.source.start()
            if self._flags.watch_file_system:
                self._watcher.start()

    async def _follow_readiness(self, on_ready: Callable[[], None]) -> None:
        announced = False
        serving: bool | None = None
        while True:
            report = self.handlers.health()
            ready = all(state == "available" for state in report.values())
            if ready != serving and self._grpc is not None:
                await self._grpc.set_serving(ready)
            serving = ready
            if not announced and all(state != "loading" for state in report.values()):
                announced = True
                for name, state in report.items():
                    if state != "available":
                        logger.error("Model %s is not served; %s", name, state)
                on_ready()
            await asyncio.sleep(READY_POLL_S if not announced else 0.25)

    async def _follow_config(self) -> None:
        path = self._flags.model_config_file
        applied = self._config
        complaint = ""
        while True:
            await asyncio.sleep(self._flags.model_config_file_poll_wait_seconds)
            try:
                config = await self._in_background(model_config.read, path)
                if config != applied:
                    await self._in_background(self.models.apply, config)
                    applied = config
                complaint = ""
            except ServingError as error:
                if error.message != complaint:
                    logger.error("The configuration stays as it is: %s: %s", error.code, error.message)
                complaint = error.message

    async def _close(self) -> None:
        drain = self._flags.drain_seconds
        logger.info("Stopping; running requests have %g s", drain)
        self.handlers.draining = True
        waiting = [part.stop(drain) for part in (self._grpc, self._rest) if part is not None]
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            if isinstance(outcome, Exception):
                logger.error("A listener did not stop in order: %s", outcome)
        await self._in_background(self._close_models, drain)
        self._background.shutdown(wait=False)

    def _close_models(self, drain: float) -> None:
        if self._watcher._thread.is_alive():
            self._watcher.stop()
        self.models.stop(min(drain, 10.0))
        self._runner.stop()
        self._logs.close()
        if self._log is not None:
            self._log.close()
        if self._flags.grpc_socket_path:
            with contextlib.suppress(OSError):
                os.unlink(self._flags.grpc_socket_path)
