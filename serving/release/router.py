"""Sends a share of a model's requests to the candidate of a release, and counts what becomes of them in either arm.

A `Visit` is one such request. Where the candidate fails on it, or answers numbers that are none, the baseline answers
instead and the failure is counted: requests do not fail because a version is being tried. The candidate's calls run in
threads of their own, so that one that hangs holds up nobody. Requests to models without a release never come here.
The coroutines belong to the server's event loop. It decides nothing about the release.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np

from serving.core.servable import Handle
from serving.engine.saved_model import Arrays, Signature
from serving.errors import Internal, NotFound, ServingError, Unavailable
from serving.execution.runner import APART
from serving.release.shadow import Shadow, all_finite
from serving.release.split import Split
from serving.release.tally import BASELINE, CANDIDATE, share_name
from serving.wire.model_spec import Spec

T = TypeVar("T")

# The baseline's first answers tell which ones are slow from then on: those beyond the 99th percentile and a slack,
# since the candidate's threads and its cold caches at a small share are no fault of the model.
PACE_ANSWERS = 500
PACE_QUANTILE = 0.99
PACE_SLACK_S = 2e-3
# A version's first answers are slower than it is.
FIRST_ANSWERS = 20
ALONE = 5

Labels = tuple[str, ...]


class Counting(Protocol):
    """A counter by labels, as `serving.telemetry.metrics` has them."""

    def add(self, labels: Labels, amount: float = 1) -> None: ...

    def forget(self, drop: Callable[[Labels], bool]) -> None: ...


@dataclass
class Course:
    """What goes on over a release's shares: how quick the baseline is, and how the candidate has been doing.

    slow_s: from where on an answer is slow; None while the baseline's first ones (`first_s`) are collected
    """

    first_s: list[float] = field(default_factory=list)
    slow_s: float | None = None
    answers: dict[str, int] = field(default_factory=lambda: {BASELINE: 0, CANDIDATE: 0})
    alone: int = 0


class Arms:
    """A split of one model at one share: its counts, and how quick the baseline is. Thread-safe for `count`."""

    def __init__(self, name: str, split: Split, counter: Counting, before: Arms | None = None) -> None:
        self.name = name
        self.split = split
        self._counter = counter
        versions = {BASELINE: str(split.baseline), CANDIDATE: str(split.candidate)}
        share = share_name(split.share)
        self._labels = {
            arm: lambda what, arm=arm, v=version: (name, v, str(split.release), share, arm, what)
            for arm, version in versions.items()
        }
        # Answers in the shadow are given in another way, so their times say nothing.
        same = before is not None and before.split.release == split.release and before.split.share > 0
        self.course: Course = before.course if before is not None and same else Course()

    def count(self, arm: str, what: str, number: float = 1) -> None:
        self._counter.add(self._labels[arm](what), number)

    def answered(self, arm: str, seconds: float) -> None:
        """An answer that was given in so many seconds."""
        course = self.course
        course.answers[arm] += 1
        if course.answers[arm] <= FIRST_ANSWERS:
            return
        if course.slow_s is not None:
            self.count(arm, "timed")
            if seconds > course.slow_s:
                self.count(arm, "slow")
        elif arm == BASELINE:
            course.first_s.append(seconds)
            if len(course.first_s) >= PACE_ANSWERS:
                course.slow_s = float(np.quantile(course.first_s, PACE_QUANTILE)) + PACE_SLACK_S

    def alone(self, failed: bool) -> None:
        """Whether the candidate failed on a request that the baseline answered; five in a row are enough."""
        self.course.alone = self.course.alone + 1 if failed else 0
        if self.course.alone == ALONE:
            self.count(CANDIDATE, "five_alone")


class NotFinite(Internal):
    """The candidate's numbers are none, so the baseline is asked. Never on the wire."""


