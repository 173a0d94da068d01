"""A request on its way through threads: what it asks, who still wants it, and what became of it.

It does not know where it runs; `serving.execution.runner` and `serving.execution.batcher` decide that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Executor

from serving.engine.saved_model import Arrays
from serving.errors import Unavailable


class Request:
    """Arrays to run, and what became of them: `done(request)` is called once, on the thread that finished it,
    with `result` or `error` set.

    Whoever wants it no more sets `abandoned`; if it has not begun by then, it does not reach the model and its
    error is CancelledError. A concurrent.futures.Future does the same with a lock, a condition and a list, which
    cost more than a request's share of a batch.

    deadline: time.monotonic after which nobody waits for it any more; None: somebody always does
    """

    __slots__ = ("abandoned", "deadline", "done", "error", "inputs", "result", "rows")

    def __init__(
        self, inputs: Arrays, done: Callable[[Request], None], deadline: float | None = None
    ) -> None:
        self.inputs = inputs
        self.deadline = deadline
        self.rows = 0
        self.done = done
        self.result: Arrays = {}
        self.error: BaseException | None = None
        self.abandoned = False

    def begin(self) -> bool:
        """Whether somebody still wants it; if not, it is over."""
        if not self.abandoned:
            return True
        self.fail(CancelledError())
        return False

    def settle(self, run: Callable[..., Arrays], *arguments: object) -> None:
        """Ends with what `run` returns or raises."""
        try:
            result = run(*arguments)
        except BaseException as error:
            self.fail(error)
        else:
            self.finish(result)

    def finish(self, result: Arrays) -> None:
        self.result = result
        self.done(self)

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.done(self)


def last_deadline(requests: Iterable[Request]) -> float | None:
    """Until when a run of these requests is of use to one of them; None: always."""
    deadlines = [request.deadline for request in requests]
    known = [deadline for deadline in deadlines if deadline is not None]
    return max(known) if known and len(known) == len(deadlines) else None


def run_in(pool: Executor, call: Callable[[], None], instead: Callable[[], None]) -> None:
    """Has the pool run `call`, or `instead` where it is shut down before its turn comes: exactly one of them, once.

    Raises Unavailable where the pool takes nothing any more; then neither is run.
    """
    turn = [call]

    def take() -> Callable[[], None] | None:
        with contextlib.suppress(IndexError):
            return turn.pop()
        return None

    def run() -> None:
        taken = take()
        if taken is not None:
            taken()

    try:
        future = pool.submit(run)
    except RuntimeError as error:
        # A pool may complain and nevertheless run what its queue had by then.
        if take() is None:
            return
        raise Unavailable(f"The server is stopping or has no thread left ({error}); try again.") from error
    future.add_done_callback(lambda future: instead() if future.cancelled() else None)
