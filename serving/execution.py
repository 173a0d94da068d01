"""Where a model call runs: at once on the event loop, in a thread, or in its signature's batcher.

Handing a call to a thread costs more than a small model does, so signatures that are known to be quick run
on the loop; all others run in a pool, where they cannot hold up anyone else. Whatever happens to the request
(deadline, lost client), the handle on the model is given back only when the call is over. It does not look at
requests or responses.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from serving.core.servable import Handle
from serving.engine import SavedModel, Signature
from serving.errors import DeadlineExceeded

# A call that takes longer than this would be felt by the other requests on the loop.
QUICK_S = 0.5e-3
# A call that takes less costs no more than putting it into a batch would.
TINY_S = 0.1e-3
SMALL_BYTES = 64 * 1024
SMALL_OBJECTS = 64

Arrays = dict[str, np.ndarray]


def _small(inputs: Mapping[str, np.ndarray]) -> bool:
    total = 0
    for array in inputs.values():
        if array.dtype.kind == "O" and array.size > SMALL_OBJECTS:
            return False
        total += array.nbytes
    return total <= SMALL_BYTES


class Crowd:
    """Whether requests for a quick signature come together often enough for batches to pay.

    Calls on the loop follow one another, so nobody could ever be seen waiting. Hence every 16th call takes the
    way through the batcher: whoever arrives in the meantime is company, and as long as there is company all
    calls go that way. A lone client pays for one call in sixteen. Belongs to the event loop.
    """

    PROBE = 16
    PATIENCE = 8

    def __init__(self) -> None:
        self._calls = 0
        self._inside = 0
        self._patience = 0

    def expected(self) -> bool:
        self._calls += 1
        return self._inside > 0 or self._patience > 0 or self._calls % self.PROBE == 0

    def __enter__(self) -> None:
        self._inside += 1
        self._patience = self.PATIENCE if self._inside > 1 else max(0, self._patience - 1)

    def __exit__(self, *_: object) -> None:
        self._inside -= 1


class Deliveries:
    """Brings outcomes from other threads to the event loop: those of one batch wake it once."""

    def __init__(self) -> None:
        self._done: deque[tuple[asyncio.Future[Arrays], Future[Arrays]]] = deque()
        self._woken = False

    def put(
        self, loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[Arrays], outcome: Future[Arrays]
    ) -> None:
        self._done.append((waiter, outcome))
        if not self._woken:
            self._woken = True
            # Nobody is left to be told where the loop has ended.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        # Before looking: whoever puts something down from here on wakes the loop again.
        self._woken = False
        while self._done:
            waiter, outcome = self._done.popleft()
            if waiter.done():
                continue
            if outcome.cancelled():
                waiter.cancel()
            elif (error := outcome.exception()) is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(outcome.result())


def _expire(waiter: asyncio.Future[Arrays], timeout_s: float) -> None:
    if not waiter.done():
        waiter.set_exception(DeadlineExceeded(f"Timed out after {timeout_s:g} s waiting for the model"))


class Runner:
    """Runs signatures. `observe(model name, seconds)` hears what each call cost. One per server."""

    def __init__(
        self, threads: int = 0, observe: Callable[[str, float], None] = lambda name, s: None
    ) -> None:
        self._pool = ThreadPoolExecutor(threads or 4 * (os.cpu_count() or 1), "model-call")
        self._observe = observe
        self._deliveries = Deliveries()

    async def run(
        self,
        handle: Handle,
        signature: Signature,
        inputs: Arrays,
        wanted: tuple[str, ...] = (),
        timeout_s: float | None = None,
    ) -> Arrays:
        """Outputs of one call; releases `handle`. Raises ServingError."""
        model: SavedModel = handle.servable
        name = handle.id.name
        batcher = model.batchers.get(signature.name)
        small = _small(inputs)
        seconds = math.inf if signature.seconds is None else signature.seconds
        quick = small and seconds < QUICK_S
        crowd = model.crowds.get(signature.name) if quick else None
        if crowd is not None and seconds > TINY_S and crowd.expected():
            with crowd:
                return await self._batched(batcher, handle, inputs, wanted, timeout_s)
        if quick and (batcher is None or crowd is not None):
            try:
                return self._call(name, signature, inputs, wanted, small)
            finally:
                handle.release()
        if batcher is not None:
            return await self._batched(batcher, handle, inputs, wanted, timeout_s)
        return await self._outcome(
            self._pool.submit(self._call, name, signature, inputs, wanted, small), handle, timeout_s
        )

    async def _batched(
        self, batcher: Any, handle: Handle, inputs: Arrays, wanted: tuple[str, ...], timeout_s: float | None
    ) -> Arrays:
        try:
            future = batcher.submit(inputs, self._pool)
        except BaseException:
            handle.release()
            raise
        outputs = await self._outcome(future, handle, timeout_s)
        return {name: outputs[name] for name in wanted} if wanted else outputs

    def _call(
        self, name: str, signature: Signature, inputs: Arrays, wanted: tuple[str, ...], small: bool
    ) -> Arrays:
        started = time.perf_counter()
        outputs = signature.run(inputs, wanted)
        seconds = time.perf_counter() - started
        if small:
            signature.timed(seconds)
        self._observe(name, seconds)
        return outputs

    async def _outcome(self, future: Future[Arrays], handle: Handle, timeout_s: float | None) -> Arrays:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Arrays] = loop.create_future()
        timer = None if timeout_s is None else loop.call_later(timeout_s, _expire, waiter, timeout_s)

        def done(_: Future[Arrays]) -> None:
            handle.release()
            self._deliveries.put(loop, waiter, future)

        future.add_done_callback(done)
        try:
            return await waiter
        finally:
            if timer is not None:
                timer.cancel()
            if not future.done():
                future.cancel()

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
