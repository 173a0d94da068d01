"""Batches on the event loop: company is found, a lone client is left alone."""

import asyncio

import numpy as np
import pytest

from serving.batching import Batcher, BatchingParameters
from serving.batching_loop import LONE, PROBE, Gatherer
from serving.errors import InvalidArgument, Unavailable


class Model:
    def __init__(self):
        self.sizes = []

    def __call__(self, inputs):
        self.sizes.append(len(inputs["x"]))
        if (inputs["x"] < 0).any():
            raise InvalidArgument("negative")
        return {"y": inputs["x"] * 2}


def rows(*values):
    return {"x": np.array(values, dtype=np.float32)}


def gatherer(model):
    return Gatherer(Batcher(model, BatchingParameters.adaptive()))


def test_requests_of_the_same_moment_run_together_and_get_their_own_rows():
    model = Model()

    async def use():
        gather = gatherer(model)
        return await asyncio.gather(*[gather.run(rows(*range(n))) for n in (1, 2, 3)])

    answers = asyncio.run(use())
    assert [a["y"].tolist() for a in answers] == [[0], [0, 2], [0, 2, 4]]
    assert model.sizes == [6]


def test_a_lone_client_soon_runs_at_once_and_company_is_found_again():
    model = Model()
    turns = []

    async def use():
        gather = gatherer(model)
        loop = asyncio.get_running_loop()
        for _ in range(LONE + PROBE):
            waited = []
            loop.call_soon(waited.append, True)  # runs only if the request lets the loop go on
            await gather.run(rows(1))
            turns.append(bool(waited))
        found = 0
        while not found:
            before = len(model.sizes)
            await asyncio.gather(*[gather.run(rows(1)) for _ in range(4)])
            found = max(model.sizes[before:]) > 1
        before = len(model.sizes)
        await asyncio.gather(*[gather.run(rows(1)) for _ in range(4)])
        return model.sizes[before:]

    assert asyncio.run(use()) == [4]
    assert all(turns[:LONE])
    assert turns[LONE:].count(True) == 1


def test_one_bad_request_fails_alone():
    async def use():
        gather = gatherer(Model())
        calls = [gather.run(rows(value)) for value in (1, -1, 3)]
        return await asyncio.gather(*calls, return_exceptions=True)

    good, bad, other = asyncio.run(use())
    assert (good["y"].item(), other["y"].item()) == (2, 6)
    assert isinstance(bad, InvalidArgument)


def test_a_cancelled_request_does_not_reach_the_model():
    model = Model()

    async def use():
        gather = gatherer(model)
        gone, stays = asyncio.create_task(gather.run(rows(1, 1, 1))), asyncio.create_task(gather.run(rows(2)))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(use())["y"].tolist() == [4]
    assert model.sizes == [1]


def test_unlike_and_large_requests_of_one_moment_each_get_their_answer():
    model = Model()

    async def use():
        gather = gatherer(model)
        given = [rows(1), {"x": np.array([1, 2])}, rows(*range(300)), rows(2)]
        return await asyncio.gather(*[gather.run(inputs) for inputs in given])

    answers = asyncio.run(use())
    assert [a["y"].dtype.name for a in answers] == ["float32", "int64", "float32", "float32"]
    assert [len(a["y"]) for a in answers] == [1, 2, 300, 1]
    assert answers[3]["y"].tolist() == [4]


def test_a_closed_batcher_refuses_what_was_gathered():
    async def use():
        batcher = Batcher(Model(), BatchingParameters.adaptive())
        gather = Gatherer(batcher)
        task = asyncio.create_task(gather.run(rows(1)))
        await asyncio.sleep(0)
        batcher.close()
        with pytest.raises(Unavailable):
            await task

    asyncio.run(use())
