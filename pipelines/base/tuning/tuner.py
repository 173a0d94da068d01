"""The search: trials, the best three again with other seeds beside the defaults, and the choice among them.

What can be chosen is chosen by the mean over three seeds minus its standard error, so that one lucky training does not
win. Nothing here sees the rows that the Evaluator judges by. The Tuner's executor calls `tune` by its import path.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import logging
import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components import progress
from pipelines.base.errors import ProjectError
from pipelines.base.paths import Paths
from pipelines.base.search import Search
from pipelines.base.tuning.pool import Job, Pool, Start, side_by_side
from pipelines.base.tuning.study import Study
from pipelines.base.tuning.trial import COMPLETE, FAILED, PRUNED, SEED_KEY

FINALISTS, SEEDS = 3, (101, 102, 103)


def tune(given: dict[str, Any], start: Start | None = None) -> dict[str, Any]:
    """Searches as `given` says (see the Tuner's executor); returns the results as `results.json` holds them.

    The same search goes on where an earlier one ended or was killed; another one waits. Raises ProjectError if the
    defaults cannot be trained. `start` begins a training, by default in a child of the warm process.
    """
    search = Search.of(given["search"])
    root = Paths.of(given["project"], given["home"]).home / "tuning" / given["project"]
    folder = root / f"search-{_digest(given, search)}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pool = Pool(given, root / "trials", side_by_side(), start)
        return _Tuning(given, search, Study(folder, search, given["defaults"]), pool).results()


def _digest(given: Mapping[str, Any], search: Search) -> str:
    """One study for the same examples, code, defaults and search, however many trials are asked for."""
    parts = [given["data"], given["code"], given["defaults"], search.plain()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


class _Tuning:
    """One search under way."""

    def __init__(self, given: Mapping[str, Any], search: Search, study: Study, pool: Pool) -> None:
        self._given, self._search, self._study, self._pool = given, search, study, pool
        self._trials: int = given["trials"]
        self._known = 0

    def results(self) -> dict[str, Any]:
        started = time.time()
        # An earlier search may have been stopped after some trials: they are not given out again.
        self._known = len(_ended(self._study))
        self._pool.run(self._jobs(), self._trial_done, lambda job, told: self._study.behind(job.owner, told))
        # Fewer may be asked for than an earlier search had under way.
        trials = _ended(self._study)
        finals = self._finals(trials)
        chosen = max(finals, key=lambda final: self._sign() * final["score"])
        return {
            "metric": self._search.metric,
            "maximise": self._search.maximise,
            "variant": self._given["variant"],
            "profile": self._given["profile"],
            "served": self._given["served"],
            "space": {name: str(one) for name, one in self._search.space.items()},
            "defaults": {name: self._given["defaults"][name] for name in self._search.space},
            "trials": trials,
            "finals": finals,
            "chosen": chosen,
            "importances": self._study.importances(),
            "trained": self._pool.trained,
            "known": self._known,
            "seconds": round(time.time() - started, 1),
        }

    def _sign(self) -> int:
        return 1 if self._search.maximise else -1

    def _jobs(self) -> Iterator[Job]:
        self._say()
        while (one := self._study.next(self._trials)) is not None:
            trial, parameters = one
            yield Job({**self._given["defaults"], **parameters}, self._search.watch, trial)

    def _trial_done(self, job: Job) -> None:
        number, state = job.owner.number, job.result["state"]
        changed = {name: job.parameters[name] for name in self._search.space}
        told = f"{job.result['value']:.6g}" if state == COMPLETE else job.result.get("error", "")
        logging.info("trial %d %s%s %s %s", number, state, " (known)" if job.known else "", told, changed)
        if number == 0 and state == FAILED:
            # Not told to the study: after what was wrong with the machine is mended, it is the first trial again.
            raise ProjectError(
                f"{self._given['project']}: the defaults cannot be trained, so there is nothing to compare with: {told}"
            )
        self._study.tell(job.owner, job.key, job.result)
        self._known += job.known
        self._say()

    def _say(self) -> None:
        ended = _ended(self._study)
        values = [one["value"] for one in ended if one["state"] == COMPLETE]
        figures = {"best": max(values) if self._search.maximise else min(values)} if values else {}
        progress.report(len(ended), self._trials, "trials", force=True, **figures)

    def _finals(self, trials: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The best three trials and the defaults, each trained with three other seeds."""
        finalists = best(trials, self._search.maximise)
        jobs = [
            Job({**self._given["defaults"], **one["parameters"], SEED_KEY: seed}, owner=(place, seed))
            for place, one in enumerate(finalists)
            for seed in SEEDS
        ]
        values: dict[int, list[float]] = {place: [] for place in range(len(finalists))}
        counted = itertools.count()

        def say() -> None:
            progress.report(next(counted), len(jobs), "trainings of the best with other seeds", force=True)

        def done(job: Job) -> None:
            self._known += job.known
            logging.info(
                "seed %d of trial %d: %s", job.owner[1], finalists[job.owner[0]]["number"], job.result
            )
            if job.result["state"] == COMPLETE:
                values[job.owner[0]].append(job.result["value"])
            say()

        say()
        self._pool.run(iter(jobs), done, lambda job, told: False)
        return [
            {
                "trial": one["number"],
                "parameters": one["parameters"],
                **spread(values[place], self._search.maximise),
            }
            for place, one in enumerate(finalists)
            if len(values[place]) == len(SEEDS)
        ] or _none_left(self._given["project"])


def _ended(study: Study) -> list[dict[str, Any]]:
    return [one for one in study.trials() if one["state"] in (COMPLETE, PRUNED, FAILED)]


def _none_left(project: str) -> list[dict[str, Any]]:
    raise ProjectError(
        f"{project}: none of the best trials could be trained with other seeds; see the trials' logs."
    )


def best(trials: Sequence[Mapping[str, Any]], maximise: bool) -> list[Mapping[str, Any]]:
    """The defaults (trial 0), and the best three others that are different."""
    ordered = sorted(
        (one for one in trials if one["state"] == COMPLETE),
        key=lambda one: (-one["value"] if maximise else one["value"], one["number"]),
    )
    different = {json.dumps(one["parameters"], sort_keys=True): one for one in reversed(ordered)}
    kept = [one for one in ordered if different[json.dumps(one["parameters"], sort_keys=True)] is one]
    leading = kept[:FINALISTS]
    return leading + [one for one in kept[FINALISTS:] if one["number"] == 0]


def spread(values: Sequence[float], maximise: bool) -> dict[str, Any]:
    """{'values', 'mean', 'error', 'score'}: the standard error of the mean, and the mean made worse by it."""
    if not values:
        return {"values": [], "mean": math.nan, "error": math.nan, "score": math.nan}
    mean = statistics.fmean(values)
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return {
        "values": list(values),
        "mean": mean,
        "error": error,
        "score": mean - error if maximise else mean + error,
    }
