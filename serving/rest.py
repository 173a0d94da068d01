"""The REST API as an ASGI application over the handlers: routes, bodies, gzip, limits, error codes.

    POST /v1/models/M[/versions/V|/labels/L]:predict|:classify|:regress
    GET  /v1/models/M[/versions/V|/labels/L][/metadata]
    GET  /monitoring/prometheus/metrics, /livez, /readyz

Paths, JSON and codes are TensorFlow Serving's. The JSON is made in `serving.rest_json`; the connections are
served by `serving.rest_server`. Every answer is JSON except the metrics; none carries a stack trace.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import re
import time
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from google.protobuf import json_format

from serving import model_spec, rest_json, wire
from serving.access_log import AccessLog
from serving.engine import DEFAULT_SIGNATURE
from serving.errors import Internal, InvalidArgument, ServingError
from serving.handlers import Handlers
from serving.model_spec import Spec
from serving.rest_examples import examples_request

logger = logging.getLogger(__name__)

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

_CALL = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:(classify|regress|predict)", re.IGNORECASE
)
_STATUS = re.compile(
    r"/v1/models(?:/([^/:]+))?(?:/versions/(\d+)|/labels/([^/:]+))?(?:/(metadata))?", re.IGNORECASE
)
MAX_VERSION = 2**63 - 1
# Larger bodies are parsed in a thread: the loop would stand still for milliseconds.
THREAD_BYTES = 256 * 1024
GZIP_MIN_BYTES = 1024
ROUTES_KEPT = 1024
# Key of a scope: `respond`, already begun by the connection, to be awaited instead of called.
STARTED = "serving.started"


@dataclass
class RestOptions:
    """What the flags say about REST. Sizes in bytes, after decompression."""

    max_body_bytes: int = 64 * 2**20
    timeout_s: float = 30.0
    cors: bool = False
    metrics_path: str | None = "/monitoring/prometheus/metrics"


class Reply(NamedTuple):
    """An answer. `body` is what is sent, compressed where the client takes that."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    close: bool = False


class BodyTooLarge(Exception):
    pass


class ClientGone(Exception):
    pass


@dataclass(frozen=True)
class Route:
    """A parsed path. `action` is predict, classify, regress, status or metadata."""

    action: str
    spec: Spec


def parse_route(method: str, path: str) -> Route:
    """Raises InvalidArgument for anything that is no route of this method."""
    match = None
    if method == "POST":
        match = _CALL.fullmatch(path)
    elif method == "GET":
        match = _STATUS.fullmatch(path)
    if match is None:
        raise InvalidArgument(f"Malformed request: {method} {path}")
    name, version, label, last = match.groups()
    number = None
    if version is not None:
        number = int(version) if len(version) < 20 else MAX_VERSION + 1
        if number > MAX_VERSION:
            raise InvalidArgument(f"Failed to convert version: {version[:40]} to numeric.")
    action = last.lower() if last else "status"
    return Route(action, Spec(_unquoted(name or ""), number, _unquoted(label) if label else None))


