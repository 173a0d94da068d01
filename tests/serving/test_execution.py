"""When adaptive batching goes through the batcher, and that a call always gives its model back."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import numpy as np
import pytest

from serving.batching import Request
from serving.core.servable import Handle, Harness, ServableId
from serving.errors import DeadlineExceeded, InvalidArgument
from serving.execution import TINY_S, Crowd, Runner

QUICK = 2 * TINY_S


def test_a_lone_client_goes_through_the_batcher_ever_more_seldom():
    crowd = Crowd()
    batched = []
    for call in range(1, 2000):
        if crowd.expected(QUICK):
            batched.append(call)
            with crowd:
                pass
    assert batched == [16, 48, 112, 240, 496, *range(752, 2000, 256)]


def test_two_clients_are_no_crowd():
    crowd = Crowd()
    batched = 0
    for _ in range(1000):
        if crowd.expected(QUICK):
            batched += 1
            with crowd:
                if crowd.expected(QUICK):
                    batched += 1
                    with crowd:
                        pass
    assert batched < 40


def test_tiny_calls_need_a_larger_crowd():
    crowd = Crowd()
    while not crowd.expected(TINY_S):
        pass
    with crowd, crowd, crowd:
        pass
    assert not crowd.expected(TINY_S)
    with contextlib.ExitStack() as stack:
        for _ in range(Crowd.LARGE_CROWD):
            stack.enter_context(crowd)
    assert crowd.expected(TINY_S)


def test_three_keep_calls_together_until_they_stay_away():
    crowd = Crowd()
    while not crowd.expected(QUICK):
        pass
    with crowd:
        assert crowd.expected(QUICK)
        with crowd:
            assert crowd.expected(QUICK)
            with crowd:
                pass
    together = 0
    while crowd.expected(QUICK) and together < 100:
        together += 1
        with crowd:
            pass
    assert Crowd.PATIENCE <= together < 100


class Recorder:
    """In the place of a batcher: what it was given, and whether company was announced."""

    def __init__(self):
        self.taken = []

    def submit(self, request, pool, company=False):
        if not request.inputs:
            raise InvalidArgument("nothing")
        self.taken.append((request.inputs["x"], company))


def test_a_crowd_gathers_until_nobody_comes_any_more():
    batcher, failed = Recorder(), []

    def request(x):
        return Request({} if x is None else {"x": x}, lambda request: failed.append(request.error.message))

    async def go():
        crowd = Crowd()
        with crowd:
            crowd.submit(request(0), batcher, None)
            with crowd, crowd:
                for x in (1, 2, None, 3):
                    crowd.submit(request(x), batcher, None)
                    for _ in range(Crowd.QUIET_ROUNDS // 2):
                        await asyncio.sleep(0)
                assert batcher.taken == [(0, False)]
                for _ in range(2 * Crowd.QUIET_ROUNDS):
                    await asyncio.sleep(0)
                assert batcher.taken == [(0, False), (1, True), (2, True), (3, True)]
                crowd.submit(request(4), batcher, None)
                for _ in range(2 * Crowd.QUIET_ROUNDS):
                    await asyncio.sleep(0)
                assert batcher.taken[4:] == [(4, False)]
                for x in range(100, 100 + Crowd.ENOUGH):
                    crowd.submit(request(x), batcher, None)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert len(batcher.taken) == 5 + Crowd.ENOUGH

    asyncio.run(go())
    assert failed == ["nothing"]


class Model:
    """A model of the test's own in the place of a SavedModel."""

    name = "serving_default"

    def __init__(self, run, batcher=None):
        self.run = run
        self.seconds = None
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
    def fail(inputs, wanted):
        raise InvalidArgument("no")

    for run in (lambda inputs, wanted: {"y": 1}, fail):
        model = Model(run)
        model.seconds = seconds
        outcome, harness = called(model)
        assert outcome == {"y": 1} or outcome.message == "no"
        assert given_back(harness)


def test_a_deadline_leaves_the_model_held_until_the_call_is_over():
    go_on = threading.Event()
    model = Model(lambda inputs, wanted: go_on.wait(20) and {"y": 1})
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
