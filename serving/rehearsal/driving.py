"""Sends requests to the stages at an even rate, a slice of time to one and then to the other, and keeps what came.

Latencies count from the moment a request was due, so a server that stalls is charged for all that it keeps waiting.
Answers are looked at between the slices: reading them would delay the next request. It judges nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from serving.bench.http2 import CallFailed, Connection, framed
from serving.bench.load import PREDICT
from serving.client.tensors import decode
from serving.rehearsal.stage import Stage
from serving.rehearsal.terms import PACES, PAIRS, Terms
from serving.release.shadow import all_finite
from serving.wire import protos

CONNECTIONS = 4
TIMEOUT_S = 10.0
# Requests that each arm answers before anything is measured, over and above one of each kind.
FIRST = 50
ERRORS_KEPT = 3


class Slice(NamedTuple):
    """What one arm did in one slice: seconds of every good answer."""

    pace: float
    latencies: tuple[float, ...]

    @property
    def p99(self) -> float:
        """Seconds; NaN without answers."""
        return float(np.quantile(self.latencies, 0.99)) if self.latencies else float("nan")


@dataclass
class Arm:
    """One version: its stage, and all that was seen of it. `answers`: by request, the first answer's bytes."""

    stage: Stage
    slices: list[Slice] = field(default_factory=list)
    requests: int = 0
    errors: int = 0
    nonfinite: int = 0
    texts: list[str] = field(default_factory=list)
    answers: dict[int, bytes] = field(default_factory=dict)

    def failed(self, text: str) -> None:
        self.errors += 1
        if len(self.texts) < ERRORS_KEPT and text not in self.texts:
            self.texts.append(text)


def rehearse(arms: Sequence[Arm], payloads: Sequence[bytes], rate: float, terms: Terms) -> None:
    """Every request once to every arm, then slices at each pace, the arms by turns and each first as often as last."""
    asyncio.run(_rehearse(arms, payloads, rate, terms))


async def _rehearse(arms: Sequence[Arm], payloads: Sequence[bytes], rate: float, terms: Terms) -> None:
    messages = [framed(payload) for payload in payloads]
    connections = [_connect(arm.stage.address) for arm in arms]
    try:
        for arm, lines in zip(arms, connections, strict=True):
            for number in range(len(messages) + FIRST):
                await _one(arm, lines, messages, number, None, counted=number < len(messages))
        turn = 0
        for pace in PACES:
            for pair in range(PAIRS):
                order = list(zip(arms, connections, strict=True))
                for arm, lines in order if pair % 2 else reversed(order):
                    await _slice(arm, lines, messages, turn, pace, rate * pace, terms.slice_s(len(arms)))
                turn += round(rate * pace * terms.slice_s(len(arms)))
    finally:
        for lines in connections:
            for line in lines:
                line.close()


def _connect(address: str) -> list[Connection]:
    host, _, port = address.rpartition(":")
    return [Connection(host.strip("[]"), int(port), PREDICT, TIMEOUT_S) for _ in range(CONNECTIONS)]


async def _slice(
    arm: Arm,
    lines: list[Connection],
    messages: list[bytes],
    turn: int,
    pace: float,
    rate: float,
    seconds: float,
) -> None:
    begin = time.perf_counter() + 0.01
    asked = [
        _one(arm, lines, messages, turn + number, begin + number / rate)
        for number in range(max(1, round(rate * seconds)))
    ]
    given = [answer for answer in await asyncio.gather(*asked) if answer is not None]
    arm.slices.append(Slice(pace, tuple(seconds for seconds, *_ in given)))
    for _, number, answer in given:
        _keep(arm, number, answer)
    arm.stage.look()


async def _one(
    arm: Arm,
    lines: list[Connection],
    messages: list[bytes],
    turn: int,
    due: float | None,
    *,
    counted: bool = True,
) -> tuple[float, int, bytes] | None:
    """(seconds from when it was due, which request, the answer); None where it failed."""
    number = turn % len(messages)
    if due is not None and (wait := due - time.perf_counter()) > 0:
        await asyncio.sleep(wait)
    arm.requests += counted
    try:
        answer = await lines[turn % len(lines)].call(messages[number])
    except CallFailed as error:
        if counted:
            arm.failed(f"{error}{'; ' + ended if (ended := arm.stage.ended()) else ''}"[:500])
        return None
    if due is None:
        if counted:
            _keep(arm, number, answer)
        return None
    return time.perf_counter() - due, number, answer


def _keep(arm: Arm, number: int, answer: bytes) -> None:
    """Looks at an answer, unless the same one was given to the same request before."""
    if arm.answers.get(number) == answer:
        return
    arm.answers.setdefault(number, answer)
    if not all_finite(outputs_of(answer)):
        arm.nonfinite += 1


def outputs_of(answer: bytes) -> dict[str, Any]:
    """The arrays of a serialized PredictResponse."""
    response = protos.predict_pb2.PredictResponse.FromString(answer)
    return {name: decode(tensor) for name, tensor in response.outputs.items()}
