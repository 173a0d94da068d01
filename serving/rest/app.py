"""The REST API as an ASGI application over the handlers: routes, bodies, gzip, limits, error codes.

    POST /v1/models/M[/versions/V|/labels/L]:predict|:classify|:regress
    POST /v1/models/M:feedback
    GET  /v1/models/M[/versions/V|/labels/L][/metadata]
    GET  /monitoring/prometheus/metrics, /livez, /readyz

Paths, JSON and codes are TensorFlow Serving's. JSON is read by `serving.rest.documents` and `serving.rest.bodies` and
made in `serving.rest.answers`; what is large is read and made in a thread. The connections are served by
`serving.rest.connections`. Every answer is JSON except the metrics; none carries a stack trace.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from google.protobuf import json_format

from serving.engine.checks import missing_values
from serving.engine.saved_model import DEFAULT_SIGNATURE, Arrays, Signature
from serving.errors import Internal, InvalidArgument, ServingError
from serving.handlers import Handlers
from serving.release.router import Visit
from serving.release.split import VERSION
from serving.rest import answers, bodies, documents
from serving.rest.bodies import BodyTooLarge
from serving.rest.examples import examples_request
from serving.rest.headers import accepts_gzip, has_header, key_of
from serving.rest.routes import Route, parse_route
from serving.telemetry.access_log import AccessLog
from serving.wire import model_spec, protos
from serving.wire.feedback import REQUEST_ID
from serving.wire.model_spec import Spec

logger = logging.getLogger(__name__)

T = TypeVar("T")

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

# Larger bodies and answers go through a thread: the loop would stand still for milliseconds.
THREAD_BYTES = 32 * 1024
# A gzip body may hold a thousand times its size.
THREAD_GZIP_BYTES = 2 * 1024
GZIP_MIN_BYTES = 1024
ROUTES_KEPT = 1024
# What clients are told to wait where trying again may help: while a model loads, or the server stops.
RETRY_AFTER_S = b"1"
# Key of a scope: `respond`, already begun by the connection, to be awaited instead of called.
STARTED = "serving.started"
# Key of a scope: the header that says which version answered.
ANSWERED_BY = "serving.answered_by"
# Key of a scope: what outcomes of the request will name it by; "" where nothing of it is kept.
ID = "serving.request_id"
_VERSION, _ID = VERSION.encode(), REQUEST_ID.encode()


@dataclass
class RestOptions:
    """What the flags say about REST. Sizes in bytes, after decompression."""

    max_body_bytes: int = 64 * 2**20
    timeout_s: float = 30.0
    idle_s: float = 50.0
    cors: bool = False
    metrics_path: str | None = "/monitoring/prometheus/metrics"


class Reply(NamedTuple):
    """An answer. `body` is what is sent, compressed where the client takes that."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    close: bool = False


