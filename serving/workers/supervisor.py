"""`--workers N`: starts N server processes on the same ports, keeps them alive, and makes them one server.

The supervisor owns what there can be only one of: the configuration, the watching of folders, the decision that a
version is announced (`serving.workers.fleet`), the counts of workers that have ended. It answers no requests and loads
no models. A worker that ends is replaced; the others do not notice. Without the supervisor the workers stop.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from serving import options
from serving.ab.keeper import Keeper
from serving.beginning import begin_models
from serving.errors import ServingError
from serving.flags import UsageError
from serving.models.config_file import ConfigFile
from serving.models.models import Models
from serving.models.watch import Watcher
from serving.release import tally
from serving.release.controller import Controller
from serving.release.steering import Steering
from serving.release.tally import Tally
from serving.telemetry.memory import memory
from serving.telemetry.metrics import Metrics, Values
from serving.workers import ports
from serving.workers.epoch import Epoch
from serving.workers.fleet import Fleet
from serving.workers.process import Worker, cores

logger = logging.getLogger(__name__)

GATHER_S = 2.0
SYNC_S = 5.0
TOLD_S = 1.0
# A worker that ends sooner than this after its start is started again later and later.
HASTY_S = 10.0
LONGEST_PAUSE_S = 30.0
# Where the system has no room for another process.
START_RETRY_S = 5.0
TELL_S = 0.02
# Readiness may change without a version changing: a folder that has gone, for example.
LOOK_S = 0.25
# The numbers of a worker that is killed are known as of the last time they were asked for.
COUNT_S = 2.0


class Supervisor:
    """Made and run by the main thread of a process that does nothing else. Raises UsageError and OSError."""

    def __init__(self, flags: argparse.Namespace, argv: Sequence[str]) -> None:
        self._flags = flags
        self.started = time.monotonic()
        self._reserved: list[socket.socket] = []
        self._argv = [*argv, "--workers=1", *self._ports(), *_threads(flags)]
        self._fleet = Fleet(open_early=flags.open_ports == "early")
        self._config = options.first_config(flags)
        on_config = lambda config: self._fleet.configure(config.SerializeToString())  # noqa: E731
        settings = options.models_options(flags, on_config)
        steering = Steering(self._fleet.direct, self._fleet.states)
        settings.choose = steering.choose
        self.models = Models(self._fleet, settings)
        self._controller = Controller(steering, self.models.source, self._fleet, self._counted)
        self._keeper = Keeper(self.models.source.base_paths)
        self._watcher = Watcher(self.models.source.base_paths, self.models.source.kick)
        self._workers: dict[int, Worker] = {}
        self._hasty: dict[int, int] = {}
        self._departed: Values = {}
        self._sums = Metrics()
        self._lock = threading.RLock()
        self._numbers = itertools.count()
        self._epoch = Epoch()
        self._told: Any = None
        self._telling = threading.Lock()
        self._announced = False
        self._code = 0
        self.stopping = threading.Event()

    def _ports(self) -> list[str]:
        flags, made = self._flags, []
        for name in ("port", "rest_api_port"):
            port = getattr(flags, name)
            if port not in (None, -1):
                self._reserved.append(ports.reserve(flags.host, port, f"--{name}"))
                made.append(f"--{name}={self._reserved[-1].getsockname()[1]}")
        return made

    # Life.

    def stop(self) -> None:
        """Asks `run` to end; may be called by a signal's handler."""
        self.stopping.set()
        self._fleet.changed.set()

    def run(self) -> int:
        """Serves until `stopping` is set; the exit code."""
        try:
            for number in range(1, self._flags.workers + 1):
                self._start(number, first=True)
            begin_models(self._flags, self.models, self._config, self._watcher)
            if self._flags.file_system_poll_wait_seconds > 0:
                self._controller.start()
                self._keeper.start()
            self._loop()
        finally:
            self._stop()
        return self._code

    def _loop(self) -> None:
        flags = self._flags
        config = ConfigFile(flags.model_config_file, self._config, self.models.apply)
        read = flags.model_config_file_poll_wait_seconds if flags.model_config_file else 0
        next_read = next_count = time.monotonic()
        while not self.stopping.is_set():
            self._fleet.changed.wait(min(LOOK_S, read or LOOK_S))
            self._tell()
            now = time.monotonic()
            if read > 0 and now >= next_read + read:
                config.look()
                next_read = now
            if now >= next_count + COUNT_S:
                self._ask_all("values", timeout_s=0.0)
                next_count = now
            self.stopping.wait(TELL_S)

    def _start(self, number: int, *, first: bool = False) -> None:
        with self._lock:
            if self.stopping.is_set():
                return
            worker = Worker(
                number,
                self._argv,
                self._fleet,
                self._epoch,
                counts=first,
                on_open=self._opened,
                on_end=self._ended,
                on_question=self._question,
            )
            self._workers[number] = worker
            if self._told is not None:
                worker.send("told", *self._told)
            self._fleet.join(worker.seat)

    def _opened(self, worker: Worker) -> None:
        if self._announced:
            seconds = time.monotonic() - worker.started
            logger.info("Worker %d serves after %.1f s; %s", worker.number, seconds, self._memory())

    def _ended(self, worker: Worker) -> None:
        with self._lock:
            # Without its gauges, which these sums do not know.
            self._departed = self._sums.added([self._departed, worker.values])
            worker.values = {}
            if self.stopping.is_set():
                return
            if not self._announced and worker.code in (1, 2):
                # It has said itself what is wrong with the command line or the machine.
                self._code = worker.code or 1
                self.stop()
                return
        self._controller.worker_ended()
        hasty = time.monotonic() - worker.started < HASTY_S
        tries = self._hasty[worker.number] = self._hasty.get(worker.number, 0) + 1 if hasty else 0
        pause = min(LONGEST_PAUSE_S, 0.5 * 2 ** (tries - 1)) if tries > 1 else 0.0
        later = f"in {pause:g} s" if pause else "at once"
        logger.error(
            "Worker %d (pid %d) %s; starting it again %s", worker.number, worker.pid, worker.why(), later
        )
        self._start_again(worker.number, pause)

    def _start_again(self, number: int, pause: float) -> None:
        while not self.stopping.wait(pause):
            try:
                self._start(number)
                return
            except OSError as error:
                pause = START_RETRY_S
                logger.error("Worker %d cannot be started: %s; trying again in %g s", number, error, pause)

    def _stop(self) -> None:
        self.stopping.set()
        logger.info("Stopping; running requests have %g s", self._flags.drain_seconds)
        with self._lock:
            workers = list(self._workers.values())
        for worker in workers:
            worker.send("stop")
        self._watcher.stop()
        self._keeper.stop()
        self._controller.stop()
        self.models.source.stop()
        deadline = time.monotonic() + self._flags.drain_seconds + 20.0
        while any(w.alive for w in workers) and time.monotonic() < deadline:
            time.sleep(0.02)
        for worker in workers:
            worker.kill()
        for held in self._reserved:
            held.close()

    # What workers are told.

    def _tell(self) -> None:
        """Tells every worker the states and the readiness, where they have changed; announces the start. All answer
        with what they were told from one moment on: when all have it."""
        with self._telling:
            self._fleet.changed.clear()
            told = (self._fleet.snapshot(), self.models.readiness())
            if self._told is None or told != self._told[1:]:
                number = self._epoch.number + 1
                with self._lock:
                    self._told = (number, *told)
                    self._fleet.broadcast("told", *self._told)
                self._ask_all("sync", timeout_s=TOLD_S)
                self._epoch.number = number
            if not self._announced and "loading" not in told[1].values() and self._all_open():
                self._announce(told[1])

    def _all_open(self) -> bool:
        seats = self._fleet.seats()
        return len(seats) == self._flags.workers and all(seat.opened for seat in seats)

    def _announce(self, readiness: dict[str, str]) -> None:
        self._announced = True
        for name, state in readiness.items():
            if state != "available":
                logger.error("Model %s is not served; %s", name, state)
        grpc, rest = (
            "-" if port is None else f"{self._flags.host}:{port}" for port in self._workers[1].ports
        )
        seconds = time.monotonic() - self.started
        print(f"viaduct-serving ready grpc={grpc} rest={rest} in {seconds:.1f} s", flush=True)
        print(f"viaduct-serving {self._memory()}", flush=True)

    def _memory(self) -> str:
        each = {f"worker {w.number} (pid {w.pid})": w.pid for w in self._workers.values() if w.alive}
        each["supervisor"] = os.getpid()
        total = sum(memory(pid) for pid in each.values()) / 2**20
        shown = ", ".join(f"{name} {memory(pid, 'Rss') / 2**20:.0f} MB" for name, pid in each.items())
        return f"memory: {shown}; in all {total:.0f} MB, pages that they share counted once"

    # What workers ask.

    def _question(self, worker: Worker, kind: str, number: int, *arguments: Any) -> None:
        table: dict[str, Callable[..., Any]] = {"apply": self._apply, "gather": self._gather}

        def work() -> None:
            worker.send("answer", number, table[kind](worker, *arguments))

        threading.Thread(target=work, name=f"worker-{kind}", daemon=True).start()

    def _apply(self, worker: Worker, config: bytes, wait_s: float | None) -> tuple[str, str] | None:
        """None, or the code and text with which the configuration was refused. All workers follow by then."""
        from serving.models import model_config

        failure = None
        try:
            self.models.apply(model_config.ModelServerConfig.FromString(config), wait_s)
        except ServingError as error:
            failure = (error.code, error.message)
        except Exception:
            logger.exception("A configuration could not be applied")
            failure = ("INTERNAL", "The supervisor failed on this configuration; its log says why")
        self._tell()
        self._ask_all("sync", timeout_s=SYNC_S)
        return failure

    def _gather(self, asker: Worker) -> list[Values]:
        """The numbers of all but the asker: fresh ones, the last known ones of a worker that says nothing, and those
        of workers that have ended."""
        self._ask_all("values", timeout_s=GATHER_S, but=asker)
        with self._lock:
            return [self._departed, *(w.values for w in self._workers.values() if w is not asker)]

    def _counted(self, name: str, release: int) -> Tally:
        """What all workers, also those that have ended, have counted of a release; up to `COUNT_S` old."""
        with self._lock:
            values = self._sums.added([self._departed, *(w.values for w in self._workers.values())])
        cells = values.get(self._sums.release_events.name, {})
        return tally.of_cells(cells, name, release)

    def _ask_all(self, kind: str, *, timeout_s: float, but: Worker | None = None) -> None:
        with self._lock:
            workers = [w for w in self._workers.values() if w is not but and w.alive]
        deadline = time.monotonic() + timeout_s
        for event in [w.await_answer(kind, next(self._numbers)) for w in workers]:
            event.wait(max(0.0, deadline - time.monotonic()))


def _threads(flags: argparse.Namespace) -> list[str]:
    """N workers with as many threads for one op as there are cores each would stand in each other's way."""
    chosen = (
        flags.tensorflow_session_parallelism
        or flags.tensorflow_intra_op_parallelism
        or flags.tensorflow_session_config_file
    )
    return [] if chosen else [f"--tensorflow_intra_op_parallelism={max(1, cores() // flags.workers)}"]


def run(flags: argparse.Namespace, argv: Sequence[str]) -> int:
    """Exit codes as `serving.main`'s."""
    try:
        supervisor = Supervisor(flags, argv)
    except UsageError as error:
        print(f"viaduct-serving: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"viaduct-serving: {error}", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    try:
        return supervisor.run()
    except (UsageError, OSError) as error:
        print(f"viaduct-serving: {error}", file=sys.stderr)
        return 1
