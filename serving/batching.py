"""Runs requests that arrive together as one batch of rows, and gives each request its own rows back.

One `Batcher` stands before one signature of one loaded version. Requests share a batch only where their
inputs have equal names, dtypes and inner shapes, so none can spoil the shapes of its neighbours; and where a
batch fails in the model, its requests are run again one by one, so that only the guilty one fails.

It does not know TensorFlow, messages or deadlines: `run` maps arrays to arrays, both with rows first.
Parameters and their file are in `serving.batching_parameters`.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Executor

import numpy as np

from serving.batching_parameters import BatchingParameters
from serving.errors import InvalidArgument, ResourceExhausted, Unavailable

__all__ = ["Batcher", "BatchingParameters", "Request"]

Arrays = dict[str, np.ndarray]


class NotByRows(Exception):
    """The model's output has not one row per input row, so it cannot be divided among requests."""


class Request:
    """Arrays to run, and what became of them: `done(request)` is called once, on the thread that finished it,
    with `result` or `error` set.

    Whoever wants it no more sets `abandoned`; if it has not begun by then, it does not reach the model and its
    error is CancelledError. A concurrent.futures.Future does the same with a lock, a condition and a list, which
    cost more than a request's share of a batch.
    """

    __slots__ = ("abandoned", "done", "error", "inputs", "result", "rows")

    def __init__(self, inputs: Arrays, done: Callable[[Request], None]) -> None:
        self.inputs = inputs
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
    """

    def __init__(
        self,
        run: Callable[[Arrays], Arrays],
        parameters: BatchingParameters,
        on_batch: Callable[[int, int], None] | None = None,
    ) -> None:
        self._run = run
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
        self._by_rows = True

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
        (closed), and then never calls the request's `done`; errors of `run` come through the request.
        """
        key, rows = _describe(request.inputs, self._parameters.pad_variable_length_inputs)
        if rows > self._parameters.max_batch_size:
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
        else:
            pool.submit(self._run_at_once, request, alone)

    def _run_at_once(self, request: Request, alone: bool) -> None:
        self._execute([request], alone)
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
        if not (limits.enable_large_batch_splitting or limits.run_idle_inline):
            raise InvalidArgument(
                f"Task size {rows} is larger than maximum input batch size {limits.max_batch_size}"
            )

    def _enqueue(self, request: Request, key: Hashable) -> None:
        batch = self._open.get(key)
        limit = self._parameters.slice_size
        if batch is None or batch.rows + request.rows > limit:
            if len(self._batches) >= self._parameters.max_enqueued_batches:
                raise ResourceExhausted("The batch scheduling queue to which this task was submitted is full")
            if batch is not None:
                batch.closed = True
            batch = _Batch(key)
            self._batches.append(batch)
            self._open[key] = batch
        batch.requests.append(request)
        batch.rows += request.rows
        batch.closed = batch.rows >= limit
        self._waiting += 1
        if len(self._threads) < self._parameters.num_batch_threads:
            self._start_thread()
        if self._lane_free():
            self._change.notify()

    def _start_thread(self) -> None:
        name = f"{self._parameters.thread_pool_name}-{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

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
            self._execute(batch.requests, alone=False)
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
                results = self._together([r.inputs for r in wanted], [r.rows for r in wanted])
            except NotByRows:
                self._by_rows = False
            except BaseException as error:
                if len(wanted) == 1:
                    wanted[0].fail(error)
                    return
            else:
                for request, result in zip(wanted, results, strict=True):
                    request.finish(result)
                return
        for request in wanted:
            request.settle(self._one, request.inputs, request.rows)

    def _together(self, inputs: list[Arrays], rows: list[int]) -> list[Arrays]:
        total = sum(rows)
        padded = self._padded(total)
        if len(inputs) == 1 and padded == total:
            self._count(total, total)
            return [self._run(inputs[0])]
        outputs = self._run(_merge(inputs, padded - total))
        self._count(total, padded)
        return _split(outputs, rows, padded)

    def _one(self, inputs: Arrays, rows: int) -> Arrays:
        """A request by itself, in slices where it is larger than one run may be."""
        limit = self._parameters.slice_size
        if rows <= limit or not self._parameters.enable_large_batch_splitting:
            self._count(rows, rows)
            return self._run(inputs)
        parts = []
        for start in range(0, rows, limit):
            part = {name: array[start : start + limit] for name, array in inputs.items()}
            parts += self._together([part], [min(limit, rows - start)])
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _padded(self, rows: int) -> int:
        sizes = self._parameters.allowed_batch_sizes
        place = bisect_left(sizes, rows)
        return sizes[place] if place < len(sizes) else rows

    def _count(self, rows: int, padded: int) -> None:
        if self._on_batch is not None:
            self._on_batch(rows, padded)


def _describe(inputs: Arrays, pad: bool) -> tuple[Hashable, int]:
    """(what requests must have in common to share a batch, or None for never; rows)."""
    rows = -1
    parts = []
    for name, array in inputs.items():
        shape = array.shape
        if not shape or rows not in (-1, shape[0]):
            return None, 0
        rows = shape[0]
        parts.append((name, array.dtype, len(shape) if pad and array.size else shape[1:]))
    if rows < 1:
        return None, 0
    return (parts[0] if len(parts) == 1 else frozenset(parts)), rows


def _merge(requests: list[Arrays], padding: int) -> Arrays:
    """The rows of all requests under each other, then the last request's first row `padding` times (a row
    that is known to be valid). Unlike inner sizes are filled up with each array's own first value."""
    merged = {}
    for name in requests[0]:
        arrays = [request[name] for request in requests]
        if padding:
            arrays += [arrays[-1][:1]] * padding
        inner = {array.shape[1:] for array in arrays}
        if len(inner) > 1:
            sizes = tuple(max(column) for column in zip(*inner, strict=True))
            arrays = [_fill_up(array, sizes) for array in arrays]
        merged[name] = np.concatenate(arrays)
    return merged


def _fill_up(array: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    if array.shape[1:] == sizes:
        return array
    result = np.full((array.shape[0], *sizes), array.ravel()[0], dtype=array.dtype)
    result[tuple(slice(0, size) for size in array.shape)] = array
    return result


def _split(outputs: Arrays, rows: list[int], total: int) -> list[Arrays]:
    """Each request's rows of each output, as views. Raises NotByRows where an output is not by rows."""
    for array in outputs.values():
        if not array.shape or array.shape[0] != total:
            raise NotByRows
    results = []
    start = 0
    for count in rows:
        end = start + count
        results.append({name: array[start:end] for name, array in outputs.items()})
        start = end
    return results
