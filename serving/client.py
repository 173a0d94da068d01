"""One client for TensorFlow Serving's protocol, over gRPC or REST, blocking or asyncio; numpy in, numpy out.

    with Client("127.0.0.1:8500") as client:             # gRPC; Client("http://127.0.0.1:8501") is REST
        client.predict("digits", {"image": images})      # {"probability": array}
        client.predict_examples("card_fraud", [{"V1": 0.3, "Amount": 12.5}])
        client.metadata("digits").signatures["serving_default"].inputs["image"].shape
        client.status("digits")                          # [VersionStatus(version=2, state="AVAILABLE")]

Errors are `serving.errors`: a call raises a ServingError and nothing else from the network. Its `.code` is
gRPC's status name over both transports: InvalidArgument (the request), NotFound (model, version, label),
FailedPrecondition (signature, model state), ResourceExhausted (a queue is full), DeadlineExceeded (the
timeout of the call), Unavailable (loading, draining, unreachable: repeated with growing waits as `Retry`
says, within the call's timeout), and so on. Wrong arguments that never reach the network raise ValueError.

Works against the real `tensorflow_model_server` as well as ours. Imports neither TensorFlow nor TFX. It does
not balance load over several servers: give it the address of what does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serving.client_async import AsyncClient
from serving.client_base import Connection
from serving.client_grpc import GrpcTransport
from serving.client_protocol import DEFAULT_SIGNATURE, Row, Spec, Steps, T
from serving.client_rest import RestTransport
from serving.client_types import (
    ModelMetadata,
    Retry,
    Scored,
    Signature,
    TensorInfo,
    Tls,
    VersionStatus,
)
from serving.errors import DeadlineExceeded, ServingError, Unavailable

__all__ = [
    "AsyncClient",
    "Client",
    "ModelMetadata",
    "Retry",
    "Scored",
    "ServingError",
    "Signature",
    "TensorInfo",
    "Tls",
    "VersionStatus",
]


class Client(Connection):
    """A blocking client. Thread-safe; one connection (gRPC) or a pool (REST) is made at the first call and
    kept until `close`. Make it after a fork, not before.

    address: `host:port`, `grpc://`, `grpcs://`, `unix:/path`, `http://`, `https://`
    timeout: seconds for a whole call with its repetitions, where the call does not say
    tls: certificates; over gRPC giving it switches encryption on
    headers: sent with each call (an authorization token, say)
    compress: gzip requests
    """

    def __init__(self, address: str, **settings: Any) -> None:
        super().__init__(address, **settings)
        kind = RestTransport if self._where.rest else GrpcTransport
        self._transport = kind(self._where, self._tls, self._headers, self._compress)

    def predict(
        self,
        model: str,
        inputs: Mapping[str, Any] | Any,
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str = DEFAULT_SIGNATURE,
        output_filter: Sequence[str] = (),
        timeout: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Outputs by name. Text comes back as object arrays of bytes.

        inputs: arrays by input name; a bare array where there is only one input. Arrays are sent in the dtype
            they have; lists and numbers are cast to what the signature declares (looked up once, then kept).
        version, label: which of the served versions; neither is the newest.
        output_filter: only these outputs.
        """
        spec = Spec(model, version, label)
        return self._run(self._protocol.predict(spec, inputs, signature, output_filter), timeout)

    def predict_examples(
        self,
        model: str,
        rows: Sequence[Row],
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str = DEFAULT_SIGNATURE,
        output_filter: Sequence[str] = (),
        timeout: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Predict with a signature that takes serialized tf.Examples: each row is a dict of features (text,
        bytes, whole numbers, floats; one or a list; None for a missing one). Write 3.0, not 3, for floats."""
        spec = Spec(model, version, label)
        return self._run(self._protocol.predict_examples(spec, rows, signature, output_filter), timeout)

    def classify(
        self,
        model: str,
        rows: Sequence[Row],
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str = DEFAULT_SIGNATURE,
        timeout: float | None = None,
    ) -> list[list[Scored]]:
        """For each row its classes as (label, score), in the model's order."""
        return self._run(self._protocol.classify(Spec(model, version, label), rows, signature), timeout)

    def regress(
        self,
        model: str,
        rows: Sequence[Row],
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str = DEFAULT_SIGNATURE,
        timeout: float | None = None,
    ) -> np.ndarray:
        """One float32 for each row."""
        return self._run(self._protocol.regress(Spec(model, version, label), rows, signature), timeout)

    def multi_inference(
        self,
        model: str,
        rows: Sequence[Row],
        tasks: Sequence[tuple[str, str]],
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> list[Any]:
        """Several heads over the same rows at once, gRPC only. tasks: ("classify" or "regress", signature);
        the result has, in that order, what `classify` and `regress` return."""
        return self._run(self._protocol.multi_inference(Spec(model, version, label), rows, tasks), timeout)

    def metadata(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> ModelMetadata:
        """The signatures of a served version."""
        return self._run(self._protocol.metadata(Spec(model, version, label)), timeout)

    def status(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> list[VersionStatus]:
        """The state of each version the server knows, or of the one asked for."""
        return self._run(self._protocol.status(Spec(model, version, label)), timeout)

    def reload_config(self, config: Any, *, timeout: float | None = None) -> None:
        """Replaces the server's set of models, gRPC only. config: the text of a model_config_file, a
        pathlib.Path to one, or a ModelServerConfig. Returns when the server has taken it up."""
        return self._run(self._protocol.reload_config(config), timeout)

    def wait_available(
        self, model: str, *, version: int | None = None, timeout: float | None = None
    ) -> list[VersionStatus]:
        """Waits until a version (`version`, or any) is AVAILABLE and returns the status.

        Raises DeadlineExceeded with the last thing known when `timeout` seconds are over.
        """
        deadline = self._deadline(timeout)
        while True:
            known: object
            try:
                states = self.status(model, version=version, timeout=self._left(deadline))
                if any(state.state == "AVAILABLE" for state in states):
                    return states
                known = states
            except DeadlineExceeded:
                raise
            except ServingError as error:
                known = error
            if time.monotonic() + 0.1 > deadline:
                raise DeadlineExceeded(f"Model {model!r} is not available at {self.address}: {known}")
            time.sleep(0.1)

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, steps: Steps[T], timeout: float | None) -> T:
        deadline = self._deadline(timeout)
        try:
            call = next(steps)
            while True:
                try:
                    response = self._send(call, deadline)
                except ServingError as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(response)
        except StopIteration as done:
            return done.value

    def _send(self, call: Any, deadline: float) -> Any:
        for wait in self.retry.waits():
            try:
                return self._transport.send(call, self._left(deadline))
            except Unavailable:
                if time.monotonic() + wait >= deadline:
                    raise
                time.sleep(wait)
        return self._transport.send(call, self._left(deadline))