class ClientGone(Exception):
    pass


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
                return await self._operations(method, path, scope)
            if method == "OPTIONS" and (self._options.cors or has_header(scope, b"origin")):
                return Reply(200, [*self._headers[1:], (b"content-length", b"0")], b"")
            route = self._route(method, path)
            body = await self._body(scope, receive) if method == "POST" else b""
            size = len(body)
            router = self._handlers.router
            asks = body and route.action != "feedback"
            scope[ID] = request_id = self._handlers.request_id() if asks else ""
            visit = (
                router.visit(route.spec, lambda: key_of(scope), request_id)
                if router.splits and asks
                else None
            )
            if visit is None:
                answer = await self._answer(route, body, scope)
            else:
                answer = await router.answer(visit, lambda arm: self._answer(route, body, scope, arm))
            status = 200
        except BodyTooLarge:
            error = InvalidArgument(
                f"The request body is larger than {self._options.max_body_bytes} bytes; the server's flag "
                "--rest_api_max_body_bytes sets the limit."
            )
            answer, status, close = answers.error_body(error.message), 413, True
        except ClientGone:
            return None
        except ServingError as failure:
            error = failure
            answer, status = answers.error_body(failure.message), failure.http_status
        except Exception:
            logger.exception("%s %s failed in an unexpected way", method, path)
            error = Internal("The server failed on this request; its log says why")
            answer, status = answers.error_body(error.message), 500
        self._count(route, method, path, status, error, started, size, scope)
        if len(answer) > THREAD_BYTES and accepts_gzip(scope):
            return await self._in_thread(self._reply, scope, status, answer)
        return self._reply(scope, status, answer, close=close)

    def _route(self, method: str, path: str) -> Route:
        route = self._routes.get((method, path))
        if route is None:
            route = parse_route(method, path)
            if len(self._routes) < ROUTES_KEPT:
                self._routes[method, path] = route
        return route

    async def _answer(
        self, route: Route, body: bytes, scope: dict[str, Any], visit: Visit | None = None
    ) -> bytes:
        if route.action == "predict":
            return await self._predict(route.spec, body, scope, visit)
        if route.action in ("classify", "regress"):
            return await self._examples(route, body, scope, visit)
        if route.action == "feedback":
            return await self._feedback(route.spec.name, body)
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
        if len(body) < THREAD_GZIP_BYTES:
            return bodies.unzipped(body, limit)
        return await self._in_thread(bodies.unzipped, body, limit)

    async def _in_thread(self, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(None, call, *arguments)

    # Answers.

    async def _predict(self, spec: Spec, body: bytes, scope: dict[str, Any], visit: Visit | None) -> bytes:
        if len(body) <= THREAD_BYTES:
            call = self._predict_call(spec, body, visit)
        else:
            call = await self._in_thread(self._large_predict_call, spec, body, visit)
        handle, signature, arrays, style = call
        scope[ANSWERED_BY] = handle.id.version
        outputs = await self._handlers.predict_arrays(
            handle, signature, arrays, self._options.timeout_s, visit, scope[ID]
        )
        # A string of an object array counts as a pointer: most are longer.
        if sum(array.nbytes for array in (*outputs.values(), *arrays.values())) <= THREAD_BYTES // 8:
            return answers.predict_response(outputs, style)
        return await self._in_thread(self._large_answer, outputs, arrays, style)

    def _large_answer(self, outputs: Arrays, arrays: Arrays, style: str) -> bytes:
        made = answers.predict_response(outputs, style)
        if not self._handlers.logged:
            for array in (*arrays.values(), *outputs.values()):
                if array.dtype.kind == "O":
                    documents.dismantle(array)
        return made

    def _large_predict_call(
        self, spec: Spec, body: bytes, visit: Visit | None
    ) -> tuple[Any, Signature, Arrays, str]:
        with documents.large_work():
            return self._predict_call(spec, body, visit)

    def _predict_call(
        self, spec: Spec, body: bytes, visit: Visit | None
    ) -> tuple[Any, Signature, Arrays, str]:
        """What a body asks for; the handle is the caller's. Runs in any thread, where the document also ends."""
        document = documents.parse(body)
        try:
            return self._call_of(document, spec, visit)
        finally:
            if len(body) > THREAD_BYTES:
                documents.dismantle(document)

    def _call_of(
        self, document: dict[str, Any], spec: Spec, visit: Visit | None
    ) -> tuple[Any, Signature, Arrays, str]:
        name = bodies.signature_name(document) or DEFAULT_SIGNATURE
        handle = self._handlers.acquire(spec, visit)
        try:
            signature = handle.servable.signatures.get(name)
            if signature is None:
                raise InvalidArgument(f'Serving signature name: "{name}" not found in signature def')
            if not signature.inputs:
                raise InvalidArgument(f"Failed to get input map for signature: {name}")
            arrays, style = bodies.predict_inputs(document, signature.inputs, missing_values(signature))
        except BaseException:
            handle.release()
            raise
        return handle, signature, arrays, style

    async def _examples(self, route: Route, body: bytes, scope: dict[str, Any], visit: Visit | None) -> bytes:
        large = len(body) > THREAD_BYTES

        def call() -> Any:
            with documents.large_work() if large else contextlib.nullcontext():
                document = documents.parse(body)
                return examples_request(document, route.spec, bodies.signature_name(document))

        request = await self._in_thread(call) if large else call()
        run = self._handlers.classify if route.action == "classify" else self._handlers.regress
        write = answers.classify_response if route.action == "classify" else answers.regress_response
        response = await run(request, self._options.timeout_s, visit, scope[ID])
        scope[ANSWERED_BY] = response.model_spec.version.value
        return await self._in_thread(write, response.result) if large else write(response.result)

    async def _feedback(self, name: str, body: bytes) -> bytes:
        parse = documents.parse
        document = parse(body) if len(body) <= THREAD_BYTES else await self._in_thread(parse, body)
        return answers.dumps({"kept": await self._handlers.feedback(name, document)})

    def _status_json(self, spec: Spec) -> bytes:
        request = protos.get_model_status_pb2.GetModelStatusRequest()
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
            signatures = protos.get_model_metadata_pb2.SignatureDefMap()
            for name, definition in definitions.items():
                signatures.signature_def[name].CopyFrom(definition)
            model = protos.model_pb2.ModelSpec(name=handle.id.name)
            model.version.value = handle.id.version
            parts = f'"model_spec":{_json(model)},\n"metadata": {{"signature_def": {_json(signatures)}}}'
            text = f"{{\n{parts}\n}}\n".encode()
            if len(self._metadata) >= ROUTES_KEPT:
                self._metadata.clear()
            self._metadata[key] = (definitions, text)
            return text

    # Operations.

    async def _operations(self, method: str, path: str, scope: dict[str, Any]) -> Reply:
        known = path in ("/livez", "/readyz") or path == self._options.metrics_path
        if known and method not in ("GET", "HEAD"):
            return self._reply(scope, 405, answers.error_body(f"Use GET for {path}"))
        if path == self._options.metrics_path:
            page = (await self._handlers.metrics.whole_page()).encode()
            return self._reply(scope, 200, page, b"text/plain; version=0.0.4; charset=utf-8")
        if path == "/livez":
            return self._reply(scope, 200, b'{"status": "alive"}')
        if path == "/readyz":
            report = self._handlers.health()
            ready = all(state == "available" for state in report.values())
            status = "ready" if ready else "draining" if "server" in report else "not ready"
            body = answers.dumps({"status": status, "models": report})
            return self._reply(scope, 200 if ready else 503, body)
        return self._reply(scope, 404, answers.error_body(f"Not found: {method} {path}"))

    def _reply(
        self, scope: dict[str, Any], status: int, body: bytes, kind: bytes | None = None, close: bool = False
    ) -> Reply:
        headers = self._headers if kind is None else [(b"content-type", kind)]
        version = scope.get(ANSWERED_BY)
        if version is not None and status == 200:
            headers = [*headers, (_VERSION, b"%d" % version)]
            if scope[ID]:
                headers = [*headers, (_ID, scope[ID].encode())]
        if status == 503:
            headers = [*headers, (b"retry-after", RETRY_AFTER_S)]
        if len(body) >= GZIP_MIN_BYTES and accepts_gzip(scope):
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


def _json(message: Any) -> str:
    text: str = json_format.MessageToJson(
        message, including_default_value_fields=True, preserving_proto_field_name=True, indent=1
    )
    return text
