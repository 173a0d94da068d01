"""The gRPC server: PredictionService, ModelService, feedback, health checking and reflection over the handlers.

An asyncio server on the process's event loop. It turns bytes into messages, ServingError into status codes,
and counts requests; what an RPC means is in `serving.handlers`. Errors never carry a stack trace.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from serving.errors import Internal, InvalidArgument, ServingError, Unavailable
from serving.handlers import Handlers
from serving.release.split import KEY
from serving.telemetry.access_log import AccessLog
from serving.wire import feedback, messages, model_spec, protos, services
from serving.wire.model_spec import Spec

logger = logging.getLogger(__name__)

PREDICTION = "tensorflow.serving.PredictionService"
MODEL = "tensorflow.serving.ModelService"
# As the original cuts them: longer texts would not fit into the trailers that clients accept.
MESSAGE_LIMIT = 1024
REFUSE_S = 0.1


@dataclass
class GrpcOptions:
    """What the flags say about the gRPC server. `credentials` None: no TLS. `shared_port`: other processes listen on
    the same port."""

    channel_arguments: Sequence[tuple[str, Any]] = ()
    credentials: grpc.ServerCredentials | None = None
    health: bool = True
    reflection: bool = True
    gzip: bool = False
    shared_port: bool = False


def cut(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else message[:MESSAGE_LIMIT] + "...TRUNCATED"


def status_code(error: ServingError) -> grpc.StatusCode:
    return getattr(grpc.StatusCode, error.code)


def _parsed(cls: Any, data: bytes) -> Any:
    try:
        return cls.FromString(data)
    except (DecodeError, ValueError) as error:
        name = cls.DESCRIPTOR.name
        raise InvalidArgument(
            f"The request is no {name}: {len(data)} bytes that are truncated or no protobuf message ({error})"
        ) from None


def _check_spec(request: Any, data: bytes) -> None:
    """Raises InvalidArgument where a twin's request has no model_spec; an empty one looks the same in the twin."""
    if getattr(request, "model_spec", None) == b"":
        # Any message with a ModelSpec as its first field tells.
        whole = protos.get_model_status_pb2.GetModelStatusRequest.FromString(data)
        if not whole.HasField("model_spec"):
            raise InvalidArgument("Missing ModelSpec")


def _spec_of(request: Any) -> Spec:
    """Which model a request means, as far as it says."""
    spec = getattr(request, "model_spec", None)
    if isinstance(spec, bytes):
        return model_spec.read(spec)
    if spec is None:
        tasks = getattr(request, "tasks", ())
        spec = tasks[0].model_spec if tasks else None
    return model_spec.spec_of(spec) if spec is not None else Spec("")


def _key_of(context: Any) -> str | None:
    """What the caller says in `x-viaduct-key`: who asks, to whom the same version should answer."""
    for name, value in context.invocation_metadata() or ():
        if name == KEY:
            return value if isinstance(value, str) else value.decode("utf-8", "replace")
    return None


class _Rpc:
    """One method: parse, call, count. `timed` methods get the time that is left of the deadline."""

    def __init__(
        self,
        name: str,
        cls: Any,
        call: Callable[..., Any],
        handlers: Handlers,
        log: AccessLog | None,
        timed: bool,
    ) -> None:
        self._name = name
        self._cls = cls
        self._call = call
        self._handlers = handlers
        self._metrics = handlers.metrics
        self._log = log
        self._timed = timed

    async def run(self, data: bytes, context: Any) -> Any:
        started = time.perf_counter()
        model, status = "", "OK"
        try:
            if self._timed and self._handlers.draining:
                raise Unavailable("The server is stopping; ask another one or try again")
            request = _parsed(self._cls, data)
            spec = _spec_of(request)
            model = spec.name
            if self._timed:
                _check_spec(request, data)
                router = self._handlers.router
                request_id = self._handlers.request_id()
                if request_id:
                    context.set_trailing_metadata(((feedback.REQUEST_ID, request_id),))
                visit = router.visit(spec, lambda: _key_of(context), request_id) if router.splits else None
                if visit is None:
                    return await self._call(request, context.time_remaining(), None, request_id)
                return await router.answer(
                    visit, lambda arm: self._call(request, context.time_remaining(), arm, request_id)
                )
            result = self._call(request)
            return await result if isinstance(result, Awaitable) else result
        except ServingError as error:
            status = error.code
            failure = error
        except asyncio.CancelledError:
            status = "CANCELLED"
            raise
        except Exception:
            logger.exception("%s failed in an unexpected way", self._name)
            failure = Internal("The server failed on this request; its log says why")
            status = failure.code
        finally:
            self._count(model, status, started, len(data), context)
        await context.abort(status_code(failure), cut(failure.message))
        return None

    def _count(self, model: str, status: str, started: float, size: int, context: Any) -> None:
        seconds = time.perf_counter() - started
        if self._timed:
            self._metrics.request_count.add((model, status))
            self._metrics.request_latency.add((model, self._name, "GRPC"), seconds * 1e6)
        if self._log is not None:
            self._log.write(
                entry="gRPC", method=self._name, model=model, status=status, seconds=seconds, bytes_in=size,
                peer=context.peer(),
            )  # fmt: skip


def _is_news(record: logging.LogRecord) -> bool:
    """Not so that an answer could not be sent because its caller has gone; gRPC writes a stack trace for each."""
    return not (record.exc_info and record.exc_info[0] and record.exc_info[0].__name__ == "ExecuteBatchError")


