"""Runs requests that arrive together as one batch of rows, and gives each request its own rows back.

One `Batcher` stands before one signature of one loaded version. Requests share a batch only where their
inputs have equal names, dtypes and inner shapes, so none can spoil the shapes of its neighbours; and where a
batch fails in the model, its requests are run again one by one, so that only the guilty one fails.

It does not know TensorFlow, messages or deadlines: `run` maps arrays to arrays, both with rows first.
Parameters and their file are in `serving.execution.batching_parameters`.
"""

from __future__ import annotations

import logging
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Executor

from serving.engine.saved_model import Arrays
from serving.errors import InvalidArgument, ResourceExhausted, Unavailable
from serving.execution import rows as rows_of
from serving.execution.batching_parameters import BatchingParameters
from serving.execution.request import Request, last_deadline, run_in
from serving.execution.rows import NotByRows

logger = logging.getLogger(__name__)


class _Batch:
    __slots__ = ("closed", "key", "opened", "requests", "rows")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.requests: list[Request] = []
        self.rows = 0
        self.closed = False
        self.opened = time.monotonic()


class Batcher:
    """Thread-safe; owns `num_batch_threads` threads, started when the first request has to wait.

    run: arrays by name -> arrays by name. Called by several threads at once if num_batch_threads > 1 or if
        requests are run inline.
    on_batch: told (rows, rows after padding) of each run that went through the batcher.
    run_until: the same with a time.monotonic at which the run may end, for runs that nobody needs after it.
    by_rows: False where it is known that some output has not one row per input row: no request shares a run then,
        and none is cut into slices. Otherwise runs tell, at the latest the first one that would go wrong.
    """

    def __init__(
        self,
        run: Callable[[Arrays], Arrays],
        parameters: BatchingParameters,
        on_batch: Callable[[int, int], None] | None = None,
        *,
        by_rows: bool = True,
        run_until: Callable[[Arrays, float], Arrays] | None = None,
    ) -> None:
        self._run_freely = run
        self._run_until = run_until
        self._parameters = parameters
        self._on_batch = on_batch
        self._timeout = parameters.batch_timeout_micros / 1e6
        self._change = threading.Condition(threading.Lock())
        # Guarded by _change: batches in the order they were opened, the last one of each key, who runs now.
        self._batches: deque[_Batch] = deque()
        self._open: dict[Hashable, _Batch] = {}
        self._waiting = 0
        self._running = 0  # in a lane
        self._outside = 0  # in none: requests that cannot share a batch wait for nobody
        self._closed = False
        self._threads: list[threading.Thread] = []
        self._by_rows = by_rows
        # Rows of a run whose outputs had as many, and whether another number of rows has confirmed it: a model that
        # gives three values per call looks as if it went by rows in a run of three.
        self._rows_seen = 0
        self._confirmed = False

    @property
    def queue_depth(self) -> int:
        """Requests that wait for a batch to be run."""
        return self._waiting

    def submit(self, request: Request, pool: Executor | None = None, company: bool = False) -> None:
        """Takes a request in. Where nothing else runs, `run_idle_inline` is set and no `company` follows at once,
        it waits for no batch and wakes no batch thread: it runs before this returns, on the caller's thread, or
        in `pool` where the caller's thread is an event loop. The same goes for requests that cannot be batched
        (an input without rows, inputs with unequal rows).

        Raises ResourceExhausted (queue full), InvalidArgument (more rows than a batch takes), Unavailable
        (closed, or there is no thread to run it), and then never calls the request's `done`; errors of `run` come
        through the request.
        """
        key, rows = rows_of.describe(request.inputs, self._parameters.pad_variable_length_inputs)
        if rows > self._parameters.slice_size:
            self._check_oversized(rows)
            key = None
        request.rows = rows
        with self._change:
            if self._closed:
                raise Unavailable("The model is being unloaded; try again.")
            alone = key is None or not self._by_rows
            at_once = self._parameters.run_idle_inline and not company
            idle = at_once and not self._batches and self._lane_free()
            if alone:
                self._outside += 1
            elif idle:
                self._running += 1
            else:
                self._enqueue(request, key)
        if not (alone or idle):
            return
        if pool is None:
            self._run_at_once(request, alone)
            return

        def never_ran() -> None:
            try:
                request.fail(Unavailable("The server is stopping; try again."))
            finally:
                self._ran(alone)

        try:
            run_in(pool, lambda: self._run_at_once(request, alone), never_ran)
        except BaseException:
            self._ran(alone)
            raise

    def _run_at_once(self, request: Request, alone: bool) -> None:
        try:
            self._execute([request], alone)
        finally:
            self._ran(alone)

    def close(self) -> None:
        """Refuses new requests, runs those that wait at once, and returns when all of them are done."""
        with self._change:
            self._closed = True
            self._change.notify_all()
            while self._running or self._outside or self._batches:
                self._change.wait()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _lane_free(self) -> bool:
        return self._running < self._parameters.num_batch_threads

    def _check_oversized(self, rows: int) -> None:
        """A request of more than a whole batch runs alone where the parameters allow that."""
        limits = self._parameters
        if rows > limits.max_batch_size and not (
            limits.enable_large_batch_splitting or limits.run_idle_inline
        ):
            raise InvalidArgument(
                f"Task size {rows} is larger than maximum input batch size {limits.max_batch_size}"
            )

    def _enqueue(self, request: Request, key: Hashable) -> None:
        batch = self._open.get(key)
        limit = self._parameters.slice_size
        if batch is None or batch.rows + request.rows > limit:
            if len(self._batches) >= self._parameters.max_enqueued_batches:
                raise ResourceExhausted("The batch scheduling queue to which this task was submitted is full")
            self._start_thread()
            if batch is not None:
                batch.closed = True
            batch = _Batch(key)
            self._batches.append(batch)
            self._open[key] = batch
        batch.requests.append(request)
        batch.rows += request.rows
        batch.closed = batch.rows >= limit
        self._waiting += 1
        if self._lane_free():
            self._change.notify()

    def _start_thread(self) -> None:
        """One more thread for a new batch, up to their number. Raises Unavailable where there is none at all."""
        if len(self._threads) == self._parameters.num_batch_threads:
            return
        name = f"{self._parameters.thread_pool_name}-{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            if not self._threads:
                raise Unavailable(f"There is no thread to run a batch: {error}; try again.") from error
            logger.warning("%d batch threads must do for now: %s", len(self._threads), error)
        else:
            self._threads.append(thread)

    def _work(self) -> None:
        while True:
            with self._change:
                batch = self._next()
                if batch is None:
                    return
                self._running += 1
                if self._batches and self._lane_free():
                    # This thread may have been the one that watched the clock for them.
                    self._change.notify()
            try:
                self._execute(batch.requests, alone=False)
            except Exception:
                logger.exception("Outcomes of a batch could not be handed back")
            batch.requests = []
            self._ran(alone=False)

    def _ran(self, alone: bool) -> None:
        with self._change:
            if alone:
                self._outside -= 1
            else:
                self._running -= 1
            if self._closed:
                self._change.notify_all()
            elif self._batches and not alone:
                self._change.notify()

    def _next(self) -> _Batch | None:
        """Waits for a batch that may run now and takes it out; None when closed and all is done."""
        while True:
            now = time.monotonic()
            soonest: float | None = None
            for batch in self._batches if self._lane_free() else ():
                left = self._timeout - (now - batch.opened)
                if batch.closed or self._closed or left <= 0:
                    self._batches.remove(batch)
                    if self._open.get(batch.key) is batch:
                        del self._open[batch.key]
                    self._waiting -= len(batch.requests)
                    return batch
                soonest = left if soonest is None else min(soonest, left)
            if self._closed and not self._batches:
                return None
            self._change.wait(soonest)

    def _execute(self, requests: list[Request], alone: bool) -> None:
        """Runs the requests that somebody still wants, together if that goes well, else one by one. Whatever
        goes wrong, also an interrupt, ends in the requests: one that is never answered is worse."""
        wanted = [request for request in requests if request.begin()]
        if not wanted:
            return
        if not alone:
            try:
                deadline = last_deadline(wanted)
                results = self._together([r.inputs for r in wanted], [r.rows for r in wanted], deadline)
            except NotByRows:
                pass
            except BaseException as error:
                if len(wanted) == 1:
                    wanted[0].fail(error)
                    return
            else:
                for request, result in zip(wanted, results, strict=True):
                    request.finish(result)
                return
        for request in wanted:
            request.settle(self._one, request.inputs, request.rows, request.deadline)

    def _run(self, inputs: Arrays, deadline: float | None) -> Arrays:
        if deadline is None or self._run_until is None:
            return self._run_freely(inputs)
        return self._run_until(inputs, deadline)

    def _together(self, inputs: list[Arrays], rows: list[int], deadline: float | None) -> list[Arrays]:
        """One run for all; each one's rows of it. Raises NotByRows where these cannot be told."""
        total = sum(rows)
        padded = self._padded(total)
        lone = len(inputs) == 1 and padded == total
        outputs = self._run(inputs[0] if lone else rows_of.merge(inputs, padded - total), deadline)
        self._count(total, padded)
        if self._has_rows(outputs, padded):
            return [outputs] if lone else rows_of.split(outputs, rows)
        if lone:
            return [outputs]
        raise NotByRows

    def _has_rows(self, outputs: Arrays, total: int) -> bool:
        """Whether every output of a run of `total` rows has as many; what comes next goes by that."""
        if any(array.shape[:1] != (total,) for array in outputs.values()):
            self._by_rows = False
            return False
        if self._rows_seen != total:
            self._confirmed = self._rows_seen > 0
            self._rows_seen = total
        return True

    def _one(self, inputs: Arrays, rows: int, deadline: float | None) -> Arrays:
        """A request by itself, in slices where it is larger than one run may be and the model goes by rows."""
        limits = self._parameters
        if limits.enable_large_batch_splitting and rows > limits.slice_size and self._by_rows:
            try:
                return self._sliced(inputs, rows, deadline)
            except NotByRows:
                pass
        self._count(rows, rows)
        outputs = self._run(inputs, deadline)
        if rows:
            self._has_rows(outputs, rows)
        return outputs

    def _sliced(self, inputs: Arrays, rows: int, deadline: float | None) -> Arrays:
        """Raises NotByRows where the slices' outputs, put together, are not those of the whole."""
        limit = self._parameters.slice_size
        if self._padded(rows % limit or limit) == self._padded(limit):
            self._confirm(inputs, deadline)
        parts = []
        for start in range(0, rows, limit):
            part = {name: array[start : start + limit] for name, array in inputs.items()}
            parts += self._together([part], [min(limit, rows - start)], deadline)
            if not self._by_rows:
                raise NotByRows
        return rows_of.join(parts)

    def _confirm(self, inputs: Arrays, deadline: float | None) -> None:
        """Slices of one size do not tell rows from what each call gives; a single row does. Asked once."""
        padded = self._padded(1)
        if self._confirmed or padded == self._padded(self._parameters.slice_size):
            return
        row = {name: array[:1] for name, array in inputs.items()}
        try:
            told = self._has_rows(self._run(rows_of.merge([row], padded - 1), deadline), padded)
        except Exception as error:
            raise NotByRows from error
        if not told:
            raise NotByRows

    def _padded(self, rows: int) -> int:
        sizes = self._parameters.allowed_batch_sizes
        place = bisect_left(sizes, rows)
        return sizes[place] if place < len(sizes) else rows

    def _count(self, rows: int, padded: int) -> None:
        if self._on_batch is not None:
            self._on_batch(rows, padded)
