"""Where a model call runs: at once on the event loop, in a thread, or in its signature's batcher.

Handing a call to a thread costs more than a small model does, so signatures that are known to be quick run
on the loop; all others run in a pool, where they cannot hold up anyone else. Whatever happens to the request
(deadline, lost client), the handle on the model is given back only when the call is over. It does not look at
requests or responses.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from serving.core.servable import Handle
from serving.engine import SavedModel, Signature
from serving.errors import DeadlineExceeded

# A call that takes longer than this would be felt by the other requests on the loop.
QUICK_S = 0.5e-3
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


class Runner:
    """Runs signatures. `observe(model name, seconds)` hears what each call cost. One per server."""

    def __init__(
        self, threads: int = 0, observe: Callable[[str, float], None] = lambda name, s: None
    ) -> None:
        self._pool = ThreadPoolExecutor(threads or 4 * (os.cpu_count() or 1), "model-call")
        self._observe = observe

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
        quick = small and signature.seconds is not None and signature.seconds < QUICK_S
        if quick and (batcher is None or model.adaptive_batching):
            try:
                return self._call(name, signature, inputs, wanted, small)
            finally:
                handle.release()
        if batcher is not None:
            try:
                future = batcher.submit(inputs, here=False)
            except BaseException:
                handle.release()
                raise
            outputs = await self._outcome(future, handle, timeout_s)
            return {name: outputs[name] for name in wanted} if wanted else outputs
        return await self._outcome(
            self._pool.submit(self._call, name, signature, inputs, wanted, small), handle, timeout_s
        )

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

    @staticmethod
    async def _outcome(future: Future[Arrays], handle: Handle, timeout_s: float | None) -> Arrays:
        future.add_done_callback(lambda _: handle.release())
        waiting = asyncio.wrap_future(future)
        if timeout_s is None:
            return await waiting
        try:
            return await asyncio.wait_for(waiting, timeout_s)
        except asyncio.TimeoutError:
            raise DeadlineExceeded(f"Timed out after {timeout_s:g} s waiting for the model") from None

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
