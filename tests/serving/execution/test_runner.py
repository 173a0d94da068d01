"""A call always gives its model back, whatever becomes of it."""

from __future__ import annotations

import asyncio
import threading
import time

import numpy as np
import pytest

from serving.core.servable import Handle, Harness, ServableId
from serving.errors import DeadlineExceeded, InvalidArgument
from serving.execution.batcher import Batcher
from serving.execution.batching_parameters import BatchingParameters
from serving.execution.runner import FELT_S, Runner


class Model:
    """A model of the test's own in the place of a SavedModel."""

    name = "serving_default"

    def __init__(self, run, batcher=None):
        self.run = run
        self.seconds = None
        self.steady = True
        self.felt = 0
        self.batchers = {} if batcher is None else {self.name: batcher}
        self.crowds = {}

    def timed(self, seconds):
        self.seconds = seconds


def called(model, **arguments):
    """(outcome of one call, whether the handle came back at once, the harness)."""
    harness = Harness(ServableId("m", 1), "/m/1", servable=model)
    harness.acquire()

    async def go():
        runner = Runner(2)
        try:
            inputs = {"x": np.zeros((1, 2), np.float32)}
            return await runner.run(Handle(harness), model, inputs, **arguments)
        finally:
            runner.stop()

    try:
        return asyncio.run(go()), harness
    except Exception as error:
        return error, harness


def given_back(harness):
    harness.retire()
    return harness.drained.wait(10)


@pytest.mark.parametrize("seconds", [None, 1e-5])
def test_a_call_gives_the_model_back_whether_it_works_or_fails(seconds):
    def fail(inputs, wanted, deadline):
        raise InvalidArgument("no")

    for run in (lambda inputs, wanted, deadline: {"y": 1}, fail):
        model = Model(run)
        model.seconds = seconds
        outcome, harness = called(model)
        assert outcome == {"y": 1} or outcome.message == "no"
        assert given_back(harness)


def test_a_deadline_leaves_the_model_held_until_the_call_is_over():
    go_on = threading.Event()
    model = Model(lambda inputs, wanted, deadline: go_on.wait(20) and {"y": 1})
    outcome, harness = called(model, timeout_s=0.05)
    assert isinstance(outcome, DeadlineExceeded)
    harness.retire()
    assert not harness.drained.is_set()
    go_on.set()
    assert harness.drained.wait(10)


def test_a_refusal_of_the_batcher_gives_the_model_back():
    class Full:
        def submit(self, request, pool):
            raise InvalidArgument("full")

    outcome, harness = called(Model(None, Full()))
    assert outcome.message == "full"
    assert given_back(harness)


def test_wanted_outputs_are_picked_from_a_batch():
    class Ready:
        def submit(self, request, pool):
            assert pool is not None, "the event loop must not run the model"
            request.finish({"a": 1, "b": 2})

    outcome, harness = called(Model(None, Ready()), wanted=("b",))
    assert outcome == {"b": 2}
    assert given_back(harness)


def test_outcomes_of_a_batch_come_from_its_thread_and_a_missed_deadline_abandons_the_request():
    held = []

    class Later:
        def submit(self, request, pool):
            held.append(request)

    async def ask(runner, count, **arguments):
        model = Model(None, Later())
        harness = Harness(ServableId("m", 1), "/m/1", servable=model)
        inputs = {"x": np.zeros((1, 2), np.float32)}
        for _ in range(count):
            harness.acquire()
        calls = [runner.run(Handle(harness), model, inputs, **arguments) for _ in range(count)]
        return await asyncio.gather(*calls, return_exceptions=True)

    async def go():
        runner = Runner(1)
        try:
            asking = asyncio.ensure_future(ask(runner, 20))
            late = asyncio.ensure_future(ask(runner, 1, timeout_s=0.05))
            while len(held) < 21:
                await asyncio.sleep(0)
            threading.Thread(target=lambda: [r.finish({"y": i}) for i, r in enumerate(held[:20])]).start()
            outcomes = await asking
            [missed] = await late
            assert [request.abandoned for request in held] == [True] * 21
            held[20].finish({"y": 20})
            await asyncio.sleep(0.01)
            return outcomes, missed
        finally:
            runner.stop()

    outcomes, missed = asyncio.run(go())
    assert outcomes == [{"y": i} for i in range(20)]
    assert isinstance(missed, DeadlineExceeded)


