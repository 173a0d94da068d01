"""Where a model call runs: at once on the event loop, in a thread, or in its signature's batcher.

Handing a call to a thread costs more than a small model does, so signatures that are known to be quick run
on the loop; all others run in a pool, where they cannot hold up anyone else. Whatever happens to the request
(deadline, lost client), the handle on the model is given back only when the call is over. It does not look at
requests or responses.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np

from serving.batching import Batcher, Request
from serving.core.servable import Handle
from serving.engine import SavedModel, Signature
from serving.errors import DeadlineExceeded

# A call that takes longer than this would be felt by the other requests on the loop.
QUICK_S = 0.5e-3
# A call that takes less costs about what putting it into a batch does: batches of a few do not pay.
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
    """The requests for one signature with adaptive batching: whether they come together often enough for batches
    to pay, and where they gather.

    Quick calls on the loop follow one another, so nobody could ever be seen waiting. Hence some go to the batcher,
    and a few that arrive in the meantime follow: three at once are a crowd (four where a call is tiny), and as long
    as there is one all calls go that way. A lone client pays for the 16th call, then for ever fewer, down to one in
    256, and never gathers.

    Requests of a crowd arrive one by one, each after some rounds of the loop. They are kept back until a number of
    rounds has brought no other one, which takes a hundred microseconds when the loop is otherwise idle; without
    that, the batch thread would take two or three at a time and fight the loop for the interpreter's lock. Belongs
    to the event loop.
    """

    OFTEN, SELDOM = 16, 256
    CROWD, LARGE_CROWD = 3, 4
    PATIENCE = 8
    QUIET_ROUNDS = 20
    ENOUGH = 32

    def __init__(self) -> None:
        self._needed = self.CROWD
        self._between_probes = self.OFTEN
        self._until_probe = self.OFTEN
        self._followed = 0
        self._inside = 0
        self._patience = 0
        self._gathered: list[Request] = []

    def expected(self, seconds: float) -> bool:
        """Whether a quick call that takes about `seconds` should go to the batcher."""
        self._needed = self.CROWD if seconds > TINY_S else self.LARGE_CROWD
        self._until_probe -= 1
        if self._until_probe == 0:
            self._between_probes = min(2 * self._between_probes, self.SELDOM)
            self._until_probe = self._between_probes
            self._followed = 0
            return True
        if self._inside and self._followed < self._needed:
            self._followed += 1
            return True
        return self._patience > 0

    def __enter__(self) -> None:
        self._inside += 1
        if self._inside >= self._needed:
            self._patience = self.PATIENCE
            self._between_probes = self.OFTEN
        elif self._patience:
            self._patience -= 1

    def __exit__(self, *_: object) -> None:
        self._inside -= 1

    def submit(self, request: Request, batcher: Batcher, pool: Executor) -> None:
        """Now where there is no crowd, else together with the others. Raises or fails the request as `batcher` does."""
        if self._inside < self._needed and self._patience == 0:
            batcher.submit(request, pool)
            return
        self._gathered.append(request)
        if len(self._gathered) == 1:
            asyncio.get_running_loop().call_soon(self._look, batcher, pool, 1, 0)

    def _look(self, batcher: Batcher, pool: Executor, seen: int, quiet: int) -> None:
        count = len(self._gathered)
        quiet = quiet + 1 if count == seen else 0
        if count < self.ENOUGH and quiet < self.QUIET_ROUNDS:
            asyncio.get_running_loop().call_soon(self._look, batcher, pool, count, quiet)
            return
        gathered, self._gathered = self._gathered, []
        for request in gathered:
            try:
                batcher.submit(request, pool, company=count > 1)
            except Exception as error:
                request.fail(error)


class Deliveries:
    """Brings outcomes from other threads to the event loop: those of one batch wake it once."""

    def __init__(self) -> None:
        self._done: deque[tuple[asyncio.Future[Arrays], Request]] = deque()
        self._woken = False

    def put(self, loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[Arrays], request: Request) -> None:
        self._done.append((waiter, request))
        if not self._woken:
            self._woken = True
            # Nobody is left to be told where the loop has ended.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        # Before looking: whoever puts something down from here on wakes the loop again.
        self._woken = False
        while self._done:
            waiter, request = self._done.popleft()
            if waiter.done():
                continue
            if request.error is not None:
                waiter.set_exception(request.error)
            else:
                waiter.set_result(request.result)


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
        crowd = model.crowds.get(signature.name)
        if crowd is not None and quick and not crowd.expected(seconds):
            crowd = batcher = None
        if quick and batcher is None:
            try:
                return self._call(name, signature, inputs, wanted, small)
            finally:
                handle.release()
        submit: Callable[[Request], object]
        if batcher is None:
            call = functools.partial(
                self._call_for, name=name, signature=signature, wanted=wanted, small=small
            )
            submit = functools.partial(self._pool.submit, call)
        elif crowd is None:
            submit = functools.partial(batcher.submit, pool=self._pool)
        else:
            submit = functools.partial(crowd.submit, batcher=batcher, pool=self._pool)
        with crowd or contextlib.nullcontext():
            outputs = await self._outcome(submit, inputs, handle, timeout_s)
        return {alias: outputs[alias] for alias in wanted} if wanted else outputs

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

    def _call_for(
        self, request: Request, name: str, signature: Signature, wanted: tuple[str, ...], small: bool
    ) -> None:
        if request.begin():
            request.settle(self._call, name, signature, request.inputs, wanted, small)

    async def _outcome(
        self, submit: Callable[[Request], object], inputs: Arrays, handle: Handle, timeout_s: float | None
    ) -> Arrays:
        """What becomes of a request that `submit` gives to another thread."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Arrays] = loop.create_future()

        def done(request: Request) -> None:
            handle.release()
            self._deliveries.put(loop, waiter, request)

        request = Request(inputs, done)
        try:
            submit(request)
        except BaseException:
            handle.release()
            raise
        timer = None if timeout_s is None else loop.call_later(timeout_s, _expire, waiter, timeout_s)
        try:
            return await waiter
        finally:
            request.abandoned = True
            if timer is not None:
                timer.cancel()

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
