"""The batcher: every request gets its own rows, whatever else is in its batch."""

import threading
import time
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor, wait

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.errors import InvalidArgument, ResourceExhausted, Unavailable
from serving.execution.batcher import Batcher
from serving.execution.batching_parameters import BatchingParameters
from serving.execution.request import Request


def double(inputs):
    """A model by rows: each output row depends on its own input row alone."""
    return {"y": inputs["x"] * 2, "rows": np.arange(np.size(inputs["x"]))}


def rows(*values):
    return {"x": np.array(values, dtype=np.float32).reshape(len(values), 1)}


class Gate:
    """A model that waits at a gate, so that a test decides what arrives while it runs."""

    def __init__(self, model=double):
        self.model = model
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()
        self.sizes = []

    def __call__(self, inputs):
        self.sizes.append(len(next(iter(inputs.values()))))
        self.entered.release()
        assert self.open.wait(30)
        return self.model(inputs)


@pytest.fixture
def made():
    """Makes batchers and closes them whatever happens."""
    batchers = []

    def make(run, parameters, on_batch=None):
        batchers.append(Batcher(run, parameters, on_batch))
        return batchers[-1]

    yield make
    for batcher in batchers:
        in_thread(batcher.close).result(30)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as made:
        yield made


def in_thread(function, *arguments):
    """Runs it in a thread of its own and returns a future."""
    result = Future()

    def run():
        try:
            result.set_result(function(*arguments))
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return result


def submit(batcher, inputs, pool=None):
    """A future of the request's outputs; `.request` is the request."""
    future = Future()

    def done(request):
        assert not future.done()
        if request.error is not None:
            future.set_exception(request.error)
        else:
            future.set_result(request.result)

    future.request = Request(inputs, done)
    batcher.submit(future.request, pool)
    return future


requests_of_rows = st.lists(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=5), min_size=1, max_size=25
)


@settings(max_examples=60, deadline=None)
@given(
    requests=requests_of_rows,
    lanes=st.integers(1, 3),
    timeout=st.sampled_from([0, 500, 3000]),
    allowed=st.sampled_from([(), (4, 8), (1, 3, 8), (8,)]),
    inline=st.booleans(),
    clients=st.integers(1, 6),
)
def test_every_request_gets_exactly_its_own_rows_in_order(requests, lanes, timeout, allowed, inline, clients):
    ran = []
    batcher = Batcher(
        double,
        BatchingParameters(
            max_batch_size=8,
            batch_timeout_micros=timeout,
            max_enqueued_batches=1000,
            num_batch_threads=lanes,
            allowed_batch_sizes=allowed,
            run_idle_inline=inline,
        ),
        lambda size, padded: ran.append((size, padded)),
    )

    def client(number):
        return [(request, submit(batcher, rows(*request))) for request in requests[number::clients]]

    submitted = [in_thread(client, number) for number in range(clients)]
    for requested, future in [pair for done in submitted for pair in done.result(30)]:
        np.testing.assert_array_equal(future.result(30)["y"], rows(*requested)["x"] * 2)
        assert len(future.result()["rows"]) == len(requested)
    batcher.close()
    assert sum(size for size, _ in ran) == sum(len(request) for request in requests)
    assert all(size <= 8 for size, _ in ran)
    sizes = allowed or range(1, 9)
    assert all(padded == min(s for s in sizes if s >= size) for size, padded in ran)


@settings(max_examples=25, deadline=None)
@given(requests=requests_of_rows, lanes=st.integers(1, 3))
def test_close_runs_everything_that_still_waits(requests, lanes):
    batcher = Batcher(
        double,
        BatchingParameters(
            max_batch_size=16,
            batch_timeout_micros=60_000_000,
            max_enqueued_batches=100,
            num_batch_threads=lanes,
        ),
    )
    futures = [submit(batcher, rows(*request)) for request in requests]
    batcher.close()
    assert all(future.done() for future in futures)
    for request, future in zip(requests, futures, strict=True):
        np.testing.assert_array_equal(future.result()["y"], rows(*request)["x"] * 2)
    with pytest.raises(Unavailable):
        submit(batcher, rows(1.0))


