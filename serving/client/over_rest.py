"""The client's REST side: TensorFlow Serving's URLs and JSON bodies, responses read into plain values.

`RestProtocol` is pure (no sockets); `RestTransport` and `AsyncRestTransport` send one call with httpx, which
is imported when the first of them is made. JSON knows no dtypes, so `RestProtocol` looks the signature up
before the first predict and casts what comes back. What REST does not have: multi_inference, reload_config.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from serving.client.protocol import Address, Protocol, Row, Spec, Steps
from serving.client.results import (
    Heads,
    ModelMetadata,
    Outputs,
    Rows,
    Scored,
    Signature,
    TensorInfo,
    Tls,
    Values,
    VersionStatus,
)
from serving.client.tensors import dtype_name, numpy_dtype
from serving.errors import (
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    ServingError,
    Unreachable,
    error_of,
)
from serving.errors import Unimplemented as _Unimplemented
from serving.release.split import KEY, VERSION
from serving.wire.arrays import Array
from serving.wire.feedback import REQUEST_ID

_CODE_OF_HTTP = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class RestCall(NamedTuple):
    """`key`: on whose behalf, for a server that divides its requests."""

    method: str
    path: str
    body: Any = None
    key: str | None = None


class Answer(dict[str, Any]):
    """A JSON object that was answered, and what headers say: the version that did, and the request's id."""

    version: int | None = None
    request_id: str | None = None


class RestProtocol(Protocol):
    """See `Protocol`. Sends the column format ("inputs"), which carries every shape."""

    def needs_signature(self, inputs: Any) -> bool:
        return True

    def request(
        self,
        spec: Spec,
        inputs: dict[str, Any],
        info: Signature | None,
        signature: str,
        outputs: Sequence[str],
        key: str | None,
    ) -> Steps[Outputs]:
        assert info is not None
        unknown = [name for name in outputs if name not in info.outputs]
        if unknown:
            raise InvalidArgument(
                f"output tensor alias not found in signature: {unknown[0]} Outputs expected to be in the set "
                f"{{{','.join(info.outputs)}}}."
            )
        columns = {name: _to_json(array) for name, array in inputs.items()}
        body = {"signature_name": signature, "inputs": columns}
        answer = yield RestCall("POST", _path(spec) + ":predict", body, key)
        values = _member(answer, "outputs")
        if len(info.outputs) == 1:
            values = {next(iter(info.outputs)): values}
        found = Outputs(
            (name, _from_json(value, info.outputs[name].dtype if name in info.outputs else None))
            for name, value in values.items()
            if not outputs or name in outputs
        )
        found.version, found.request_id = _told(answer)
        return found

    def classify(
        self, spec: Spec, rows: Sequence[Row], signature: str, key: str | None = None
    ) -> Steps[Rows]:
        body = {"signature_name": signature, "examples": [_example_json(row) for row in rows]}
        answer = yield RestCall("POST", _path(spec.check()) + ":classify", body, key)
        found = Rows(
            [Scored(str(label), float(score)) for label, score in row] for row in _member(answer, "results")
        )
        found.version, found.request_id = _told(answer)
        return found

    def regress(
        self, spec: Spec, rows: Sequence[Row], signature: str, key: str | None = None
    ) -> Steps[Values]:
        body = {"signature_name": signature, "examples": [_example_json(row) for row in rows]}
        answer = yield RestCall("POST", _path(spec.check()) + ":regress", body, key)
        found = np.array(_member(answer, "results"), dtype=np.float32).view(Values)
        found.version, found.request_id = _told(answer)
        return found

    def multi_inference(
        self,
        spec: Spec,
        rows: Sequence[Row],
        tasks: Sequence[tuple[str, str]],
        key: str | None = None,
    ) -> Steps[Heads]:
        raise _Unimplemented("The REST API has no MultiInference; use a gRPC address ('host:port').")
        yield

    def reload_config(self, config: Any) -> Steps[None]:
        raise _Unimplemented("The REST API cannot reload the model config; use a gRPC address ('host:port').")
        yield

    def feedback(self, model: str, outcomes: Mapping[str, Mapping[str, Any]]) -> Steps[int]:
        given = [{**values, "request_id": request_id} for request_id, values in outcomes.items()]
        answer = yield RestCall("POST", _path(Spec(model)) + ":feedback", {"outcomes": given})
        return int(_member(answer, "kept"))

    def metadata(self, spec: Spec) -> Steps[ModelMetadata]:
        answer = yield RestCall("GET", _path(spec.check()) + "/metadata")
        definitions = _member(_member(_member(answer, "metadata"), "signature_def"), "signature_def")
        version = int(_member(answer, "model_spec").get("version", 0))
        signatures = {name: _signature(name, value) for name, value in sorted(definitions.items())}
        return ModelMetadata(spec.model, version, signatures)

    def status(self, spec: Spec) -> Steps[list[VersionStatus]]:
        answer = yield RestCall("GET", _path(spec.check()))
        return [
            VersionStatus(
                int(item["version"]),
                item["state"],
                item.get("status", {}).get("error_code", "OK"),
                item.get("status", {}).get("error_message", ""),
            )
            for item in _member(answer, "model_version_status")
        ]