def _unquoted(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace")


class RestApi:
    """The ASGI application; one per server, on its event loop."""

    def __init__(self, handlers: Handlers, options: RestOptions, log: AccessLog | None = None) -> None:
        self._handlers = handlers
        self._options = options
        self._log = log
        self._routes: dict[tuple[str, str], Route] = {}
        self._metadata: dict[tuple[str, int], tuple[Any, bytes]] = {}
        self._headers = [(b"content-type", b"application/json")]
        if options.cors:
            self._headers += [
                (b"access-control-allow-origin", b"*"),
                (b"access-control-allow-methods", b"POST, GET"),
                (b"access-control-allow-headers", b"Content-Type"),
            ]

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = scope.get(STARTED)
        reply = await (self.respond(scope, receive) if started is None else started)
        if reply is None:
            return
        headers = [*reply.headers, (b"connection", b"close")] if reply.close else reply.headers
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else reply.body})

    async def respond(self, scope: dict[str, Any], receive: Receive) -> Reply | None:
        """The answer to a request; None where its client has gone. Of the scope it reads method, raw_path,
        headers and client."""
        started = time.perf_counter()
        path = scope["raw_path"].decode("latin-1")
        method = scope["method"]
        route: Route | None = None
        close = False
        size = 0
        error: ServingError | None = None
        try:
            if not path[:4].lower().startswith("/v1/"):
                return self._operations(method, path, scope)
            if method == "OPTIONS" and self._options.cors:
                return self._reply(scope, 200, b"")
            route = self._route(method, path)
            body = await self._body(scope, receive) if method == "POST" else b""
            size = len(body)
            answer = await self._answer(route, body)
            status = 200
        except BodyTooLarge:
            error = InvalidArgument(
                f"The request body is larger than {self._options.max_body_bytes} bytes; the server's flag "
                "--rest_api_max_body_bytes sets the limit."
            )
            answer, status, close = rest_json.error_body(error.message), 413, True
        except ClientGone:
            return None
        except ServingError as failure:
            error = failure
            answer, status = rest_json.error_body(failure.message), failure.http_status
        except Exception:
            logger.exception("%s %s failed in an unexpected way", method, path)
            error = Internal("The server failed on this request; its log says why")
            answer, status = rest_json.error_body(error.message), 500
        self._count(route, method, path, status, error, started, size, scope)
        return self._reply(scope, status, answer, close=close)

    def _route(self, method: str, path: str) -> Route:
        route = self._routes.get((method, path))
        if route is None:
            route = parse_route(method, path)
            if len(self._routes) < ROUTES_KEPT:
                self._routes[method, path] = route
        return route

    async def _answer(self, route: Route, body: bytes) -> bytes:
        if route.action == "predict":
            return await self._predict(route.spec, body)
        if route.action in ("classify", "regress"):
            return await self._examples(route, body)
        if not route.spec.name:
            raise InvalidArgument("Missing model name in request.")
        if route.action == "metadata":
            return self._metadata_json(route.spec)
        return self._status_json(route.spec)

    # Bodies.

    async def _body(self, scope: dict[str, Any], receive: Receive) -> bytes:
        limit = self._options.max_body_bytes
        encoding = b""
        for name, value in scope["headers"]:
            if name == b"content-length" and (not value.isdigit() or int(value) > limit):
                raise BodyTooLarge
            if name == b"content-encoding":
                encoding = value.strip().lower()
        parts = []
        size = 0
        more = True
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise ClientGone
            part = event.get("body", b"")
            size += len(part)
            if size > limit:
                raise BodyTooLarge
            parts.append(part)
            more = event.get("more_body", False)
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        if encoding in (b"", b"identity"):
            return body
        if encoding != b"gzip":
            raise InvalidArgument(
                f"Content-Encoding {encoding.decode('latin-1')!r} is not supported; use gzip"
            )
        return self._unzipped(body)

    def _unzipped(self, body: bytes) -> bytes:
        reader = zlib.decompressobj(wbits=31)
        try:
            plain = reader.decompress(body, self._options.max_body_bytes + 1)
        except zlib.error as error:
            raise InvalidArgument(f"The request body is no gzip data: {error}") from None
        if len(plain) > self._options.max_body_bytes:
            raise BodyTooLarge
        if not reader.eof:
            raise InvalidArgument("The request body's gzip data is truncated")
        return plain

    # Answers.

    async def _parsed(self, body: bytes) -> dict[str, Any]:
        if len(body) < THREAD_BYTES:
            return rest_json.parse(body)
        return await asyncio.get_running_loop().run_in_executor(None, rest_json.parse, body)

    async def _predict(self, spec: Spec, body: bytes) -> bytes:
        document = await self._parsed(body)
        name = rest_json.signature_name(document) or DEFAULT_SIGNATURE
        handle = self._handlers.acquire(spec)
        try:
            signature = handle.servable.signatures.get(name)
            if signature is None:
                raise InvalidArgument(f'Serving signature name: "{name}" not found in signature def')
            if not signature.inputs:
                raise InvalidArgument(f"Failed to get input map for signature: {name}")
            if len(body) < THREAD_BYTES:
                arrays, style = rest_json.predict_inputs(document, body, signature.inputs)
            else:
                arrays, style = await asyncio.get_running_loop().run_in_executor(
                    None, rest_json.predict_inputs, document, body, signature.inputs
                )
        except BaseException:
            handle.release()
            raise
        outputs = await self._handlers.predict_arrays(handle, signature, arrays, self._options.timeout_s)
        return rest_json.predict_response(outputs, style)

    async def _examples(self, route: Route, body: bytes) -> bytes:
        document = await self._parsed(body)
        request = examples_request(document, route.spec, rest_json.signature_name(document))
        if route.action == "classify":
            response = await self._handlers.classify(request, self._options.timeout_s)
            return rest_json.classify_response(response.result)
        response = await self._handlers.regress(request, self._options.timeout_s)
        return rest_json.regress_response(response.result)

    def _status_json(self, spec: Spec) -> bytes:
        request = wire.get_model_status_pb2.GetModelStatusRequest()
        model_spec.fill(request.model_spec, spec)
        response = self._handlers.get_model_status(request)
        return _json(response).encode()

    def _metadata_json(self, spec: Spec) -> bytes:
        with self._handlers.acquire(spec) as handle:
            key = (handle.id.name, handle.id.version)
            definitions = handle.servable.definitions
            known = self._metadata.get(key)
            if known is not None and known[0] is definitions:
                return known[1]
            signatures = wire.get_model_metadata_pb2.SignatureDefMap()
            for name, definition in definitions.items():
                signatures.signature_def[name].CopyFrom(definition)
            model = wire.model_pb2.ModelSpec(name=handle.id.name)
            model.version.value = handle.id.version
            parts = f'"model_spec":{_json(model)},\n"metadata": {{"signature_def": {_json(signatures)}}}'
            text = f"{{\n{parts}\n}}\n".encode()
            if len(self._metadata) >= ROUTES_KEPT:
                self._metadata.clear()
            self._metadata[key] = (definitions, text)
            return text

    # Operations.

    def _operations(self, method: str, path: str, scope: dict[str, Any]) -> Reply:
        known = path in ("/livez", "/readyz") or path == self._options.metrics_path
        if known and method not in ("GET", "HEAD"):
            return self._reply(scope, 405, rest_json.error_body(f"Use GET for {path}"))
        if path == self._options.metrics_path:
            page = self._handlers.metrics.page().encode()
            return self._reply(scope, 200, page, b"text/plain; version=0.0.4; charset=utf-8")
        if path == "/livez":
            return self._reply(scope, 200, b'{"status": "alive"}')
        if path == "/readyz":
            report = self._handlers.health()
            ready = all(state == "available" for state in report.values())
            status = "ready" if ready else "draining" if "server" in report else "not ready"
            body = rest_json.dumps({"status": status, "models": report})
            return self._reply(scope, 200 if ready else 503, body)
        return self._reply(scope, 404, rest_json.error_body(f"Not found: {method} {path}"))

    def _reply(
        self, scope: dict[str, Any], status: int, body: bytes, kind: bytes | None = None, close: bool = False
    ) -> Reply:
        headers = self._headers if kind is None else [(b"content-type", kind)]
        if len(body) >= GZIP_MIN_BYTES and _accepts_gzip(scope):
            body = gzip.compress(body, 1)
            headers = [*headers, (b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]
        return Reply(status, [*headers, (b"content-length", b"%d" % len(body))], body, close)

    def _count(
        self, route: Route | None, method: str, path: str, status: int, error: ServingError | None,
        started: float, size: int, scope: dict[str, Any],
    ) -> None:  # fmt: skip
        seconds = time.perf_counter() - started
        name = route.spec.name if route is not None else ""
        action = route.action if route is not None else ""
        if action in ("predict", "classify", "regress"):
            metrics = self._handlers.metrics
            metrics.request_count.add((name, error.code if error is not None else "OK"))
            metrics.request_latency.add((name, action, "REST"), seconds * 1e6)
        if self._log is not None:
            client = scope.get("client")
            self._log.write(
                entry="REST", method=f"{method} {path}", model=name, status=status, seconds=seconds,
                bytes_in=size, peer=f"{client[0]}:{client[1]}" if client else "",
            )  # fmt: skip


def _accepts_gzip(scope: dict[str, Any]) -> bool:
    for name, value in scope["headers"]:
        if name == b"accept-encoding":
            return b"gzip" in value.lower()
    return False


def _json(message: Any) -> str:
    return json_format.MessageToJson(
        message, including_default_value_fields=True, preserving_proto_field_name=True, indent=1
    )
