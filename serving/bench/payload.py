"""What a load generator sends: prepared requests, and the version read from an answer.

A request is made once, from given inputs or rows or from random values that fit the signature, and is sent as
it is again and again. This module asks the server for the signature where it needs one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from serving.client import Client, Signature
from serving.client.over_rest import _path, _to_json
from serving.client.protocol import DEFAULT_SIGNATURE, Address, Spec, named
from serving.client.tensors import encode, example, numpy_dtype
from serving.errors import InvalidArgument
from serving.wire import model_spec, protos
from serving.wire.arrays import Array


def random_inputs(signature: Signature, batch: int, seed: int = 0) -> dict[str, Array]:
    """Values that fit the signature: free sizes become 1, the first one `batch`; fractions in [0, 1), whole
    numbers 0 or 1. Raises InvalidArgument for text inputs, whose meaning only their owner knows.
    """
    random = np.random.default_rng(seed)
    result = {}
    for name, tensor in signature.inputs.items():
        if tensor.dtype == "object":
            raise InvalidArgument(
                f"Input {name!r} of signature {signature.name!r} takes text (perhaps serialized "
                "tf.Examples), which cannot be made up. Give rows (--rows) or inputs (--inputs)."
            )
        sizes = tensor.shape if tensor.shape is not None else (None,)
        shape = tuple((batch if place == 0 else 1) if s is None else s for place, s in enumerate(sizes))
        dtype = numpy_dtype(tensor.dtype)
        values = random.random(shape) if dtype.kind in "fcV" else random.integers(0, 2, shape)
        result[name] = np.asarray(values).astype(dtype)
    return result


def inputs_for(
    client: Client,
    spec: Spec,
    signature: str = DEFAULT_SIGNATURE,
    *,
    inputs: Mapping[str, Any] | None = None,
    rows: Sequence[Mapping[str, Any]] | None = None,
    batch: int = 1,
) -> dict[str, Array]:
    """The arrays of one request: `inputs` cast to the signature, `rows` as tf.Examples, or random values."""
    info = client.metadata(spec.model, version=spec.version, label=spec.label).signatures.get(signature)
    if info is None:
        raise InvalidArgument(f'Serving signature name: "{signature}" not found in signature def')
    if inputs is not None:
        return named(inputs, info)
    if rows is None:
        return random_inputs(info, batch)
    if len(info.inputs) != 1:
        raise InvalidArgument(
            f"Signature {signature!r} has inputs {', '.join(info.inputs)}: rows fit only a signature with "
            "one input for serialized tf.Examples."
        )
    serialized = np.empty(len(rows), dtype=object)
    serialized[:] = [example(row).SerializeToString() for row in rows]
    return {next(iter(info.inputs)): serialized}


def grpc_payload(spec: Spec, inputs: Mapping[str, Array], signature: str = DEFAULT_SIGNATURE) -> bytes:
    """A serialized PredictRequest."""
    request = protos.predict_pb2.PredictRequest()
    model_spec.fill(request.model_spec, model_spec.Spec(*spec, signature))
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(encode(array, name))
    data: bytes = request.SerializeToString()
    return data


def rest_payload(
    address: Address, spec: Spec, inputs: Mapping[str, Array], signature: str = DEFAULT_SIGNATURE
) -> bytes:
    """A whole HTTP request for `:predict` in the column format."""
    columns = {name: _to_json(array) for name, array in inputs.items()}
    body = json.dumps({"signature_name": signature, "inputs": columns}, separators=(",", ":"))
    return http_request(address, _path(spec) + ":predict", body.encode())


def http_request(address: Address, path: str, body: bytes) -> bytes:
    host, _, prefix = address.target.partition("://")[2].partition("/")
    start = f"POST {'/' + prefix if prefix else ''}{path} HTTP/1.1\r\nHost: {host}\r\n"
    return f"{start}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@lru_cache(maxsize=1)
def _spec_only() -> Any:
    """A message with nothing of PredictResponse but its model_spec: reading the version then costs little."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="viaduct/bench.proto", package="viaduct.bench", syntax="proto3"
    )
    value = file.message_type.add(name="Version")
    value.field.add(name="value", number=1, type=kinds.TYPE_INT64, label=kinds.LABEL_OPTIONAL)
    spec = file.message_type.add(name="Spec")
    spec.field.add(
        name="version",
        number=2,
        type=kinds.TYPE_MESSAGE,
        label=kinds.LABEL_OPTIONAL,
        type_name=".viaduct.bench.Version",
    )
    answer = file.message_type.add(name="Answer")
    answer.field.add(
        name="model_spec",
        number=2,
        type=kinds.TYPE_MESSAGE,
        label=kinds.LABEL_OPTIONAL,
        type_name=".viaduct.bench.Spec",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("viaduct.bench.Answer"))


def version_of(response: bytes) -> int:
    """The model version in a serialized PredictResponse; 0 where it bears none."""
    try:
        version: int = _spec_only().FromString(response).model_spec.version.value
        return version
    except Exception:
        return 0
