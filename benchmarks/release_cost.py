"""What the splitter costs a request whose model has no release: CPU time of whole calls, and of the lines it added.

Calls go through the gRPC and the REST layer of a real server in this process, with a real SavedModel, without sockets.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple


class Cost(NamedTuple):
    call_us: float
    splitter_us: float

    @property
    def ratio(self) -> float:
        """Rate with the splitter / without it."""
        return (self.call_us - self.splitter_us) / self.call_us


class _Context:
    """As much of gRPC's context as a call asks for."""

    def time_remaining(self) -> None:
        return None

    def invocation_metadata(self) -> tuple[Any, ...]:
        return ()


def _model(path: Path) -> None:
    import tensorflow as tf

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 10], tf.float32, "x")])
        def call(self, x: Any) -> Any:
            return {"y": x * 2.0}

    module = Model()
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.call})


async def _cpu_us(call: Callable[[], Awaitable[Any]], times: int) -> float:
    """Median over five rounds, microseconds of this process a call."""
    rounds = []
    for _ in range(5):
        started = time.process_time()
        for _ in range(times):
            await call()
        rounds.append((time.process_time() - started) / times * 1e6)
    return sorted(rounds)[2]


def idle_cost(times: int) -> dict[str, Cost]:
    """By layer, over five rounds of `times` calls."""
    from serving import main as server_main

    with tempfile.TemporaryDirectory() as folder:
        _model(Path(folder) / "m" / "1")
        flags = [f"--model_base_path={folder}/m", "--model_name=m", "--port=0", "--rest_api_port=0"]
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        with server_main.start(flags) as running:
            return asyncio.run(_costs(running.server.handlers, times))


async def _costs(handlers: Any, times: int) -> dict[str, Cost]:
    import numpy as np

    from serving.grpc_api import _Rpc
    from serving.rest.app import ANSWERED_BY, RestApi, RestOptions
    from serving.wire import messages, model_spec, tensors

    request = messages.PredictRequest()
    request.model_spec = model_spec.written(model_spec.Spec("m"))
    tensors.encode(np.ones((1, 10), np.float32), request.inputs.add(key="x").value)
    data, context = request.SerializeToString(), _Context()
    rpc = _Rpc("Predict", messages.PredictRequest, handlers.predict, handlers, None, True)
    api = RestApi(handlers, RestOptions())
    body = b'{"instances": [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]]}'

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    def scope() -> dict[str, Any]:
        return {"method": "POST", "raw_path": b"/v1/models/m:predict", "headers": [], "client": None}

    async def rest() -> None:
        await api.respond(scope(), receive)

    async def bare_rest() -> None:
        """What a REST call has to do for the splitter where there is nothing to split."""
        state: dict[str, Any] = {}
        router = handlers.router
        visit = router.visit(None, None) if router.splits and body else None
        for _ in range(4):
            if visit is not None:
                raise AssertionError("nothing is released")
        state[ANSWERED_BY] = 1
        version = state.get(ANSWERED_BY)
        if version is not None:
            [*api._headers, (b"x-viaduct-version", b"%d" % version)]

    async def bare_grpc() -> None:
        router = handlers.router
        visit = router.visit(None, None) if router.splits else None
        for _ in range(4):
            if visit is not None:
                raise AssertionError("nothing is released")

    async def nothing() -> None:
        pass

    async def grpc() -> None:
        await rpc.run(data, context)

    for call in (grpc, rest):
        await _cpu_us(call, 500)
    empty = await _cpu_us(nothing, times)
    return {
        "gRPC": Cost(await _cpu_us(grpc, times), max(0.0, await _cpu_us(bare_grpc, times) - empty)),
        "REST": Cost(await _cpu_us(rest, times), max(0.0, await _cpu_us(bare_rest, times) - empty)),
    }