@settings(max_examples=40, deadline=None)
@given(
    kinds=st.lists(
        st.tuples(st.sampled_from(["float32", "float64", "int64"]), st.integers(1, 3)),
        min_size=1,
        max_size=20,
    )
)
def test_only_requests_of_equal_dtype_and_inner_shape_share_a_batch(kinds):
    seen = []

    def model(inputs):
        seen.append((inputs["x"].dtype.name, inputs["x"].shape[1]))
        return {"y": inputs["x"].sum(axis=1)}

    batcher = Batcher(
        model,
        BatchingParameters(max_batch_size=100, batch_timeout_micros=60_000_000, max_enqueued_batches=100),
    )
    futures = [submit(batcher, {"x": np.ones((2, width), dtype)}) for dtype, width in kinds]
    batcher.close()
    for (dtype, width), future in zip(kinds, futures, strict=True):
        result = future.result()["y"]
        assert result.tolist() == [width, width]
        assert result.dtype == dtype
    assert sorted(seen) == sorted(set(kinds))


def test_a_lone_request_runs_on_the_thread_of_its_caller(made):
    threads = []
    batcher = made(
        lambda inputs: threads.append(threading.current_thread()) or double(inputs),
        BatchingParameters.adaptive(),
    )
    before = threading.active_count()
    assert submit(batcher, rows(1, 2)).result(0)["y"].tolist() == [[2], [4]]
    assert threads == [threading.current_thread()]
    assert threading.active_count() == before


def test_what_arrives_while_the_model_runs_is_the_next_batch(made):
    gate = Gate()
    batcher = made(gate, BatchingParameters.adaptive())
    first = in_thread(submit, batcher, rows(1))
    assert gate.entered.acquire(timeout=30)
    later = [submit(batcher, rows(value)) for value in (2, 3, 4)]
    assert batcher.queue_depth == 3
    gate.open.set()
    assert first.result(30).result(30)["y"].tolist() == [[2]]
    assert [f.result(30)["y"].tolist() for f in later] == [[[4]], [[6]], [[8]]]
    assert gate.sizes == [1, 3]
    assert batcher.queue_depth == 0


def test_a_full_queue_refuses_and_recovers(made):
    gate = Gate()
    batcher = made(
        gate,
        BatchingParameters(max_batch_size=2, max_enqueued_batches=2, num_batch_threads=1),
    )
    running = submit(batcher, rows(1, 2))
    assert gate.entered.acquire(timeout=30)
    waiting = [submit(batcher, rows(1)) for _ in range(4)]
    with pytest.raises(
        ResourceExhausted, match=r"batch scheduling queue to which this task was submitted is full$"
    ):
        submit(batcher, rows(1))
    gate.open.set()
    wait([running, *waiting], 30)
    assert submit(batcher, rows(5)).result(30)["y"].tolist() == [[10]]


def test_a_request_larger_than_a_batch_is_refused_with_the_originals_text(made):
    batcher = made(double, BatchingParameters(max_batch_size=2))
    with pytest.raises(InvalidArgument, match=r"^Task size 3 is larger than maximum input batch size 2$"):
        submit(batcher, rows(1, 2, 3))


def test_a_request_larger_than_a_batch_is_sliced_where_the_parameters_say_so(made):
    ran = []
    batcher = made(
        double,
        BatchingParameters(
            max_batch_size=4,
            enable_large_batch_splitting=True,
            max_execution_batch_size=2,
            allowed_batch_sizes=(2,),
        ),
        lambda size, padded: ran.append((size, padded)),
    )
    assert submit(batcher, rows(1, 2, 3, 4, 5)).result(30)["y"].ravel().tolist() == [2, 4, 6, 8, 10]
    assert ran == [(2, 2), (2, 2), (1, 2)]


@pytest.mark.parametrize("values", [1, 2, 3])
def test_what_a_model_gives_per_call_is_not_given_once_per_slice(made, values):
    def model(inputs):
        return {"y": inputs["x"] * 2, "labels": np.arange(values)}

    parameters = BatchingParameters(max_batch_size=2, enable_large_batch_splitting=True)
    answer = submit(made(model, parameters), rows(1, 2, 3, 4)).result(30)
    assert answer["labels"].tolist() == list(range(values))
    assert answer["y"].ravel().tolist() == [2, 4, 6, 8]


