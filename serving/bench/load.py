"""A closed loop of clients that ask a model server as fast as it answers; what `viaduct bench-serving` runs.

Each of `clients` sends the same prepared request, waits for the answer and sends the next. With `rate` the
requests are due at even times instead, and the latency counts from the due time, so a server that stalls is
charged for everybody it keeps waiting. Runs on one asyncio loop; use it in a process of its own, because a
load generator beside a server in one process measures their quarrel. Payloads are bytes: how they are made is
in `serving.bench.payload`; arguments and printing are in `serving.bench.cli`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from serving.client.protocol import Address

PREDICT = "/tensorflow.serving.PredictionService/Predict"
# Servers and proxies allow at least so many at a time.
CALLS_PER_CONNECTION = 100


@dataclass(frozen=True)
class Load:
    """What to send, and how. `payload` is a serialized PredictRequest (gRPC) or a whole HTTP request. `connections` 0:
    for gRPC four, or as many as the clients need; REST has one per client."""

    address: Address
    payload: bytes
    clients: int = 8
    seconds: float = 10.0
    warm_up: float = 0.5
    rate: float = 0.0
    timeout: float = 10.0
    connections: int = 0


@dataclass
class Seen:
    """One model version as the clients saw it: when first and last, in seconds of the run, and how often."""

    first_s: float
    last_s: float
    count: int = 1


@dataclass
class Result:
    """What came of a load. Latencies in seconds, of good answers; `errors` by status code. `cpu_us`: what the generator
    itself took for a request."""

    seconds: float = 0.0
    cpu_us: float = 0.0
    requests: int = 0
    latencies: array[float] = field(default_factory=lambda: array("d"))
    errors: Counter[str] = field(default_factory=Counter)
    texts: dict[str, str] = field(default_factory=dict)
    versions: dict[int, Seen] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Latency in seconds below which `share` of the good answers came; NaN without any."""
        if not self.latencies:
            return float("nan")
        values = sorted(self.latencies)
        return values[min(len(values) - 1, int(share * len(values)))]

    def as_json(self) -> dict[str, Any]:
        """For machines: latencies as p50, p90, p99 and max in milliseconds."""
        return {
            "seconds": self.seconds,
            "requests": self.requests,
            "rate": self.rate,
            "generator_cpu_us": self.cpu_us,
            "latency_ms": {
                name: None if not self.latencies else self.percentile(share) * 1e3
                for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
            },
            "errors": dict(self.errors),
            "error_texts": self.texts,
            "versions": {str(number): asdict(seen) for number, seen in sorted(self.versions.items())},
        }