def _path(spec: Spec) -> str:
    path = f"/v1/models/{quote(spec.model, safe='')}"
    if spec.version is not None:
        path += f"/versions/{spec.version}"
    elif spec.label is not None:
        path += f"/labels/{quote(spec.label, safe='')}"
    return path


def _told(answer: Any) -> tuple[int | None, str | None]:
    return (answer.version, answer.request_id) if isinstance(answer, Answer) else (None, None)


def _member(answer: Any, name: str) -> Any:
    if not isinstance(answer, dict) or name not in answer:
        raise Internal(
            f"The answer lacks {name!r}; got {str(answer)[:200]!r}. Is this a TensorFlow Serving REST API?"
        )
    return answer[name]


def _signature(name: str, definition: Mapping[str, Any]) -> Signature:
    method = definition.get("method_name", "").rpartition("/")[2]
    inputs, outputs = (
        {key: _tensor(key, info) for key, info in sorted(definition.get(side, {}).items())}
        for side in ("inputs", "outputs")
    )
    return Signature(name, method, inputs, outputs, frozenset(definition.get("defaults", {})))


def _tensor(name: str, info: Mapping[str, Any]) -> TensorInfo:
    shape = info.get("tensor_shape", {})
    sizes = [int(dim.get("size", -1)) for dim in shape.get("dim", [])]
    known = None if shape.get("unknown_rank") else tuple(None if size < 0 else size for size in sizes)
    return TensorInfo(name, dtype_name(info.get("dtype", "")), known)


def _to_json(array: Array) -> Any:
    """Nested lists; bytes as {"b64": ...}. NaN and Infinity travel as those words, as the original does."""
    if array.dtype.kind == "c":
        raise InvalidArgument("JSON has no complex numbers; use a gRPC address ('host:port').")
    if array.dtype.kind in "USO":
        return _deep(array.tolist(), _text_json)
    if array.dtype.kind not in "biuf":
        array = array.astype(np.float32)
    return array.tolist()


def _text_json(value: Any) -> Any:
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _deep(value: Any, change: Any) -> Any:
    return [_deep(item, change) for item in value] if isinstance(value, list) else change(value)


def _from_json(value: Any, dtype: str | None) -> Array:
    if dtype == "object":
        return np.array(_deep(value, _text_bytes), dtype=object)
    return np.array(value, dtype=numpy_dtype(dtype) if dtype else None)


def _text_bytes(value: Any) -> bytes:
    if isinstance(value, dict) and "b64" in value:
        return base64.b64decode(value["b64"])
    return str(value).encode()


def _example_json(row: Row) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, np.ndarray | np.generic):
            value = value.tolist()
        if isinstance(value, tuple):
            value = list(value)
        if value is not None and value != []:
            result[name] = _deep(value, _text_json)
    return result