def test_slices_that_are_filled_up_to_one_size_do_not_tell_rows_either(made):
    parameters = BatchingParameters(
        max_batch_size=4, enable_large_batch_splitting=True, allowed_batch_sizes=(2, 4)
    )
    batcher = made(lambda inputs: {"y": inputs["x"], "labels": np.arange(4)}, parameters)
    answer = submit(batcher, rows(*range(7))).result(30)
    assert (answer["labels"].tolist(), len(answer["y"])) == ([0, 1, 2, 3], 7)


def test_a_model_that_takes_no_single_row_runs_a_large_request_as_a_whole(made):
    def model(inputs):
        if len(inputs["x"]) == 1:
            raise InvalidArgument("one is too few")
        return double(inputs)

    parameters = BatchingParameters(max_batch_size=2, enable_large_batch_splitting=True)
    answer = submit(made(model, parameters), rows(1, 2, 3, 4)).result(30)
    assert answer["y"].ravel().tolist() == [2, 4, 6, 8]


def test_slices_whose_rows_are_of_unlike_sizes_are_no_whole(made):
    def model(inputs):
        longest = int(inputs["x"].max())
        return {"y": np.tile(inputs["x"], (1, longest))}

    parameters = BatchingParameters(max_batch_size=2, enable_large_batch_splitting=True)
    answer = submit(made(model, parameters), rows(1, 2, 3, 1)).result(30)
    assert answer["y"].tolist() == [[1, 1, 1], [2, 2, 2], [3, 3, 3], [1, 1, 1]]


def test_no_run_is_larger_than_an_execution_may_be(made):
    ran = []
    batcher = made(
        double,
        BatchingParameters(max_batch_size=4, enable_large_batch_splitting=True, max_execution_batch_size=2),
        lambda size, padded: ran.append((size, padded)),
    )
    assert submit(batcher, rows(1, 2, 3)).result(30)["y"].ravel().tolist() == [2, 4, 6]
    assert ran == [(2, 2), (1, 1)]


def test_a_request_that_fills_a_batch_by_itself_shows_that_a_model_is_not_by_rows(made):
    """Later ones could share a batch which has, by chance, as many rows as each call gives values."""
    batcher = made(
        lambda inputs: {"labels": np.arange(3)},
        BatchingParameters(max_batch_size=4, batch_timeout_micros=60_000_000),
    )
    assert submit(batcher, rows(1, 2, 3, 4)).result(30)["labels"].tolist() == [0, 1, 2]
    asked = [submit(batcher, rows(*values)) for values in ([1], [2, 3])]
    assert [future.result(30)["labels"].tolist() for future in asked] == [[0, 1, 2]] * 2


def test_requests_share_no_batch_where_the_model_is_known_not_to_be_by_rows(made):
    ran = []
    batcher = Batcher(
        lambda inputs: {"labels": np.arange(3)},
        BatchingParameters(max_batch_size=3, batch_timeout_micros=60_000_000),
        lambda size, padded: ran.append(size),
        by_rows=False,
    )
    asked = [submit(batcher, rows(*values)) for values in ([1], [2, 3])]
    assert [future.result(0)["labels"].tolist() for future in asked] == [[0, 1, 2]] * 2
    assert ran == [1, 2]


class ClosedPool(Executor):
    """Takes nothing, as a pool that was shut down, after `taken` calls which it keeps."""

    def __init__(self, taken=0):
        self.futures = []
        self.left = taken

    def submit(self, call, /, *arguments):
        if self.left == 0:
            raise RuntimeError("cannot schedule new futures after shutdown")
        self.left -= 1
        self.futures.append(Future())
        return self.futures[-1]


POOLED = [rows(1), rows(*range(1000)), {"x": np.float32(2)}]