@pytest.mark.parametrize("batched", [False, True])
def test_a_call_that_no_thread_will_run_is_unavailable_and_gives_the_model_back(batched):
    """The server stops: the model's threads take nothing any more, or drop what waits for them."""
    go_on, began = threading.Event(), threading.Event()
    batcher = Batcher(lambda inputs: {"y": 1}, BatchingParameters.adaptive()) if batched else None
    harness = Harness(
        ServableId("m", 1), "/m/1", servable=Model(lambda inputs, wanted, deadline: {"y": 1}, batcher)
    )

    def occupy(inputs, wanted, deadline):
        began.set()
        assert go_on.wait(20)
        return {"y": 2}

    other = Harness(ServableId("m", 2), "/m/2", servable=Model(occupy))
    inputs = {"x": np.zeros((1, 2), np.float32)}

    def ask(runner, harness):
        harness.acquire()
        return asyncio.ensure_future(runner.run(Handle(harness), harness.servable, inputs))

    async def go():
        runner = Runner(1)
        busy = ask(runner, other)
        await asyncio.get_running_loop().run_in_executor(None, began.wait, 20)
        waiting = ask(runner, harness)
        await asyncio.sleep(0)
        runner.stop()
        late = ask(runner, harness)
        go_on.set()
        return await asyncio.gather(busy, waiting, late, return_exceptions=True)

    busy, *refused = asyncio.run(go())
    assert busy == {"y": 2}
    assert [error.code for error in refused] == ["UNAVAILABLE"] * 2
    assert given_back(harness)
    if batcher is not None:
        closing = threading.Thread(target=batcher.close, daemon=True)
        closing.start()
        closing.join(20)
        assert not closing.is_alive()


def test_a_model_that_hangs_leaves_another_its_threads():
    go_on, began = threading.Event(), threading.Event()

    def hang(inputs, wanted, deadline):
        began.set()
        return go_on.wait(20) and {"y": 1}

    stuck = Harness(ServableId("stuck", 1), "/stuck/1", servable=Model(hang))
    free = Harness(
        ServableId("free", 1), "/free/1", servable=Model(lambda inputs, wanted, deadline: {"y": 2})
    )
    inputs = {"x": np.zeros((1, 2), np.float32)}

    async def go():
        runner = Runner(1)

        def ask(harness, **arguments):
            harness.acquire()
            return asyncio.ensure_future(runner.run(Handle(harness), harness.servable, inputs, **arguments))

        hanging = [ask(stuck, timeout_s=0.05) for _ in range(4)]
        await asyncio.get_running_loop().run_in_executor(None, began.wait, 20)
        answer = await ask(free)
        late = await asyncio.gather(*hanging, return_exceptions=True)
        go_on.set()
        runner.stop()
        return answer, late

    answer, late = asyncio.run(go())
    assert answer == {"y": 2}
    assert [str(error) for error in late] == ["Timed out waiting for notification"] * 4
    assert given_back(stuck)
    assert given_back(free)


@pytest.mark.parametrize("cancel", [True, False])
def test_a_call_in_a_thread_hears_until_when_it_may_run(cancel):
    heard = []

    def run(inputs, wanted, deadline):
        heard.append(deadline)
        return {"y": 1}

    model = Model(run)
    harness = Harness(ServableId("m", 1), "/m/1", servable=model)
    harness.acquire()
    inputs = {"x": np.zeros((1, 2), np.float32)}

    async def go():
        runner = Runner(1, cancel=cancel)
        try:
            await runner.run(Handle(harness), model, inputs, (), 5.0)
        finally:
            runner.stop()

    before = time.monotonic()
    asyncio.run(go())
    [deadline] = heard
    assert (deadline is not None and before + 4 < deadline < before + 60) == cancel


def test_a_signature_that_has_kept_the_loop_twice_never_runs_there_again():
    def busy(inputs, wanted, deadline):
        end = time.thread_time() + 2 * FELT_S
        while time.thread_time() < end:
            pass
        return {"y": threading.current_thread().name}

    model = Model(busy)
    model.seconds = 1e-5
    harness = Harness(ServableId("m", 1), "/m/1", servable=model)
    inputs = {"x": np.zeros((1, 2), np.float32)}

    async def go():
        runner = Runner(1)
        places = []
        for _ in range(3):
            harness.acquire()
            model.seconds = 1e-5
            places.append((await runner.run(Handle(harness), model, inputs))["y"])
        runner.stop()
        return places

    first, second, third = asyncio.run(go())
    assert first == second == threading.current_thread().name
    assert third.startswith("call-m")
