"""Where a model call runs: at once on the event loop, in a thread, or in its signature's batcher.

Handing a call to a thread costs more than a small model does, so signatures that are known to be quick run
on the loop; all others run in threads of their model's own, where they cannot hold up anyone else: neither the loop,
nor other models. A run is cancelled when its deadline has passed. Whatever happens to the request (deadline, lost
client), the handle on the model is given back only when the call is over. It does not look at requests or responses.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import os
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor

from serving.core.servable import Handle
from serving.engine.call import TIMED_OUT
from serving.engine.saved_model import Arrays, SavedModel, Signature
from serving.errors import DeadlineExceeded, Unavailable
from serving.execution.request import Request, run_in
from serving.wire.arrays import Array

# A call that takes longer than this would be felt by the other requests on the loop.
QUICK_S = 0.5e-3
# A signature that has kept the loop for so long so often, not counting what other processes took, never runs there
# again. Once may have been Python's search for garbage.
FELT_S = 10 * QUICK_S
FELT_OFTEN = 2
SMALL_BYTES = 64 * 1024
SMALL_OBJECTS = 64
# Behind a model's name: the threads of a version that is being tried.
APART = " (candidate)"


def _small(inputs: Mapping[str, Array]) -> bool:
    total = 0
    for array in inputs.values():
        if array.dtype.kind == "O" and array.size > SMALL_OBJECTS:
            return False
        total += array.nbytes
    return total <= SMALL_BYTES


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


def _expire(waiter: asyncio.Future[Arrays]) -> None:
    if not waiter.done():
        waiter.set_exception(DeadlineExceeded(TIMED_OUT))


class Runner:
    """Runs signatures. `observe(model name, seconds)` hears what each call cost. One per server.

    threads: calls of one model that may run at once; 0: four per core
    cancel: whether a run is cancelled when its deadline has passed; if not, it goes on in its thread for nobody
    """

    def __init__(
        self,
        threads: int = 0,
        observe: Callable[[str, float], None] = lambda name, s: None,
        *,
        cancel: bool = True,
    ) -> None:
        self._threads = threads or 4 * (os.cpu_count() or 1)
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._observe = observe
        self._cancel = cancel
        self._deliveries = Deliveries()

    def _pool(self, name: str) -> ThreadPoolExecutor:
        """The threads of a model, made as they are needed: one model that hangs never has another's."""
        pool = self._pools.get(name)
        if pool is None:
            pool = self._pools[name] = ThreadPoolExecutor(self._threads, f"call-{name}")
        return pool

    def forget(self, names: Collection[str]) -> None:
        """Lets the threads of other models than these end, when their calls are over."""
        for name in [name for name in self._pools if name.removesuffix(APART) not in names]:
            self._pools.pop(name).shutdown(wait=False)

    async def run(
        self,
        handle: Handle,
        signature: Signature,
        inputs: Arrays,
        wanted: tuple[str, ...] = (),
        timeout_s: float | None = None,
        *,
        threads: str | None = None,
    ) -> Arrays:
        """Outputs of one call; releases `handle`. Raises ServingError. `threads`: never on the loop, but in the threads
        of that name (the model's, or with `APART` behind it its candidate's)."""
        model: SavedModel = handle.servable
        name = handle.id.name
        pool = threads or name
        batcher = model.batchers.get(signature.name)
        small = _small(inputs)
        seconds = math.inf if signature.seconds is None else signature.seconds
        quick = small and signature.steady and seconds < QUICK_S
        crowd = model.crowds.get(signature.name)
        if crowd is not None and quick and not crowd.expected(seconds):
            crowd = batcher = None
        if quick and batcher is None and threads is None:
            used = time.thread_time()
            try:
                return self._call(name, signature, inputs, wanted, small)
            finally:
                handle.release()
                if time.thread_time() - used > FELT_S:
                    signature.felt += 1
                    signature.steady = signature.felt < FELT_OFTEN
        submit: Callable[[Request], object]
        if batcher is None:
            call = functools.partial(self._call, name, signature, inputs, wanted, small)
            submit = functools.partial(self._in_thread, pool=self._pool(pool), call=call)
        elif crowd is None:
            submit = functools.partial(batcher.submit, pool=self._pool(pool))
        else:
            submit = functools.partial(crowd.submit, batcher=batcher, pool=self._pool(pool))
        with crowd or contextlib.nullcontext():
            outputs = await self._outcome(submit, inputs, handle, timeout_s)
        return {alias: outputs[alias] for alias in wanted} if wanted else outputs

    def _call(
        self,
        name: str,
        signature: Signature,
        inputs: Arrays,
        wanted: tuple[str, ...],
        small: bool,
        deadline: float | None = None,
    ) -> Arrays:
        started = time.perf_counter()
        outputs = signature.run(inputs, wanted, deadline)
        seconds = time.perf_counter() - started
        if small:
            signature.timed(seconds)
        self._observe(name, seconds)
        return outputs

    def _in_thread(self, request: Request, pool: Executor, call: Callable[..., Arrays]) -> None:
        def run() -> None:
            if request.begin():
                request.settle(call, request.deadline)

        run_in(pool, run, lambda: request.fail(Unavailable("The server is stopping; try again.")))

    async def _outcome(
        self, submit: Callable[[Request], object], inputs: Arrays, handle: Handle, timeout_s: float | None
    ) -> Arrays:
        """What becomes of a request that `submit` gives to another thread."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Arrays] = loop.create_future()

        def done(request: Request) -> None:
            handle.release()
            self._deliveries.put(loop, waiter, request)

        deadline = time.monotonic() + timeout_s if self._cancel and timeout_s is not None else None
        request = Request(inputs, done, deadline)
        try:
            submit(request)
        except BaseException:
            handle.release()
            raise
        timer = None if timeout_s is None else loop.call_later(timeout_s, _expire, waiter)
        try:
            return await waiter
        finally:
            request.abandoned = True
            if timer is not None:
                timer.cancel()

    def stop(self) -> None:
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
