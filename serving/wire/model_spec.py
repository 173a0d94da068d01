"""Which model, version and signature a request means: ModelSpec messages, also as the bytes the twins keep.

Clients send the same few specs again and again, so those bytes are read once and remembered. Nothing here knows
which models exist.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from serving.errors import InvalidArgument
from serving.wire import protos

SPECS_KEPT = 1024
# Longer ones are read anew each time: what is remembered must not grow as a client likes.
MAX_KEPT = 1024


class Spec(NamedTuple):
    """A ModelSpec: the model, its version or label (neither: the newest), the signature ("": the default)."""

    name: str
    version: int | None = None
    label: str | None = None
    signature: str = ""


def spec_of(proto: Any) -> Spec:
    choice = proto.WhichOneof("version_choice")
    version = proto.version.value if choice == "version" else None
    label = proto.version_label if choice == "version_label" else None
    return Spec(proto.name, version, label, proto.signature_name)


def fill(proto: Any, spec: Spec) -> None:
    proto.name = spec.name
    proto.signature_name = spec.signature
    if spec.version is not None:
        proto.version.value = spec.version
    if spec.label is not None:
        proto.version_label = spec.label


@functools.lru_cache(maxsize=SPECS_KEPT)
def _read(data: bytes) -> Spec:
    try:
        return spec_of(protos.model_pb2.ModelSpec.FromString(data))
    except (DecodeError, ValueError) as error:
        raise InvalidArgument(
            f"The request's model_spec is no ModelSpec: {len(data)} bytes ({error})"
        ) from None


@functools.lru_cache(maxsize=SPECS_KEPT)
def _write(spec: Spec) -> bytes:
    proto = protos.model_pb2.ModelSpec()
    fill(proto, spec)
    data: bytes = proto.SerializeToString()
    return data


def read(data: bytes) -> Spec:
    """The Spec of a serialized ModelSpec. Raises InvalidArgument."""
    return (_read if len(data) <= MAX_KEPT else _read.__wrapped__)(data)


def written(spec: Spec) -> bytes:
    """The serialized ModelSpec."""
    size = len(spec.name) + len(spec.label or "") + len(spec.signature)
    return (_write if size <= MAX_KEPT else _write.__wrapped__)(spec)
