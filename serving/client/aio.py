"""The asyncio client; `serving.client` describes it and exports it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from serving.client.connection import Connection
from serving.client.over_grpc import AsyncGrpcTransport
from serving.client.over_rest import AsyncRestTransport
from serving.client.protocol import DEFAULT_SIGNATURE, Row, Spec, Steps, T
from serving.client.results import Heads, ModelMetadata, Outputs, Rows, Values, VersionStatus
from serving.errors import ServingError, Unavailable


class AsyncClient(Connection):
    """`Client` for asyncio: each method is a coroutine with the same arguments and result. The connection is
    made at the first call, in that call's event loop, and belongs to it; `async with` or `await close()`."""

    def __init__(self, address: str, **settings: Any) -> None:
        super().__init__(address, **settings)
        self._transport: AsyncGrpcTransport | AsyncRestTransport | None = None

    async def predict(
        self,
        model: str,
        inputs: Mapping[str, Any] | Any,
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str = DEFAULT_SIGNATURE,
        output_filter: Sequence[str] = (),
        key: str | None = None,
        timeout: float | None = None,
    ) -> Outputs:
        spec = Spec(model, version, label)
        return await self._run(self._protocol.predict(spec, inputs, signature, output_filter, key), timeout)

    async def predict_examples(
        self,
        model: str,
        rows: Sequence[Row],
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str = DEFAULT_SIGNATURE,
        output_filter: Sequence[str] = (),
        key: str | None = None,
        timeout: float | None = None,
    ) -> Outputs:
        spec = Spec(model, version, label)
        return await self._run(
            self._protocol.predict_examples(spec, rows, signature, output_filter, key), timeout
        )

    async def classify(
        self,
        model: str,
        rows: Sequence[Row],
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str = DEFAULT_SIGNATURE,
        key: str | None = None,
        timeout: float | None = None,
    ) -> Rows:
        return await self._run(
            self._protocol.classify(Spec(model, version, label), rows, signature, key), timeout
        )

    async def regress(
        self,
        model: str,
        rows: Sequence[Row],
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str = DEFAULT_SIGNATURE,
        key: str | None = None,
        timeout: float | None = None,
    ) -> Values:
        return await self._run(
            self._protocol.regress(Spec(model, version, label), rows, signature, key), timeout
        )

    async def multi_inference(
        self,
        model: str,
        rows: Sequence[Row],
        tasks: Sequence[tuple[str, str]],
        *,
        version: int | None = None,
        label: str | None = None,
        key: str | None = None,
        timeout: float | None = None,
    ) -> Heads:
        spec = Spec(model, version, label)
        return await self._run(self._protocol.multi_inference(spec, rows, tasks, key), timeout)

    async def metadata(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> ModelMetadata:
        return await self._run(self._protocol.metadata(Spec(model, version, label)), timeout)

    async def status(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> list[VersionStatus]:
        return await self._run(self._protocol.status(Spec(model, version, label)), timeout)

    async def feedback(
        self, model: str, outcomes: Mapping[str, Mapping[str, Any]], *, timeout: float | None = None
    ) -> int:
        return await self._run(self._protocol.feedback(model, outcomes), timeout)

    async def reload_config(self, config: Any, *, timeout: float | None = None) -> None:
        return await self._run(self._protocol.reload_config(config), timeout)

    async def close(self) -> None:
        if self._transport is not None:
            await self._transport.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, steps: Steps[T], timeout: float | None) -> T:
        deadline = self._deadline(timeout)
        try:
            call = next(steps)
            while True:
                try:
                    response = await self._send(call, deadline)
                except ServingError as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(response)
        except StopIteration as done:
            result: T = done.value
            return result

    async def _send(self, call: Any, deadline: float) -> Any:
        if self._transport is None:
            kind = AsyncRestTransport if self._where.rest else AsyncGrpcTransport
            self._transport = kind(self._where, self._tls, self._headers, self._compress)
        for wait in self.retry.waits():
            try:
                return await self._transport.send(call, self._left(deadline))
            except Unavailable:
                if time.monotonic() + wait >= deadline:
                    raise
                await asyncio.sleep(wait)
        return await self._transport.send(call, self._left(deadline))
