"""When adaptive batching goes through the batcher, and when it leaves a client alone."""

from __future__ import annotations

import asyncio
import contextlib

from serving.errors import InvalidArgument
from serving.execution.crowd import TINY_S, Crowd
from serving.execution.request import Request

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
