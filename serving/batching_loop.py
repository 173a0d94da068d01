"""Batches on an event loop, without a thread: what the loop reads in one go is run together, on the loop.

For calls that are too quick to be worth a thread's wake-up and too slow to be run once per request (a fraction
of a millisecond). A lone client pays nothing: after a few requests without company each runs at once, and only
every `PROBE`-th waits a few rounds of the loop to see whether that is still so. Slow calls belong into
`Batcher.submit(here=False)`, where they cannot hold up the loop.
"""

from __future__ import annotations

import asyncio

from serving.batching import Arrays, Batcher

# Rounds of the loop without a new request after which the gathered ones are run. A server that reads one
# request per few rounds needs this many to see the others; a round without work costs a few microseconds.
PATIENCE = 16
# So many batches of one in a row mean a lone client.
LONE = 4
# Odd and prime, so that with clients in step it is not always the last of them that probes.
PROBE = 13


class Gatherer:
    """Stands before a Batcher on one event loop; not thread-safe, as everything on a loop."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self._waiting: list[tuple[Arrays, asyncio.Future[Arrays]]] = []
        self._idle_rounds = 0
        self._seen = 0
        self._lone = 0
        self._asked = 0

    async def run(self, inputs: Arrays) -> Arrays:
        """This request's outputs. Raises what `Batcher` raises; may be cancelled while it waits."""
        self._asked += 1
        if not self._waiting and self._lone >= LONE and self._asked % PROBE:
            return self._batcher.run_together([inputs])[0].result()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Arrays] = loop.create_future()
        self._waiting.append((inputs, future))
        if len(self._waiting) == 1:
            self._idle_rounds = 0
            self._seen = 1
            loop.call_soon(self._round, loop)
        return await future

    def _round(self, loop: asyncio.AbstractEventLoop) -> None:
        if len(self._waiting) > self._seen:
            self._seen = len(self._waiting)
            self._idle_rounds = 0
        else:
            self._idle_rounds += 1
        if self._idle_rounds < PATIENCE:
            loop.call_soon(self._round, loop)
            return
        gathered = [(inputs, future) for inputs, future in self._waiting if not future.done()]
        self._waiting = []
        self._lone = 0 if len(gathered) > 1 else self._lone + 1
        try:
            results = self._batcher.run_together([inputs for inputs, _ in gathered])
        except Exception as error:
            for _, future in gathered:
                future.set_exception(error)
            return
        for (_, future), result in zip(gathered, results, strict=True):
            failure = result.exception()
            if failure is not None:
                future.set_exception(failure)
            else:
                future.set_result(result.result())