@pytest.mark.parametrize("inputs", POOLED, ids=["idle", "oversized", "no rows"])
def test_a_closed_pool_is_unavailable_and_the_batcher_still_closes(made, inputs):
    batcher = made(double, BatchingParameters.adaptive())
    with pytest.raises(Unavailable, match="stopping"):
        submit(batcher, inputs, ClosedPool())
    in_thread(batcher.close).result(30)


@pytest.mark.parametrize("inputs", POOLED, ids=["idle", "oversized", "no rows"])
def test_what_a_pool_took_and_never_ran_is_unavailable_and_the_batcher_still_closes(made, inputs):
    batcher = made(double, BatchingParameters.adaptive())
    pool = ClosedPool(taken=1)
    asked = submit(batcher, inputs, pool)
    assert pool.futures[0].cancel()
    with pytest.raises(Unavailable, match="stopping"):
        asked.result(30)
    in_thread(batcher.close).result(30)


def test_a_pool_that_refuses_and_runs_nevertheless_runs_it_once_or_not_at_all(made):
    """As ThreadPoolExecutor, whose queue has the call when the thread for it cannot be started."""
    late = []

    class Torn(Executor):
        def submit(self, call, /, *arguments):
            late.append(call)
            raise RuntimeError("can't start new thread")

    ran = []
    batcher = made(lambda inputs: ran.append(1) or double(inputs), BatchingParameters.adaptive())
    with pytest.raises(Unavailable):
        submit(batcher, rows(1), Torn())
    late[0]()
    assert ran == []
    assert submit(batcher, rows(1)).result(0)["y"].tolist() == [[2]]
    in_thread(batcher.close).result(30)


