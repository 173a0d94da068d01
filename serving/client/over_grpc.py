"""The client's gRPC side: requests as TensorFlow Serving's messages, responses read into plain values.

`GrpcProtocol` is pure (no sockets); `GrpcTransport` and `AsyncGrpcTransport` send one call and turn gRPC's
errors into `serving.errors`. Retries and deadlines over several calls belong to `serving.client`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
from google.protobuf import text_format

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
from serving.client.tensors import decode, dtype_name, encode, example
from serving.errors import Internal, InvalidArgument, ServingError, Unreachable, error_of
from serving.release.split import KEY
from serving.wire import feedback, model_spec, protos

METHODS = {
    **protos.METHODS,
    feedback.METHOD: (feedback.PATH, feedback.GiveRequest, feedback.GiveResponse),
}


class GrpcCall(NamedTuple):
    """`key`: on whose behalf, for a server that divides its requests."""

    rpc: str
    message: Any
    key: str | None = None


class GrpcAnswer(NamedTuple):
    """A response, and what outcomes will name its request by (None where the server keeps nothing of it)."""

    message: Any
    request_id: str | None


class GrpcProtocol(Protocol):
    """See `Protocol`. gRPC needs the signature only for bare arrays (the name) and lists (the dtype)."""

    def needs_signature(self, inputs: Any) -> bool:
        return not isinstance(inputs, Mapping) or not all(isinstance(v, np.ndarray) for v in inputs.values())

    def request(
        self,
        spec: Spec,
        inputs: dict[str, Any],
        info: Signature | None,
        signature: str,
        outputs: Sequence[str],
        key: str | None,
    ) -> Steps[Outputs]:
        message = protos.predict_pb2.PredictRequest(output_filter=outputs)
        _fill(message.model_spec, spec, signature)
        for name, array in inputs.items():
            message.inputs[name].CopyFrom(encode(array, name))
        response, request_id = yield GrpcCall("Predict", message, key)
        found = Outputs({name: decode(tensor) for name, tensor in response.outputs.items()})
        found.version, found.request_id = _version(response), request_id
        return found

    def classify(
        self, spec: Spec, rows: Sequence[Row], signature: str, key: str | None = None
    ) -> Steps[Rows]:
        message = protos.classification_pb2.ClassificationRequest(input=_input(rows))
        _fill(message.model_spec, spec.check(), signature)
        response, request_id = yield GrpcCall("Classify", message, key)
        found = Rows(_classes(response.result))
        found.version, found.request_id = _version(response), request_id
        return found

    def regress(
        self, spec: Spec, rows: Sequence[Row], signature: str, key: str | None = None
    ) -> Steps[Values]:
        message = protos.regression_pb2.RegressionRequest(input=_input(rows))
        _fill(message.model_spec, spec.check(), signature)
        response, request_id = yield GrpcCall("Regress", message, key)
        found = _regressions(response.result)
        found.version, found.request_id = _version(response), request_id
        return found

    def multi_inference(
        self,
        spec: Spec,
        rows: Sequence[Row],
        tasks: Sequence[tuple[str, str]],
        key: str | None = None,
    ) -> Steps[Heads]:
        message = protos.inference_pb2.MultiInferenceRequest(input=_input(rows))
        for method, signature in tasks:
            if method not in ("classify", "regress"):
                raise InvalidArgument(
                    f"Task method {method!r} is not known; expected 'classify' or 'regress'."
                )
            task = message.tasks.add(method_name=f"tensorflow/serving/{method}")
            _fill(task.model_spec, spec.check(), signature)
        response, request_id = yield GrpcCall("MultiInference", message, key)
        found = Heads(
            Rows(_classes(result.classification_result))
            if result.HasField("classification_result")
            else _regressions(result.regression_result)
            for result in response.results
        )
        # All tasks were answered by one version.
        version = _version(response.results[0]) if response.results else None
        for head in (found, *found):
            head.version, head.request_id = version, request_id
        return found

    def metadata(self, spec: Spec) -> Steps[ModelMetadata]:
        message = protos.get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        _fill(message.model_spec, spec.check(), "")
        response, _ = yield GrpcCall("GetModelMetadata", message)
        signature_map = protos.get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signature_map)
        signatures = {
            name: _signature(name, definition)
            for name, definition in sorted(signature_map.signature_def.items())
        }
        return ModelMetadata(spec.model, response.model_spec.version.value, signatures)

    def status(self, spec: Spec) -> Steps[list[VersionStatus]]:
        message = protos.get_model_status_pb2.GetModelStatusRequest()
        _fill(message.model_spec, spec.check(), "")
        response, _ = yield GrpcCall("GetModelStatus", message)
        states = protos.get_model_status_pb2.ModelVersionStatus.State
        return [
            VersionStatus(
                item.version,
                states.Name(item.state),
                _code_name(item.status.error_code),
                item.status.error_message,
            )
            for item in response.model_version_status
        ]

    def feedback(self, model: str, outcomes: Mapping[str, Mapping[str, Any]]) -> Steps[int]:
        response, _ = yield GrpcCall("Give", feedback.request_of(model, outcomes))
        return int(response.kept)

    def reload_config(self, config: Any) -> Steps[None]:
        message = protos.model_management_pb2.ReloadConfigRequest(config=_server_config(config))
        response, _ = yield GrpcCall("HandleReloadConfigRequest", message)
        if response.status.error_code:
            raise error_of(_code_name(response.status.error_code), response.status.error_message)


def _fill(target: Any, spec: Spec, signature: str) -> None:
    model_spec.fill(target, model_spec.Spec(*spec, signature))


def _version(response: Any) -> int | None:
    """Of the model that answered."""
    spec = response.model_spec
    return int(spec.version.value) if spec.HasField("version") else None


def _input(rows: Sequence[Row]) -> Any:
    return protos.input_pb2.Input(
        example_list=protos.input_pb2.ExampleList(examples=[example(row) for row in rows])
    )


def _classes(result: Any) -> list[list[Scored]]:
    return [[Scored(c.label, c.score) for c in row.classes] for row in result.classifications]


def _regressions(result: Any) -> Values:
    return np.array([item.value for item in result.regressions], dtype=np.float32).view(Values)


def _code_name(number: int) -> str:
    names = [code.name for code in grpc.StatusCode if code.value[0] == number]
    return names[0] if names else "UNKNOWN"


def _signature(name: str, definition: Any) -> Signature:
    return Signature(
        name,
        definition.method_name.rpartition("/")[2],
        {key: _tensor(key, info) for key, info in sorted(definition.inputs.items())},
        {key: _tensor(key, info) for key, info in sorted(definition.outputs.items())},
        frozenset(definition.defaults),
    )


def _tensor(name: str, info: Any) -> TensorInfo:
    shape = info.tensor_shape
    sizes = None if shape.unknown_rank else tuple(None if d.size < 0 else d.size for d in shape.dim)
    return TensorInfo(name, dtype_name(info.dtype), sizes)


def _server_config(config: Any) -> Any:
    """A ModelServerConfig from a message, its text form, or a file that holds the text form."""
    kind = protos.model_server_config_pb2.ModelServerConfig
    if isinstance(config, kind):
        return config
    text = config.read_text(encoding="utf-8") if isinstance(config, Path) else config
    if not isinstance(text, str):
        raise InvalidArgument(
            f"A model config of {type(config).__name__} is not known; expected a ModelServerConfig, "
            "its protobuf text, or a pathlib.Path to a model_config_file."
        )
    try:
        return text_format.Parse(text, kind())
    except text_format.ParseError as error:
        raise InvalidArgument(f"The model config is not valid protobuf text: {error}") from error


def _options(address: Address, tls: Tls | None) -> list[tuple[str, Any]]:
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        # A server that comes back is found within a second, not after gRPC's usual minute.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        # Each client owns its connection; clients that agree in all options would share one otherwise.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if address.loopback:
        options.append(("grpc.enable_http_proxy", 0))
    if tls is not None and tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return options


def _credentials(tls: Tls) -> grpc.ChannelCredentials:
    root, key, chain = (
        Path(p).read_bytes() if p is not None else None for p in (tls.root, tls.key, tls.certificate)
    )
    return grpc.ssl_channel_credentials(root, key, chain)


def _open(module: Any, address: Address, tls: Tls | None) -> Any:
    """A channel of `grpc` or `grpc.aio`."""
    if tls is None and not address.secure:
        return module.insecure_channel(address.target, options=_options(address, tls))
    if tls is not None and address.secure is False:
        raise ValueError(
            f"tls={tls!r} with a grpc:// address; write grpcs://{address.target} or {address.target}"
        )
    credentials = _credentials(tls or Tls())
    return module.secure_channel(address.target, credentials, options=_options(address, tls))


def _request_id(metadata: Any) -> str | None:
    return next((str(value) for name, value in metadata or () if name == feedback.REQUEST_ID), None)


def _translate(error: Any, target: str) -> ServingError:
    details = error.details() or ""
    if "failed to connect" in details or "Socket closed" in details or "Connection re" in details:
        return Unreachable(f"Cannot reach a model server at {target} by gRPC: {details}")
    return error_of(error.code().name, details)


class GrpcTransport:
    """One connection, made at the first call and kept. Thread-safe. `send` raises ServingError only."""

    def __init__(self, address: Address, tls: Tls | None, headers: Mapping[str, str], compress: bool) -> None:
        self._target = address.target
        self._metadata = [(key.lower(), value) for key, value in headers.items()]
        self._compression = grpc.Compression.Gzip if compress else None
        self._channel = _open(self._module(), address, tls)
        self._calls = {
            rpc: self._channel.unary_unary(
                path, request_serializer=request.SerializeToString, response_deserializer=response.FromString
            )
            for rpc, (path, request, response) in METHODS.items()
        }

    def _module(self) -> Any:
        return grpc

    def _with(self, key: str | None) -> list[tuple[str, str]]:
        return self._metadata if key is None else [*self._metadata, (KEY, key)]

    def send(self, call: GrpcCall, timeout: float) -> Any:
        try:
            message, done = self._calls[call.rpc].with_call(
                call.message, timeout=timeout, metadata=self._with(call.key), compression=self._compression
            )
            return GrpcAnswer(message, _request_id(done.trailing_metadata()))
        except grpc.RpcError as error:
            raise _translate(error, self._target) from error
        except ValueError as error:
            raise Internal(f"This client is closed: {error}") from error

    def close(self) -> None:
        self._channel.close()


class AsyncGrpcTransport(GrpcTransport):
    """The same on grpc.aio; made inside the running event loop and used in that loop only."""

    def _module(self) -> Any:
        return grpc.aio

    async def send(self, call: GrpcCall, timeout: float) -> Any:
        try:
            made = self._calls[call.rpc](
                call.message, timeout=timeout, metadata=self._with(call.key), compression=self._compression
            )
            return GrpcAnswer(await made, _request_id(await made.trailing_metadata()))
        except grpc.aio.AioRpcError as error:
            raise _translate(error, self._target) from error
        except grpc.aio.UsageError as error:
            raise Internal(f"This client is closed: {error}") from error

    async def close(self) -> None:  # type: ignore[override]
        await self._channel.close()
