"""When adaptive batching goes through the batcher, and that a call always gives its model back."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

import numpy as np
import pytest

from serving.core.servable import Handle, Harness, ServableId
from serving.errors import DeadlineExceeded, InvalidArgument
from serving.execution import Crowd, Runner


def test_a_lone_client_goes_through_the_batcher_once_in_sixteen_calls():
    crowd = Crowd()
    batched = 0
    for _ in range(160):
        if crowd.expected():
            batched += 1
            with crowd:
                pass
    assert batched == 10


def test_company_keeps_calls_together_until_it_stays_away():
    crowd = Crowd()
    while not crowd.expected():
        pass
    with crowd:
        assert crowd.expected()
        with crowd:
            pass
    together = 0
    while crowd.expected() and together < 100:
        together += 1
        with crowd:
            pass
    assert Crowd.PATIENCE <= together < 100


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
    import threading

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
        def submit(self, inputs, pool):
            raise InvalidArgument("full")

    outcome, harness = called(Model(None, Full()))
    assert outcome.message == "full"
    assert given_back(harness)


def test_wanted_outputs_are_picked_from_a_batch():
    class Ready:
        def submit(self, inputs, pool):
            assert pool is not None, "the event loop must not run the model"
            future = Future()
            future.set_result({"a": 1, "b": 2})
            return future

    outcome, harness = called(Model(None, Ready()), wanted=("b",))
    assert outcome == {"b": 2}
    assert given_back(harness)