class Visit:
    """One request on its way through one arm. `apart`: that of the candidate."""

    __slots__ = ("_router", "apart", "arms")

    def __init__(self, router: Router, arms: Arms, apart: bool) -> None:
        self._router = router
        self.arms = arms
        self.apart = apart

    def acquire(self, spec: Spec) -> Handle:
        """The version that this arm has; the baseline's where the candidate is not there."""
        if self.apart:
            try:
                return self._router.acquire(spec.name, self.arms.split.candidate)
            except (NotFound, Unavailable):
                self.apart = False
        return self._router.acquire(spec.name, None)

    @property
    def threads(self) -> str | None:
        """Where a call runs. While two arms answer, neither runs on the loop: their times are to be compared, and a
        candidate that hangs has threads of its own."""
        if self.apart:
            return self.arms.name + APART
        return self.arms.name if self.arms.split.share > 0 else None

    def patience(self, timeout_s: float | None) -> float | None:
        """How long this arm may take: the candidate leaves the baseline half of the time to answer instead."""
        if not self.apart:
            return timeout_s
        most = self.arms.split.patience_s
        return most if timeout_s is None else min(most, timeout_s / 2)

    def saw(self, signature: Signature, inputs: Arrays, wanted: tuple[str, ...], outputs: Arrays) -> None:
        """What a call gave. Raises NotFinite where another version has to be asked."""
        if self.arms.split.shadow:
            self._router.shadow.offer(self.arms, signature, inputs, wanted, outputs)
        elif not all_finite(outputs):
            self.arms.count(CANDIDATE if self.apart else BASELINE, "nonfinite")
            if self.apart:
                raise NotFinite("The version that is being tried answered numbers that are none")

    def failed(self, signature: Signature, inputs: Arrays, wanted: tuple[str, ...]) -> None:
        """A call that gave nothing: the shadow has to see those too, or it would blame the candidate for its own."""
        if self.arms.split.shadow:
            self._router.shadow.offer(self.arms, signature, inputs, wanted, None)


class Router:
    """The splits of a server's models. `follow` may be called from any thread.

    acquire(model, version): a handle; None means the version that requests without one get
    seen(model, split, candidate, key, request id): hears of each request of a split that is recorded
    """

    def __init__(self, acquire: Callable[[str, int | None], Handle], counter: Counting) -> None:
        self.acquire = acquire
        self._counter = counter
        # Replaced whole: requests read it without a lock.
        self.splits: dict[str, Arms] = {}
        self.shadow = Shadow(lambda name, version: acquire(name, version))
        self.seen: Callable[[str, Split, bool, str | None, str], None] = lambda *told: None

    def follow(self, name: str, split: Split | None) -> None:
        """The split of a model from now on."""
        splits = dict(self.splits)
        before = splits.pop(name, None)
        if split is not None:
            # Labels: model, version, release, ... What earlier releases counted stands in their records.
            number = str(split.release)
            self._counter.forget(lambda labels: labels[0] == name and labels[2] != number)
            splits[name] = Arms(name, split, self._counter, before)
        self.splits = splits

    def visit(self, spec: Spec, key: Callable[[], str | None], request_id: str = "") -> Visit | None:
        """The way of a request; None where it is not divided: another model, or one that names its version."""
        if spec.version is not None or spec.label is not None:
            return None
        arms = self.splits.get(spec.name)
        if arms is None:
            return None
        said = key()
        apart = arms.split.share > 0 and arms.split.chosen(said)
        if arms.split.record:
            self.seen(spec.name, arms.split, apart, said, request_id)
        return Visit(self, arms, apart)

    async def answer(self, visit: Visit, call: Callable[[Visit], Awaitable[T]]) -> T:
        """What `call` answers over the visit's arm, or over the baseline's where the candidate fails."""
        arms, started = visit.arms, time.perf_counter()
        # In the shadow the requests that are repeated are counted, by whoever repeats them.
        counts = arms.split.share > 0
        failure: ServingError | None = None
        try:
            result = await call(visit)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if not visit.apart:
                if counts:
                    arms.count(BASELINE, "asked")
                    arms.count(BASELINE, "errors")
                    arms.alone(failed=False)
                raise
            failure = error if isinstance(error, ServingError) else Internal(type(error).__name__)
        else:
            arm = CANDIDATE if visit.apart else BASELINE
            if counts:
                arms.count(arm, "asked")
                arms.answered(arm, time.perf_counter() - started)
            if arm == CANDIDATE:
                arms.alone(failed=False)
            return result
        return await self._rescued(visit, call, failure)

    async def _rescued(self, visit: Visit, call: Callable[[Visit], Awaitable[T]], failure: ServingError) -> T:
        arms = visit.arms
        arms.count(CANDIDATE, "asked")
        if not isinstance(failure, NotFinite):
            arms.count(CANDIDATE, "errors")
        try:
            result = await call(Visit(self, arms, False))
        except ServingError:
            # The request's own fault, as far as anybody can tell.
            arms.alone(failed=False)
            raise
        arms.count(CANDIDATE, "rescued")
        arms.alone(failed=True)
        return result

    def stop(self) -> None:
        self.shadow.stop()