def _refusing(cls: Any) -> Callable[[bytes, Any], Awaitable[Any]]:
    """Parses the requests of gRPC's own services, which else answer UNKNOWN with a stack trace in the log."""

    async def parse(data: bytes, context: Any) -> Any:
        try:
            return _parsed(cls, data)
        except InvalidArgument as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, cut(error.message))

    return parse


def _methods(handlers: Handlers) -> dict[str, dict[str, tuple[Any, Callable[..., Any], bool]]]:
    """Service -> RPC -> (request class, call, whether it runs a model)."""
    return {
        PREDICTION: {
            "Predict": (messages.PredictRequest, handlers.predict, True),
            "Classify": (messages.ExamplesRequest, handlers.classify, True),
            "Regress": (messages.ExamplesRequest, handlers.regress, True),
            "MultiInference": (messages.MultiInferenceRequest, handlers.multi_inference, True),
            "GetModelMetadata": (
                protos.get_model_metadata_pb2.GetModelMetadataRequest, handlers.get_model_metadata, False,
            ),
        },
        MODEL: {
            "GetModelStatus": (
                protos.get_model_status_pb2.GetModelStatusRequest, handlers.get_model_status, False,
            ),
            "HandleReloadConfigRequest": (
                protos.model_management_pb2.ReloadConfigRequest, handlers.reload_config, False,
            ),
        },
        feedback.SERVICE: {feedback.METHOD: (feedback.GiveRequest, handlers.give, False)},
    }  # fmt: skip


class GrpcApi:
    """The server object: `start` opens the port, `set_serving` feeds the health service, `stop` drains."""

    def __init__(self, handlers: Handlers, options: GrpcOptions, log: AccessLog | None = None) -> None:
        self._options = options
        arguments = [("grpc.so_reuseport", int(options.shared_port)), ("grpc.max_receive_message_length", 2**31 - 1),
                     ("grpc.max_send_message_length", 2**31 - 1), *options.channel_arguments]  # fmt: skip
        compression = grpc.Compression.Gzip if options.gzip else None
        logging.getLogger("grpc._cython.cygrpc").addFilter(_is_news)
        self.server = grpc.aio.server(options=arguments, compression=compression)
        for service, methods in _methods(handlers).items():
            table = {
                name: grpc.unary_unary_rpc_method_handler(
                    _Rpc(name, cls, call, handlers, log, timed).run,
                    response_serializer=lambda response: response.SerializeToString(),
                )
                for name, (cls, call, timed) in methods.items()
            }
            self._add(service, table)
        self._health: Any = None
        self._services = [PREDICTION, MODEL, feedback.SERVICE]
        if options.health:
            self._add_health()
        if options.reflection:
            self._add_reflection()

    def _add_health(self) -> None:
        from grpc_health.v1 import health, health_pb2

        self._health = health.aio.HealthServicer()
        parse = _refusing(health_pb2.HealthCheckRequest)

        async def check(data: bytes, context: Any) -> Any:
            return await self._health.Check(await parse(data, context), context)

        async def watch(data: bytes, context: Any) -> None:
            await self._health.Watch(await parse(data, context), context)

        write = health_pb2.HealthCheckResponse.SerializeToString
        self._add(
            health.SERVICE_NAME,
            {
                "Check": grpc.unary_unary_rpc_method_handler(check, response_serializer=write),
                "Watch": grpc.unary_stream_rpc_method_handler(watch, response_serializer=write),
            },
        )
        self._services.append(health.SERVICE_NAME)

    def _add_reflection(self) -> None:
        from grpc_reflection.v1alpha import reflection, reflection_pb2

        services.describe()
        servicer = reflection.aio.ReflectionServicer((*self._services, reflection.SERVICE_NAME))
        parse = _refusing(reflection_pb2.ServerReflectionRequest)

        async def info(stream: Any, context: Any) -> Any:
            async def requests() -> Any:
                async for data in stream:
                    yield await parse(data, context)

            async for answer in servicer.ServerReflectionInfo(requests(), context):
                yield answer

        write = reflection_pb2.ServerReflectionResponse.SerializeToString
        handler = grpc.stream_stream_rpc_method_handler(info, response_serializer=write)
        self._add(reflection.SERVICE_NAME, {"ServerReflectionInfo": handler})

    def _add(self, service: str, methods: dict[str, grpc.RpcMethodHandler]) -> None:
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))

    def listen(self, address: str) -> int:
        """Binds `host:port` or `unix:path`; returns the port. Raises OSError where it is taken."""
        port: int
        try:
            if self._options.credentials is not None:
                port = self.server.add_secure_port(address, self._options.credentials)
            else:
                port = self.server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"Cannot listen for gRPC on {address}: {error}") from None
        if port == 0 and not address.startswith("unix:"):
            raise OSError(
                f"Cannot listen for gRPC on {address}: the port is in use or the address is not ours"
            )
        return port

    async def start(self) -> None:
        await self.server.start()
        await self.set_serving(False)

    async def set_serving(self, serving: bool) -> None:
        if self._health is None:
            return
        from grpc_health.v1 import health_pb2

        states = health_pb2.HealthCheckResponse.ServingStatus
        status = states.Value("SERVING" if serving else "NOT_SERVING")
        for service in ("", PREDICTION, MODEL):
            await self._health.set(service, status)

    async def stop(self, drain_s: float) -> None:
        """Lets running requests finish within the time. gRPC cancels what it has not yet handed over when it stops;
        for a moment such requests are refused instead, since clients repeat what is UNAVAILABLE."""
        if self._health is not None:
            await self._health.enter_graceful_shutdown()
        await asyncio.sleep(min(REFUSE_S, drain_s))
        await self.server.stop(drain_s)