@pytest.mark.parametrize("running", [0, 1])
def test_a_batch_thread_that_cannot_start_leaves_nothing_behind(made, monkeypatch, running):
    """With one that runs already the request is answered by it; without, it is refused."""
    batcher = made(double, BatchingParameters(max_batch_size=2, num_batch_threads=2))
    asked = [submit(batcher, rows(1, 2)) for _ in range(running)]
    wait(asked, 30)

    def fail(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        if running:
            asked.append(submit(batcher, rows(3, 4)))
        else:
            with pytest.raises(Unavailable, match="can't start new thread"):
                submit(batcher, rows(3, 4))
    assert batcher.queue_depth == 0 or running
    asked.append(submit(batcher, rows(5, 6)))
    assert all(len(future.result(30)["y"]) == 2 for future in asked)


def test_an_answer_that_nobody_can_be_told_does_not_end_the_batch_thread(made):
    def done(request):
        raise ZeroDivisionError("nobody is there")

    batcher = made(double, BatchingParameters(max_batch_size=2, num_batch_threads=1))
    batcher.submit(Request(rows(1, 2), done))
    assert submit(batcher, rows(3, 4)).result(30)["y"].tolist() == [[6], [8]]


def test_the_adaptive_mode_runs_a_huge_request_alone(made):
    ran = []
    batcher = made(double, BatchingParameters.adaptive(), lambda size, padded: ran.append(size))
    assert len(submit(batcher, rows(*range(1000))).result(30)["y"]) == 1000
    assert ran == [1000]


def test_one_bad_request_fails_alone(made):
    def model(inputs):
        if (inputs["x"] < 0).any():
            raise InvalidArgument("negative")
        return double(inputs)

    batcher = made(model, BatchingParameters(max_batch_size=5, batch_timeout_micros=60_000_000))
    futures = [submit(batcher, rows(value)) for value in (1, 2, -3, 4, 5)]
    assert [f.result(30)["y"].item() for i, f in enumerate(futures) if i != 2] == [2, 4, 8, 10]
    with pytest.raises(InvalidArgument, match="negative"):
        futures[2].result(30)


def test_a_model_whose_output_is_not_by_rows_still_answers_every_request(made):
    gate = Gate(lambda inputs: {"total": inputs["x"].sum()})
    batcher = made(gate, BatchingParameters.adaptive())
    first = in_thread(submit, batcher, rows(1))
    assert gate.entered.acquire(timeout=30)
    later = [submit(batcher, rows(value)) for value in (2, 3)]
    gate.open.set()
    assert first.result(30).result(30)["total"] == 1
    assert [f.result(30)["total"] for f in later] == [2, 3]
    assert submit(batcher, rows(4, 5)).result(0)["total"] == 9


@pytest.mark.parametrize(
    "inputs",
    [
        {"x": np.float32(3)},
        {"x": np.ones((2, 1)), "y": np.ones(3)},
        {"x": np.ones((0, 4))},
        {},
    ],
    ids=["a scalar", "unequal rows", "no rows", "no inputs"],
)
def test_requests_that_have_no_common_rows_run_alone(made, pool, inputs):
    batcher = made(lambda given: dict(given), BatchingParameters(batch_timeout_micros=60_000_000))
    assert set(submit(batcher, inputs).result(0)) == set(inputs)
    assert set(submit(batcher, inputs, pool).result(30)) == set(inputs)


def test_a_caller_that_must_not_wait_is_never_the_one_who_runs(made, pool):
    threads = []
    batcher = made(
        lambda inputs: threads.append(threading.current_thread()) or double(inputs),
        BatchingParameters.adaptive(),
    )
    for inputs in (rows(1), rows(*range(1000)), {"x": np.float32(2)}):
        submit(batcher, inputs, pool)
    batcher.close()
    assert len(threads) == 3
    assert threading.current_thread() not in threads


def test_unlike_inner_sizes_are_filled_up_with_the_first_value_where_asked(made):
    seen = []

    def model(inputs):
        seen.append(inputs["x"].tolist())
        return {"y": inputs["x"].sum(axis=1)}

    batcher = made(
        model,
        BatchingParameters(
            max_batch_size=4,
            batch_timeout_micros=60_000_000,
            allowed_batch_sizes=(4,),
            pad_variable_length_inputs=True,
        ),
    )
    futures = [submit(batcher, {"x": np.array(x)}) for x in ([[1, 2, 3]], [[7]], [[5, 6]])]
    batcher.close()
    assert seen == [[[1, 2, 3], [7, 7, 7], [5, 6, 5], [5, 6, 5]]]
    assert [f.result()["y"].tolist() for f in futures] == [[6], [21], [16]]


def test_an_abandoned_request_does_not_reach_the_model(made):
    gate = Gate()
    batcher = made(gate, BatchingParameters.adaptive())
    in_thread(submit, batcher, rows(1))
    assert gate.entered.acquire(timeout=30)
    gone, stays = submit(batcher, rows(2)), submit(batcher, rows(3))
    gone.request.abandoned = True
    gate.open.set()
    assert stays.result(30)["y"].tolist() == [[6]]
    assert gate.sizes == [1, 1]
    with pytest.raises(CancelledError):
        gone.result(30)


def test_the_timer_of_a_second_batch_runs_while_the_first_executes(made):
    gate = Gate()
    batcher = made(
        gate, BatchingParameters(max_batch_size=8, batch_timeout_micros=20_000, num_batch_threads=2)
    )
    first = submit(batcher, rows(1))
    second = submit(batcher, {"x": np.ones((1, 2), np.float32)})  # another shape: another batch
    assert gate.entered.acquire(timeout=30)
    assert gate.entered.acquire(timeout=30)
    gate.open.set()
    wait([first, second], 30)
    assert gate.sizes == [1, 1]


def test_strings_are_batched_too(made):
    batcher = made(
        lambda inputs: {"y": np.array([len(v) for v in inputs["x"]])},
        BatchingParameters(max_batch_size=2, batch_timeout_micros=60_000_000),
    )
    futures = [submit(batcher, {"x": np.array([text], dtype=object)}) for text in (b"a", b"bcd")]
    assert [f.result(30)["y"].tolist() for f in futures] == [[1], [3]]


def test_close_waits_for_a_request_that_runs_inline(made):
    gate = Gate()
    batcher = made(gate, BatchingParameters.adaptive())
    running = in_thread(submit, batcher, rows(1))
    assert gate.entered.acquire(timeout=30)
    closing = in_thread(batcher.close)
    time.sleep(0.05)
    assert not closing.done()
    gate.open.set()
    closing.result(30)
    assert running.result(30).done()