def _decode(status: int, text: str, headers: Mapping[str, str]) -> Any:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if status == 200 and answer is not None:
        version = headers.get(VERSION, "")
        if isinstance(answer, dict) and version.isdecimal():
            answer = Answer(answer)
            answer.version, answer.request_id = int(version), headers.get(REQUEST_ID)
        return answer
    message = answer.get("error") if isinstance(answer, dict) else None
    raise error_of(
        _CODE_OF_HTTP.get(status, "UNKNOWN"),
        message or f"HTTP {status} without a TensorFlow Serving body: {text[:200]!r}",
    )


class RestTransport:
    """A pool of kept connections. Thread-safe. `send` raises ServingError only. Its timeout bounds each wait
    for the network (connect, write, read), so a server that trickles bytes may take longer in all."""

    def __init__(self, address: Address, tls: Tls | None, headers: Mapping[str, str], compress: bool) -> None:
        if tls is not None and not address.secure:
            raise ValueError(f"tls={tls!r} with a http:// address; write https://")
        self._base = address.target
        self._compress = compress
        self._open(headers, **_connection(address, tls))

    def _open(self, headers: Mapping[str, str], **options: Any) -> None:
        import httpx

        self._http: Any = httpx.Client(headers=dict(headers), **options)

    def _request(self, call: RestCall, timeout: float) -> dict[str, Any]:
        request: dict[str, Any] = {
            "method": call.method,
            "url": self._base + call.path,
            "timeout": max(timeout, 1e-3),
        }
        if call.key is not None:
            request["headers"] = {KEY: call.key}
        if call.body is not None:
            content = json.dumps(call.body, separators=(",", ":")).encode()
            request.setdefault("headers", {})["Content-Type"] = "application/json"
            if self._compress:
                content = gzip.compress(content, compresslevel=1)
                request["headers"]["Content-Encoding"] = "gzip"
            request["content"] = content
        return request

    def send(self, call: RestCall, timeout: float) -> Any:
        try:
            response = self._http.request(**self._request(call, timeout))
        except Exception as error:
            raise _translate(error, self._base, timeout) from error
        return _decode(response.status_code, response.text, response.headers)

    def close(self) -> None:
        self._http.close()


class AsyncRestTransport(RestTransport):
    """The same on httpx.AsyncClient, for one event loop; here the timeout bounds the whole call."""

    def _open(self, headers: Mapping[str, str], **options: Any) -> None:
        import httpx

        self._http = httpx.AsyncClient(headers=dict(headers), **options)

    async def send(self, call: RestCall, timeout: float) -> Any:
        import asyncio

        try:
            response = await asyncio.wait_for(self._http.request(**self._request(call, timeout)), timeout)
        except TimeoutError as error:
            raise DeadlineExceeded(f"No answer from {self._base} within {timeout:.3g} s") from error
        except Exception as error:
            raise _translate(error, self._base, timeout) from error
        return _decode(response.status_code, response.text, response.headers)

    async def close(self) -> None:  # type: ignore[override]
        await self._http.aclose()


def _connection(address: Address, tls: Tls | None) -> dict[str, Any]:
    """httpx's options: no proxy on the way to this very machine, certificates where they are given."""
    import httpx

    options: dict[str, Any] = {
        "trust_env": not address.loopback,
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=30),
    }
    if tls is not None:
        import ssl

        context = ssl.create_default_context(cafile=str(tls.root) if tls.root else None)
        if tls.certificate and tls.key:
            context.load_cert_chain(str(tls.certificate), str(tls.key))
        options["verify"] = context
    return options


def _translate(error: Exception, base: str, timeout: float) -> ServingError:
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return DeadlineExceeded(f"No answer from {base} within {timeout:.3g} s")
    if isinstance(error, httpx.TransportError):
        return Unreachable(f"Cannot reach a model server at {base} by HTTP: {error or type(error).__name__}")
    if isinstance(error, RuntimeError) and "closed" in str(error):
        return Internal(f"This client is closed: {error}")
    return Internal(f"{type(error).__name__} in the HTTP client: {error}")