class RequestFailed(Exception):
    """One request got no good answer: `code` is a gRPC status name or "HTTP 503"."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


Ask = Callable[[], Awaitable[int]]  # sends the request; the version that answered, 0 where unknown


async def run(load: Load, progress: Callable[[float, Result], None] | None = None) -> Result:
    """Runs the load. `progress(seconds so far, everything so far)` is called once a second."""
    result = Result()
    async with contextlib.AsyncExitStack() as stack:
        connect = _rest if load.address.rest else _grpc
        asks = await connect(load, stack)
        used = time.process_time()
        begin = time.perf_counter() + load.warm_up
        end = begin + load.seconds
        tasks = [asyncio.create_task(_client(ask, i, load, begin, end, result)) for i, ask in enumerate(asks)]
        if progress is not None:
            tasks.append(asyncio.create_task(_report(begin, end, result, progress)))
        await asyncio.gather(*tasks)
        result.seconds = time.perf_counter() - begin
        # The uncounted requests of the warm-up are in the time, so they are estimated in.
        asked = result.requests * (1 + load.warm_up / load.seconds)
        result.cpu_us = (time.process_time() - used) / asked * 1e6 if asked else 0.0
    return result


async def _report(
    begin: float, end: float, result: Result, progress: Callable[[float, Result], None]
) -> None:
    while (now := time.perf_counter()) < end:
        await asyncio.sleep(min(1.0, end - now))
        if (passed := time.perf_counter() - begin) > 0:
            progress(passed, result)


async def _client(ask: Ask, number: int, load: Load, begin: float, end: float, result: Result) -> None:
    """One client: asks until the end. What it starts before `begin` is not counted."""
    due = begin - load.warm_up + (number / load.rate if load.rate else 0.0)
    while True:
        if load.rate:
            if due >= end:
                return
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            start, due = due, due + load.clients / load.rate
        else:
            start = time.perf_counter()
            if start >= end:
                return
        try:
            version = await ask()
        except RequestFailed as error:
            if start >= begin:
                result.requests += 1
                result.errors[error.code] += 1
                result.texts.setdefault(error.code, error.text[:500])
            # A server that refuses at once would otherwise be asked a hundred thousand times a second.
            await asyncio.sleep(0.001)
            continue
        if start < begin:
            continue
        now = time.perf_counter()
        result.requests += 1
        result.latencies.append(now - start)
        seen = result.versions.get(version)
        if seen is None:
            result.versions[version] = Seen(now - begin, now - begin)
        else:
            seen.last_s = now - begin
            seen.count += 1


async def _grpc(load: Load, stack: contextlib.AsyncExitStack) -> list[Ask]:
    from serving.bench.http2 import CallFailed, Connection, framed
    from serving.bench.payload import version_of

    host, _, port = load.address.target.rpartition(":")
    # A few connections rather than one per client: HTTP/2 shares them, as production clients do.
    count = load.connections or max(min(load.clients, 4), -(-load.clients // CALLS_PER_CONNECTION))
    connections = [Connection(host.strip("[]"), int(port), PREDICT, load.timeout) for _ in range(count)]
    for connection in connections:
        stack.callback(connection.close)
    message = framed(load.payload)
    known: dict[bytes, int] = {}

    def ask_on(connection: Connection) -> Ask:
        async def ask() -> int:
            try:
                answer = await connection.call(message)
            except CallFailed as error:
                raise RequestFailed(error.code, error.text) from None
            version = known.get(answer)
            if version is None:
                if len(known) >= 100 or len(answer) > 10_000:
                    known.clear()
                version = known[answer] = version_of(answer)
            return version

        return ask

    return [ask_on(connections[number % count]) for number in range(load.clients)]


async def _rest(load: Load, stack: contextlib.AsyncExitStack) -> list[Ask]:
    connections = [_Http(load) for _ in range(load.clients)]
    for connection in connections:
        stack.callback(connection.close)
    return [connection.ask for connection in connections]


class _Http(asyncio.Protocol):
    """One kept connection that sends the same HTTP request again and again; reconnects where it is closed."""

    _CLOSE = re.compile(rb"\r\nconnection:\s*close", re.IGNORECASE)
    _LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)

    def __init__(self, load: Load) -> None:
        self._load = load
        host, _, port = load.address.target.partition("://")[2].partition("/")[0].rpartition(":")
        self._where = (host.strip("[]"), int(port))
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0 or self._answer is None or self._answer.done():
            return
        match = self._LENGTH.search(self._buffer, 0, head)
        if match is None:
            self._answer.set_exception(RequestFailed("NO LENGTH", "an answer without Content-Length"))
            return
        if len(self._buffer) >= head + 4 + int(match[1]):
            status = int(self._buffer[9:12])
            last = self._CLOSE.search(self._buffer, 0, head) is not None
            body, self._buffer = self._buffer[head + 4 :], b""
            self._answer.set_result((status, body))
            if last:
                self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(RequestFailed("CONNECTION LOST", str(error or "closed by the server")))

    async def ask(self) -> int:
        loop = asyncio.get_running_loop()
        if self._transport is None:
            try:
                self._transport, _ = await loop.create_connection(lambda: self, *self._where)
            except OSError as error:
                raise RequestFailed("NO CONNECTION", str(error)) from None
        self._buffer = b""
        self._answer = loop.create_future()
        assert self._transport is not None
        self._transport.write(self._load.payload)
        timer = loop.call_later(self._load.timeout, self._late)
        try:
            status, body = await self._answer
        finally:
            timer.cancel()
        if status != 200:
            raise RequestFailed(f"HTTP {status}", body.decode(errors="replace"))
        return 0

    def _late(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(RequestFailed("TIMEOUT", f"no answer within {self._load.timeout:g} s"))
        self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
