"""A worker's side of the supervisor: what the server in it asks and is told.

The models load here and are kept from requests until the supervisor says that all workers have them; the
configuration, the states and the readiness are the supervisor's, so every worker answers alike. A worker whose
supervisor has ended stops in order, as after SIGTERM.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from serving.core.servable import Servable, ServableId, ServableState
from serving.errors import ServingError, Unavailable
from serving.models import model_config
from serving.models.models import Models, ModelsOptions
from serving.telemetry.metrics import Metrics, Values
from serving.workers.agreement import Report
from serving.workers.channel import Channel
from serving.workers.epoch import Epoch

logger = logging.getLogger(__name__)

# The supervisor collects numbers from workers for at most 2 s.
METRICS_WAIT_S = 4.0


class Told(NamedTuple):
    """What the supervisor says of all models, true for every worker from an epoch on."""

    epoch: int
    states: dict[str, dict[int, ServableState]]
    readiness: dict[str, str]


class MemberModels(Models):
    """`Models` of a worker: versions come from the supervisor and answers about them too; requests are served from
    the manager of this process."""

    def __init__(
        self,
        member: Member,
        load: Callable[[ServableId, str], Servable],
        options: ModelsOptions,
        direct: Callable[..., None],
    ) -> None:
        options.on_state = lambda s: member.send("state", *s.id, Report(s.state, s.error))
        options.hold = member.hold
        manager = options.manager(load)
        super().__init__(manager, options)
        self.aspire, self._serve = manager.aspire, manager.admit
        self.direct = direct
        self._member = member
        # What was told and from which epoch on it holds; the first one holds now.
        self._told: list[Told] = [Told(0, {}, {})]

    # What the supervisor says.

    def admit(self, name: str, version: int, path: str) -> None:
        self._serve(ServableId(name, version), path)

    def follow(self, config: bytes) -> None:
        """Takes over a configuration that the supervisor has checked and applied."""
        made = model_config.ModelServerConfig.FromString(config)
        self._labels = model_config.labels(made)
        self._config = made
        self._options.on_config(made)

    def hear(self, told: Told) -> None:
        self._told = [*self._told[self._told.index(self._now()) :], told]

    def _now(self) -> Told:
        told, number = self._told, self._member.epoch.number
        return next((one for one in reversed(told) if one.epoch <= number), told[0])

    # What requests and operations ask.

    def states(self, name: str) -> dict[int, ServableState]:
        return dict(sorted(self._now().states.get(name, {}).items(), reverse=True))

    def _condition(self, name: str) -> str:
        return self._now().readiness.get(name, "loading" if name in self.names() else "unknown")

    def apply(self, config: Any, wait_s: float | None = None) -> None:
        """Asks the supervisor to; returns when every worker follows. Raises what `Models.apply` raises."""
        failure = self._member.ask("apply", config.SerializeToString(), wait_s).result()
        if failure is not None:
            code, text = failure
            raise ServingError(text, code)


class Member:
    """The connection of one worker. Made before the server is, `begin` when it is complete.

    `stop` ends the server in order; where that takes longer than `patience_s` after the supervisor has gone, the
    process ends all the same.
    """

    def __init__(
        self, end: socket.socket, epoch: Epoch, number: int, stop: Callable[[], None], patience_s: float
    ) -> None:
        self.number = number
        self.epoch = epoch
        self._stop = stop
        self._patience_s = patience_s
        self._models: MemberModels | None = None
        self._metrics: Metrics | None = None
        self._calls: dict[int, Future[Any]] = {}
        self._numbers = itertools.count()
        self._alone = False
        self._may_open = threading.Event()
        self._heard: list[Callable[[], None]] = []
        self._channel = Channel(
            end,
            {
                "open": self._open,
                "answer": self._answer,
                "values": self._values,
                "sync": lambda number: self.send("synced", number),
                "stop": stop,
                "aspire": lambda name, versions: self.models_().aspire(name, versions),
                "admit": lambda *key: self.models_().admit(*key),
                "direct": lambda *direction: self.models_().direct(*direction),
                "config": lambda config: self.models_().follow(config),
                "told": lambda *told: self.models_().hear(Told(*told)),
            },
            self._ended,
        )
        self.send = self._channel.send

    def hold(self, id: ServableId, path: str) -> bool:
        self.send("loaded", *id, path)
        return True

    def models(
        self,
        load: Callable[[ServableId, str], Servable],
        options: ModelsOptions,
        direct: Callable[..., None],
    ) -> MemberModels:
        """`direct(model, live version, split)` hears how requests are divided."""
        self._models = MemberModels(self, load, options, direct)
        return self._models

    def models_(self) -> MemberModels:
        assert self._models is not None
        return self._models

    def begin(self, metrics: Metrics) -> None:
        """Begins to follow the supervisor."""
        self._metrics = metrics
        metrics.others = self._others
        self._channel.start()

    async def until_open(self, stopping: asyncio.Event) -> bool:
        """Waits for the word to open the ports; False where the server is stopped before."""
        loop = asyncio.get_running_loop()
        said = asyncio.Event()

        def hear() -> None:
            loop.call_soon_threadsafe(said.set)

        self._heard.append(hear)
        if self._may_open.is_set():
            said.set()
        waits = [loop.create_task(said.wait()), loop.create_task(stopping.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        self._heard.remove(hear)
        return not stopping.is_set()

    def opened(self, grpc_port: int | None, rest_port: int | None) -> None:
        self.send("opened", grpc_port, rest_port)

    def close(self) -> None:
        """Lets what was said, and the last numbers, reach the supervisor."""
        self._values(0)
        self._channel.flush(1.0)

    def ask(self, kind: str, *arguments: Any) -> Future[Any]:
        """Sends a question; the answer comes as the future's result."""
        number = next(self._numbers)
        future: Future[Any] = Future()
        self._calls[number] = future
        self.send(kind, number, *arguments)
        if self._alone:
            self._give_up()
        return future

    async def _others(self) -> Sequence[Values]:
        future = self.ask("gather")
        try:
            values: Sequence[Values] = await asyncio.wait_for(asyncio.wrap_future(future), METRICS_WAIT_S)
            return values
        except TimeoutError:
            raise Unavailable("The other workers' numbers did not come in time; ask again") from None

    def _open(self) -> None:
        self._may_open.set()
        for heard in list(self._heard):
            heard()

    def _answer(self, number: int, result: Any) -> None:
        future = self._calls.pop(number, None)
        if future is not None and future.set_running_or_notify_cancel():
            future.set_result(result)

    def _values(self, number: int) -> None:
        if self._metrics is not None:
            self.send("values", number, self._metrics.values())

    def _ended(self) -> None:
        logger.error("The supervisor has ended; this worker stops in order")
        self._alone = True
        self._give_up()
        self._stop()
        timer = threading.Timer(self._patience_s, os._exit, (1,))
        timer.daemon = True
        timer.start()

    def _give_up(self) -> None:
        """Nobody answers any more."""
        while self._calls:
            _, future = self._calls.popitem()
            if future.set_running_or_notify_cancel():
                future.set_exception(Unavailable("The server is stopping; try again."))
