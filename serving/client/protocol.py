"""What both transports of the client share: calls as generators, the signature cache, addresses.

An operation (predict, metadata, ...) is a generator: it yields a transport's call, is sent the response (or
thrown the ServingError), and returns its result. So each operation is written once and driven by the sync and
by the async client alike. No sockets here; `serving.client.over_grpc` and `serving.client.over_rest` have them.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from serving.client.results import ModelMetadata, Outputs, Signature
from serving.client.tensors import as_array, example
from serving.errors import FailedPrecondition, InvalidArgument, NotFound
from serving.wire.arrays import Array

T = TypeVar("T")
Steps = Generator[Any, Any, T]
Row = Mapping[str, Any]
DEFAULT_SIGNATURE = "serving_default"
DEFAULT_ADDRESS = "127.0.0.1:8500"


class Spec(NamedTuple):
    """Which model: its name and at most one of version and label; neither means the newest that is served."""

    model: str
    version: int | None = None
    label: str | None = None

    def check(self) -> Spec:
        if self.version is not None and self.label is not None:
            raise InvalidArgument(
                f"version={self.version!r} and label={self.label!r}: give one of them, or neither."
            )
        return self


class Address(NamedTuple):
    """Where a server listens. `secure` is what the scheme says; None where it says nothing (host:port)."""

    rest: bool
    target: str
    secure: bool | None
    loopback: bool


def parse_address(text: str) -> Address:
    """`host:port`, `grpc://`, `grpcs://`, `unix:/path` -> gRPC; `http://`, `https://` -> REST.

    Raises ValueError for anything else.
    """
    if text.startswith("unix:"):
        return Address(False, text, None, True)
    match = re.fullmatch(
        r"(?:(grpcs?|https?)://)?(\[[0-9a-fA-F:.]+\]|[^/:\s\[\]]+)(?::(\d+))?(/[^?#]*)?", text
    )
    scheme, host, port, path = match.groups() if match else (None, None, None, None)
    rest = scheme in ("http", "https")
    if not match or (not rest and (not port or path not in (None, "/"))):
        raise ValueError(
            f"{text!r} is no address of a model server; expected 'host:port' or 'grpc://host:port' (gRPC), "
            "'http://host:port' or 'https://host:port' (REST), or 'unix:/path'."
        )
    loopback = host == "localhost"
    with contextlib.suppress(ValueError):
        loopback = loopback or ipaddress.ip_address(str(host).strip("[]")).is_loopback
    if rest:
        return Address(True, text.rstrip("/"), scheme == "https", loopback)
    return Address(False, f"{host}:{port}", None if scheme is None else scheme == "grpcs", loopback)


class Protocol:
    """Base of the two wire protocols: how requests are made and answers read, and what signatures look like.

    Thread-safe: the cache is a dict whose entries are replaced whole. A signature is looked up once per
    model, version and name, and again when the server refuses a request that was built from it.
    """

    def __init__(self) -> None:
        self._signatures: dict[tuple[Spec, str], Signature] = {}

    def metadata(self, spec: Spec) -> Steps[ModelMetadata]:
        raise NotImplementedError

    def request(
        self,
        spec: Spec,
        inputs: dict[str, Any],
        info: Signature | None,
        signature: str,
        outputs: Sequence[str],
        key: str | None,
    ) -> Steps[Outputs]:
        """One predict with named inputs. `info` is None where nothing had to be looked up."""
        raise NotImplementedError

    def needs_signature(self, inputs: Any) -> bool:
        raise NotImplementedError

    def signature(self, spec: Spec, name: str) -> Steps[Signature]:
        known = self._signatures.get((spec, name))
        if known is not None:
            return known
        metadata = yield from self.metadata(spec)
        if name not in metadata.signatures:
            raise InvalidArgument(
                f'Serving signature name: "{name}" not found in signature def. Model {spec.model!r} version '
                f"{metadata.version} has: {', '.join(sorted(metadata.signatures)) or 'none'}."
            )
        info = self._signatures[spec, name] = metadata.signatures[name]
        return info

    def predict(
        self, spec: Spec, inputs: Any, signature: str, outputs: Sequence[str], key: str | None = None
    ) -> Steps[Outputs]:
        """As `Client.predict`. Where the server refuses a request built from a signature looked up earlier
        (a new version may name its inputs differently), it is looked up anew and, if it changed, tried again.
        """
        spec = spec.check()
        if not self.needs_signature(inputs):
            return (yield from self.request(spec, dict(inputs), None, signature, outputs, key))
        old = self._signatures.get((spec, signature))
        info = yield from self.signature(spec, signature)
        try:
            return (yield from self.request(spec, named(inputs, info), info, signature, outputs, key))
        except (InvalidArgument, FailedPrecondition, NotFound):
            self._signatures.pop((spec, signature), None)
            if old is None:
                raise
            info = yield from self.signature(spec, signature)
            if info == old:
                raise
        return (yield from self.request(spec, named(inputs, info), info, signature, outputs, key))

    def predict_examples(
        self, spec: Spec, rows: Sequence[Row], signature: str, outputs: Sequence[str], key: str | None = None
    ) -> Steps[Outputs]:
        """As `Client.predict_examples`: rows become serialized tf.Examples in the signature's one input."""
        info = yield from self.signature(spec.check(), signature)
        texts = [name for name, tensor in info.inputs.items() if tensor.dtype == "object"]
        if len(info.inputs) != 1 or not texts:
            have = ", ".join(f"{tensor.name} ({tensor.dtype})" for tensor in info.inputs.values())
            raise InvalidArgument(
                f"Signature {signature!r} of model {spec.model!r} does not take serialized tf.Examples: its "
                f"inputs are {have}. Use predict() with arrays, or name another signature."
            )
        serialized = np.empty(len(rows), dtype=object)
        serialized[:] = [example(row).SerializeToString() for row in rows]
        return (yield from self.predict(spec, {texts[0]: serialized}, signature, outputs, key))


def named(inputs: Any, info: Signature) -> dict[str, Array]:
    """Inputs by name, lists cast to what the signature declares. A bare value goes to the only input."""
    if not isinstance(inputs, Mapping):
        if len(info.inputs) != 1:
            raise InvalidArgument(
                f"Signature {info.name!r} has {len(info.inputs)} inputs ({', '.join(info.inputs)}): "
                "give a dict that names them."
            )
        inputs = {next(iter(info.inputs)): inputs}
    known = info.inputs
    return {k: as_array(v, known[k].dtype if k in known else None, k) for k, v in inputs.items()}
