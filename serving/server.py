"""One model server put together: models, handlers, gRPC and REST on one event loop, and an orderly end.

`Server` is built from parsed flags and run by `serving.main`. The ports open when every model has loaded or failed,
as the original's do, or first, so that health checks are answered while models still load (`--open_ports=early`). No
command line and no signals here.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from serving import options
from serving.ab.keeper import Keeper
from serving.ab.ledger import Ledger
from serving.beginning import begin_models
from serving.engine import tf_runtime
from serving.execution.runner import Runner
from serving.grpc_api import GrpcApi
from serving.handlers import Handlers
from serving.models.config_file import ConfigFile
from serving.models.loader import ModelLoader
from serving.models.models import Models
from serving.models.watch import Watcher
from serving.release import tally
from serving.release.controller import Controller
from serving.release.split import Split
from serving.release.steering import Steering
from serving.release.tally import Tally
from serving.rest.app import RestApi
from serving.rest.server import RestServer, bind
from serving.telemetry.access_log import AccessLog
from serving.telemetry.memory import resident
from serving.telemetry.metrics import Metrics
from serving.telemetry.prediction_logs import PredictionLogs
from serving.workers import ports
from serving.workers.member import Member

logger = logging.getLogger(__name__)

READY_POLL_S = 0.05


def check_free(flags: argparse.Namespace) -> None:
    """Raises OSError where the gRPC port is taken, which gRPC itself says only when it opens the port."""
    if flags.port not in (0, -1):
        bind(flags.host, flags.port, "gRPC", "--port").close()


class Server:
    """Built in any thread; `run` belongs to one event loop. `flags` as `serving.flags.parse` gives them.

    Raises UsageError for files that cannot be used and OSError for ports that are taken. `member`: this server is one
    of several workers, and its supervisor says what to load, when to open the ports and what to answer about models.
    """

    def __init__(self, flags: argparse.Namespace, member: Member | None = None) -> None:
        self._flags = flags
        self._member = member
        self.host: str = flags.host
        self.started = time.monotonic()
        self.metrics = Metrics()
        self._log = AccessLog(flags.access_log) if flags.access_log else None
        self._logs = PredictionLogs(
            options.log_options(flags),
            lambda name, status, records: self.metrics.request_log_count.add((name, status), records),
        )
        self._ledger = Ledger()
        self._loader = ModelLoader(options.load_options(flags), self.metrics)
        self._grpc_options = options.grpc_options(flags, shared_port=member is not None)
        settings = options.models_options(flags, self._configured)
        self.models: Models
        if member is None:
            self._config = options.first_config(flags)
            manager = settings.manager(self._loader)
            self._steering = Steering(self._direct, manager.states)
            settings.choose = self._steering.choose
            self.models = Models(manager, settings)
            self._controller = Controller(self._steering, self.models.source, manager, self._counted)
            self._keeper = Keeper(self.models.source.base_paths)
        else:
            self.models = member.models(self._loader, settings, self._direct)
        self._runner = Runner(
            flags.rest_api_num_threads, self._observe, cancel=flags.enforce_session_run_timeout
        )
        self.handlers = Handlers(
            self.models,
            self._runner,
            self.metrics,
            as_content=flags.enable_serialization_as_tensor_content,
            check_method_name=flags.enable_signature_method_name_check,
            allow_reload=flags.allow_reload_config,
            logs=self._logs,
            ledger=self._ledger,
        )
        self._watcher = Watcher(self.models.source.base_paths, self.models.source.kick)
        self._background = ThreadPoolExecutor(4, "server")
        self._stopping = asyncio.Event()
        self.grpc_port: int | None = None
        self.rest_port: int | None = None
        self._grpc: GrpcApi | None = None
        self._rest: RestServer | None = None
        self._listener: socket.socket | None = None
        self._gauges()

    def _observe(self, name: str, seconds: float) -> None:
        self.metrics.runtime_latency.add((name, "Predict", "TF1"), seconds * 1e6)

    def _direct(self, name: str, live: int | None, split: Split | None) -> None:
        """Has a model's requests divided as its release says."""
        self.models.manager.prefer(name, live)
        self.handlers.router.follow(name, split)

    def _counted(self, name: str, release: int) -> Tally:
        return tally.of_cells(self.metrics.release_events.cells(), name, release)

    def _configured(self, config: Any) -> None:
        self._logs.configure(config)
        self._ledger.configure({model.name: model.base_path for model in config.model_config_list.config})
        self._runner.forget({model.name for model in config.model_config_list.config})

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
        number = "1" if self._member is None else str(self._member.number)
        self.metrics.gauge(
            ":viaduct:serving:worker_memory_bytes", ["worker"], lambda: {(number,): float(resident())}
        )
        labels = ["model_name", "version", "state"]
        self.metrics.gauge(":viaduct:serving:model_version_state", labels, states, shared=True)

    async def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serves until `stop` is called. `on_ready` is called once: when every model has loaded or failed."""
        self._loop = asyncio.get_running_loop()
        tasks: list[asyncio.Task[None]] = []
        try:
            if self._member is None:
                await self._begin(tasks)
            elif not await self._join(self._member):
                return
            tasks.append(self._loop.create_task(self._follow_readiness(on_ready)))
            await self._stopping.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._close()

    async def _begin(self, tasks: list[asyncio.Task[None]]) -> None:
        """Loads the models and opens the ports; `tasks` gets what has to be done meanwhile."""
        flags = self._flags
        if flags.open_ports == "early":
            await self._open()
        else:
            self._listener = self._rest_listener()
            check_free(flags)
        await self._in_background(begin_models, flags, self.models, self._config, self._watcher)
        if "loading" not in self.models.readiness().values():
            # The first version that comes shall find TensorFlow imported.
            self._background.submit(tf_runtime.runtime)
        if flags.file_system_poll_wait_seconds > 0:
            self._controller.start()
            self._keeper.start()
        if flags.model_config_file and flags.model_config_file_poll_wait_seconds > 0:
            tasks.append(self._loop.create_task(self._follow_config()))
        if flags.open_ports != "early":
            await self._first_loads()
            await self._open()

    async def _join(self, member: Member) -> bool:
        """What a worker does instead, as its supervisor says; False where it is stopped before its ports open."""
        member.begin(self.metrics)
        if not await member.until_open(self._stopping):
            return False
        with ports.closed_first():
            await self._open()
        member.opened(self.grpc_port, self.rest_port)
        return True

    def stop(self) -> None:
        """Asks `run` to end; from any thread, or from a signal handler on the loop."""
        with contextlib.suppress(RuntimeError, AttributeError):
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def _in_background(self, call: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._background, call, *args)

    def _rest_listener(self) -> socket.socket | None:
        """REST's socket, bound but not listening: nobody can connect yet, and nobody else takes the port."""
        if self._flags.rest_api_port in (None, -1):
            return None
        listener = bind(self._flags.host, self._flags.rest_api_port, shared=self._member is not None)
        self.rest_port = listener.getsockname()[1]
        return listener

    async def _first_loads(self) -> None:
        """Returns when no model of the first configuration is on its way any more, or the server is to stop."""
        while not self._stopping.is_set() and "loading" in self.models.readiness().values():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), READY_POLL_S)

    async def _open(self) -> None:
        flags = self._flags
        if self._listener is None:
            self._listener = self._rest_listener()
        if flags.port != -1 or flags.grpc_socket_path:
            self._grpc = GrpcApi(self.handlers, self._grpc_options, self._log)
            if flags.port != -1:
                host = f"[{flags.host}]" if ":" in flags.host else flags.host
                self.grpc_port = self._grpc.listen(f"{host}:{flags.port}")
            if flags.grpc_socket_path:
                self._grpc.listen(f"unix:{flags.grpc_socket_path}")
            await self._grpc.start()
        if self._listener is not None:
            rest = options.rest_options(flags)
            app = RestApi(self.handlers, rest, self._log)
            self._rest = RestServer(
                app,
                self._listener,
                read_timeout_s=rest.timeout_s,
                idle_s=rest.idle_s,
                tls=options.rest_tls(flags),
            )
            await self._rest.start()
        logger.info("Listening: gRPC %s, REST %s", self.grpc_port, self.rest_port)

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
        file = ConfigFile(self._flags.model_config_file, self._config, self.models.apply)
        while True:
            await asyncio.sleep(self._flags.model_config_file_poll_wait_seconds)
            await self._in_background(file.look)

    async def _close(self) -> None:
        drain = self._flags.drain_seconds
        logger.info("Stopping; running requests have %g s", drain)
        self.handlers.draining = True
        waiting = [part.stop(drain) for part in (self._grpc, self._rest) if part is not None]
        if self._rest is None and self._listener is not None:
            self._listener.close()
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            if isinstance(outcome, Exception):
                logger.error("A listener did not stop in order: %s", outcome)
        await self._in_background(self._close_models, drain)
        self._background.shutdown(wait=False)

    def _close_models(self, drain: float) -> None:
        self._watcher.stop()
        if self._member is None:
            self._keeper.stop()
            self._controller.stop()
        self.handlers.router.stop()
        self.models.stop(min(drain, 10.0))
        self._runner.stop()
        self._logs.close()
        self._ledger.close()
        if self._log is not None:
            self._log.close()
        if self._flags.grpc_socket_path:
            with contextlib.suppress(OSError):
                os.unlink(self._flags.grpc_socket_path)
        if self._member is not None:
            self._member.close()
