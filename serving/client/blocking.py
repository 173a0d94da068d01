"""The blocking client: one method for each thing a model server does.

How to use it is told in `serving.client`; what goes over the wire, in `over_grpc` and `over_rest`. It does not
repeat or time calls by itself: `serving.client.connection` holds what both clients know of a connection.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from serving.client.connection import Connection
from serving.client.over_grpc import GrpcTransport
from serving.client.over_rest import RestTransport
from serving.client.protocol import DEFAULT_SIGNATURE, Row, Spec, Steps, T
from serving.client.results import Heads, ModelMetadata, Outputs, Rows, Values, VersionStatus
from serving.errors import DeadlineExceeded, ServingError, Unavailable


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
        key: str | None = None,
        timeout: float | None = None,
    ) -> Outputs:
        """Outputs by name. Text comes back as object arrays of bytes.

        inputs: arrays by input name; a bare array where there is only one input. Arrays are sent in the dtype
            they have; lists and numbers are cast to what the signature declares (looked up once, then kept).
        version, label: which of the served versions; neither is the newest, or whichever a release gives.
        key: on whose behalf; while a release divides requests, the same key gets the same version. The result's
            `.version` says which one answered.
        output_filter: only these outputs.
        """
        spec = Spec(model, version, label)
        return self._run(self._protocol.predict(spec, inputs, signature, output_filter, key), timeout)

    def predict_examples(
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
        """Predict with a signature that takes serialized tf.Examples: each row is a dict of features (text,
        bytes, whole numbers, floats; one or a list; None for a missing one). Write 3.0, not 3, for floats."""
        spec = Spec(model, version, label)
        return self._run(self._protocol.predict_examples(spec, rows, signature, output_filter, key), timeout)

    def classify(
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
        """For each row its classes as (label, score), in the model's order."""
        return self._run(self._protocol.classify(Spec(model, version, label), rows, signature, key), timeout)

    def regress(
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
        """One float32 for each row."""
        return self._run(self._protocol.regress(Spec(model, version, label), rows, signature, key), timeout)

    def multi_inference(
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
        """Several heads over the same rows at once, gRPC only. tasks: ("classify" or "regress", signature);
        the result has, in that order, what `classify` and `regress` return."""
        return self._run(
            self._protocol.multi_inference(Spec(model, version, label), rows, tasks, key), timeout
        )

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

    def feedback(
        self, model: str, outcomes: Mapping[str, Mapping[str, Any]], *, timeout: float | None = None
    ) -> int:
        """Tells what became of requests, now or days later; how many outcomes are on the server's disk.

            client.feedback("shop", {answer.request_id: {"bought": True, "spent": 12.5}})

        outcomes: by the `.request_id` of a result, outcomes by name: numbers, truth values, texts. Telling one again
            changes nothing, the first counts. InvalidArgument: one is wrong, and none of the call was kept.
        """
        return self._run(self._protocol.feedback(model, outcomes), timeout)

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
        known: object = "no answer"
        while time.monotonic() + 0.1 < deadline:
            try:
                states = self.status(model, version=version, timeout=self._left(deadline))
                if any(state.state == "AVAILABLE" for state in states):
                    return states
                known = states
            except DeadlineExceeded:
                # What was known before is worth more than that the time is over.
                break
            except ServingError as error:
                known = error
            time.sleep(0.1)
        raise DeadlineExceeded(f"Model {model!r} is not available at {self.address}: {known}")

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
            result: T = done.value
            return result

    def _send(self, call: Any, deadline: float) -> Any:
        for wait in self.retry.waits():
            try:
                return self._transport.send(call, self._left(deadline))
            except Unavailable:
                if time.monotonic() + wait >= deadline:
                    raise
                time.sleep(wait)
        return self._transport.send(call, self._left(deadline))
