"""Trainings side by side, each a call of the warm process; what was trained before under the same key is not repeated.

A key is the digest of the examples, the code (and metric) and the parameters, seed included. Results are kept under
HOME/tuning/<project>/trials/<key>/. Which training is worth doing is tuner.py's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.base import callers, whole
from pipelines.base.callers import Started
from pipelines.base.errors import ViaductError
from pipelines.base.forkserver import client as forkserver
from pipelines.base.forkserver.client import CallError, Request
from pipelines.base.tuning import trial as trials
from pipelines.base.tuning.steps import Reader
from pipelines.base.tuning.trial import FAILED, PRUNED

# How many trials at once, where not by the number of cores.
PARALLEL_VARIABLE = "VIADUCT_TRIALS"
MOST_BY_DEFAULT = 4
POLL_S = 0.05
Result = dict[str, Any]
Start = Callable[[Request], Started]


@dataclass
class Job:
    """One training: its parameters, seed included. `watch` is '' where it is not to be ended early; `owner` is
    whatever asked for it."""

    parameters: dict[str, Any]
    watch: str = ""
    owner: Any = None
    key: str = ""
    result: Result = field(default_factory=dict)
    known: bool = False


class Pool:
    """The trainings of one tuner. Used by one thread; those that it starts only wait."""

    def __init__(
        self, given: Mapping[str, Any], folder: Path, parallel: int, start: Start | None = None
    ) -> None:
        self._given, self._folder, self._parallel = given, folder, parallel
        self._start = start or (_warm_if_there(Path(given["home"])))
        self._outcomes: queue.Queue[tuple[str, Result]] = queue.Queue()
        self._calls: list[Started] = []
        self.trained = 0

    def key(self, parameters: Mapping[str, Any]) -> str:
        """The digest of examples, code and parameters."""
        parts = [self._given["data"], self._given["code"], self._given["search"]["metric"], dict(parameters)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]

    def run(
        self,
        jobs: Iterator[Job],
        done: Callable[[Job], None],
        behind: Callable[[Job, list[tuple[int, float]]], bool],
    ) -> None:
        """Runs `jobs`, which is asked for one as soon as there is room for it, and tells `done` of each that ended.

        `behind` is told of a job's steps, and says whether it is to be ended. What is under way ends with an exception.
        """
        active: dict[str, tuple[Job, Reader]] = {}
        waiting: list[Job] = []
        try:
            while True:
                while len(active) < self._parallel and (
                    job := waiting.pop() if waiting else next(jobs, None)
                ):
                    job.key = self.key(job.parameters)
                    if job.key in active:
                        # The same is under way: its result will be this one's too.
                        waiting.append(job)
                        break
                    if known := self._known(job):
                        job.result, job.known = known, True
                        done(job)
                    else:
                        active[job.key] = (job, self._begin(job))
                if not active:
                    return
                self._look(active, done, behind)
        finally:
            for call in list(self._calls):
                call.cancel()

    def _look(self, active: dict[str, tuple[Job, Reader]], done: Any, behind: Any) -> None:
        with contextlib.suppress(queue.Empty):
            key, result = self._outcomes.get(timeout=POLL_S)
            job, reader = active.pop(key)
            job.result = result
            behind(job, reader.fresh())
            self.trained += 1
            done(job)
        for job, reader in active.values():
            if fresh := reader.fresh():
                reader.answer(stop=behind(job, fresh))

    def _known(self, job: Job) -> Result:
        """What the job came to before; one that was ended early counts only where it may be again."""
        result = trials.result_in(self._folder / job.key)
        return {} if result.get("state") == PRUNED and not job.watch else result

    def _begin(self, job: Job) -> Reader:
        folder = self._folder / job.key
        folder.mkdir(parents=True, exist_ok=True)
        if trials.result_in(folder):
            (folder / trials.RESULT).unlink()
        whole.write(folder / "parameters.json", json.dumps(job.parameters, indent=1, sort_keys=True))
        reader = Reader(folder)
        threads = max(1, cores() // self._parallel)
        kwargs = {
            "folder": str(folder), "given": dict(self._given), "parameters": job.parameters, "watch": job.watch,
            "threads": threads,
        }  # fmt: skip
        env = {**forkserver.environment(), "VIADUCT_HOME": self._given["home"]}
        # The trial's own progress is not the Tuner's.
        env.pop("VIADUCT_PROGRESS", None)
        call = "pipelines.base.tuning.trial:run"
        started = self._start(Request(call, kwargs, folder / "log.txt", folder / "call.json", env))
        self._calls.append(started)
        threading.Thread(target=self._wait, args=(job.key, started), daemon=True).start()
        return reader

    def _wait(self, key: str, started: Started) -> None:
        try:
            result = started.wait()
        except CallError as error:
            result = {"state": FAILED, "value": None, "error": error.cause}
            if error.refused:
                # It would fail as it did; what was killed may not.
                whole.write(self._folder / key / trials.RESULT, json.dumps(result))
        except ViaductError as error:
            result = {"state": FAILED, "value": None, "error": str(error)}
        self._calls.remove(started)
        self._outcomes.put((key, result))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def side_by_side() -> int:
    """How many trials at once: VIADUCT_TRIALS, else one a core, at most four."""
    said = os.environ.get(PARALLEL_VARIABLE, "")
    if said and not (said.isdecimal() and int(said) > 0):
        raise ViaductError(f"{PARALLEL_VARIABLE} is {said!r}; expected a positive number of trials.")
    return int(said) if said else max(1, min(MOST_BY_DEFAULT, cores()))


def _warm_if_there(home: Path) -> Start:
    """Children of the warm process, or fresh ones where there is none."""
    return callers.warm if forkserver.answers(forkserver.socket_path(home)) else callers.process
