"""Runs some of the baseline's requests a second time, on the candidate, and compares: nobody waits for it.

A request is offered when its answer is made, from a queue that takes no more than so many and drops the rest; a thread
takes one at a time, so a candidate that hangs costs one thread and nothing else. Both arms' events of these requests
are counted, and how far the answers are apart. The counts say what was dropped.
"""

from __future__ import annotations

import asyncio
import queue
import random
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from serving.core.servable import Handle
from serving.engine.saved_model import Arrays, Signature
from serving.errors import ServingError
from serving.release.tally import BASELINE, CANDIDATE

if TYPE_CHECKING:
    from serving.release.router import Arms

WAITING = 64
# Of one request's arrays: larger ones would hold memory that serving needs.
LARGEST_BYTES = 4 * 2**20
# An answer that is not further from the live one than this, relatively, counts under this name.
DISTANCES = ((1e-6, "apart_1e-6"), (1e-3, "apart_1e-3"), (1e-1, "apart_1e-1"))


class _Offer(NamedTuple):
    arms: Arms
    signature: str
    inputs: Arrays
    wanted: tuple[str, ...]
    outputs: Arrays | None


def all_finite(outputs: Mapping[str, Any]) -> bool:
    """Whether every number of the outputs is one."""
    return all(a.dtype.kind not in "fc" or bool(np.isfinite(a).all()) for a in outputs.values())


def distance(live: Mapping[str, Any], other: Mapping[str, Any]) -> float | None:
    """The largest relative difference between two answers' numbers; None where they are not of one shape.

    |a - b| / max(|a|, |b|, 1e-6); text that differs counts as 1. Numbers that are none are equal to themselves.
    """
    if live.keys() != other.keys():
        return None
    largest = 0.0
    for name, one in live.items():
        two = other[name]
        if one.shape != two.shape:
            return None
        if one.dtype.kind not in "biufc" or two.dtype.kind not in "biufc":
            largest = max(largest, float(bool((one != two).any())))
            continue
        a, b = np.asarray(one, np.complex128), np.asarray(two, np.complex128)
        equal = (a == b) | (np.isnan(a) & np.isnan(b))
        with np.errstate(invalid="ignore", over="ignore"):
            apart = np.abs(a - b) / np.maximum(np.maximum(np.abs(a), np.abs(b)), 1e-6)
        apart = np.where(equal, 0.0, np.nan_to_num(apart, nan=np.inf))
        largest = max(largest, float(apart.max(initial=0.0)))
    return largest


def label_changed(live: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether some row has another label: text or whole numbers that differ, or another largest score of several."""
    for name, one in live.items():
        two = other[name]
        if one.dtype.kind in "OSUiub":
            if bool((one != two).any()):
                return True
        elif one.ndim > 1 and one.shape[-1] > 1 and bool((one.argmax(-1) != two.argmax(-1)).any()):
            return True
    return False


class Shadow:
    """The queue and its thread, which is started by the first request. `offer` belongs to the event loop's thread."""

    def __init__(self, acquire: Callable[[str, int], Handle]) -> None:
        self._acquire = acquire
        self._queue: queue.Queue[_Offer | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None

    def offer(
        self,
        arms: Arms,
        signature: Signature,
        inputs: Arrays,
        wanted: tuple[str, ...],
        outputs: Arrays | None,
    ) -> None:
        """Draws whether a request is repeated, and if so queues it for when its answer has left. Never waits.
        `outputs` None: the baseline failed on it."""
        if random.random() >= arms.split.shadow:
            return
        if sum(a.nbytes for part in (inputs, outputs or {}) for a in part.values()) > LARGEST_BYTES:
            arms.count(CANDIDATE, "dropped")
            return
        offer = _Offer(arms, signature.name, inputs, wanted, outputs)
        asyncio.get_running_loop().call_soon(self._put, offer)

    def _put(self, offer: _Offer) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(offer)
        except queue.Full:
            offer.arms.count(CANDIDATE, "dropped")

    def _work(self) -> None:
        while (offer := self._queue.get()) is not None:
            self._repeat(offer)

    def _repeat(self, offer: _Offer) -> None:
        arms = offer.arms
        try:
            handle = self._acquire(arms.name, arms.split.candidate)
        except ServingError:
            arms.count(CANDIDATE, "dropped")
            return
        outputs: Arrays | None = None
        with handle:
            try:
                signature = handle.servable.signatures[offer.signature]
                outputs = signature.run(offer.inputs, offer.wanted)
            except Exception:
                outputs = None
        for arm, given in ((BASELINE, offer.outputs), (CANDIDATE, outputs)):
            arms.count(arm, "asked")
            if given is None:
                arms.count(arm, "errors")
            elif not all_finite(given):
                arms.count(arm, "nonfinite")
        if outputs is not None and offer.outputs is not None:
            self._compare(arms, offer.outputs, outputs)
        arms.alone(failed=outputs is None and offer.outputs is not None)

    @staticmethod
    def _compare(arms: Arms, live: Arrays, outputs: Arrays) -> None:
        arms.count(CANDIDATE, "compared")
        apart = distance(live, outputs)
        if apart is None:
            arms.count(CANDIDATE, "shape")
            arms.count(CANDIDATE, "changed")
            return
        arms.count(CANDIDATE, next((name for most, name in DISTANCES if apart <= most), "apart_more"))
        if label_changed(live, outputs):
            arms.count(CANDIDATE, "changed")

    def stop(self) -> None:
        """The thread ends when its call does; nobody waits for it."""
        if self._thread is not None:
            while True:
                try:
                    self._queue.put_nowait(None)
                    return
                except queue.Full:
                    self._queue.get_nowait()
