"""Whether the quick requests for a signature come in crowds, which are worth batching, and where a crowd gathers.

It measures nothing and runs nothing: `serving.execution.runner` tells it what a call costs and who is inside, and
what has gathered goes to the batcher.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

from serving.execution.batcher import Batcher
from serving.execution.request import Request

# A call that takes less costs about what putting it into a batch does: batches of a few do not pay.
TINY_S = 0.1e-3


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
