"""What the client's calls return: plain frozen dataclasses, and the options of a connection.

Nothing here opens a connection or knows protobuf.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from serving.wire.arrays import Array


@dataclass(frozen=True)
class Tls:
    """Files for an encrypted connection, all PEM. `root` checks the server (default: the system's roots);
    `certificate` and `key` show who we are (mutual TLS); `server_name` is the name that the server's
    certificate bears where it is not the host of the address (gRPC only)."""

    root: str | Path | None = None
    certificate: str | Path | None = None
    key: str | Path | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if bool(self.certificate) != bool(self.key):
            raise ValueError(
                f"certificate={self.certificate!r} and key={self.key!r}: mutual TLS needs both or neither"
            )


@dataclass(frozen=True)
class Retry:
    """How often and how patiently a call is repeated that the server answered with UNAVAILABLE.

    Waits `first_wait_s`, then twice as long each time up to `longest_wait_s`, each shortened at random by up
    to half so that many clients do not come back together. Never beyond the call's own deadline.
    """

    attempts: int = 5
    first_wait_s: float = 0.05
    longest_wait_s: float = 1.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts is {self.attempts!r}; 1 means 'never repeat', less makes no sense")

    def waits(self) -> Iterator[float]:
        """Seconds to wait before each repetition."""
        for number in range(self.attempts - 1):
            yield min(self.first_wait_s * 2**number, self.longest_wait_s) * random.uniform(0.5, 1.0)


@dataclass(frozen=True)
class TensorInfo:
    """One input or output of a signature. `dtype` is numpy's name for it ("float32", "object" for strings);
    `shape` has None where a size is free and is None altogether where not even the rank is known."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Signature:
    """One entry point of a model. `method` is the last part of its method name, such as "predict".

    `optional` are the inputs that have a default of the model's, which need not be sent."""

    name: str
    method: str
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ModelMetadata:
    model: str
    version: int
    signatures: Mapping[str, Signature] = field(default_factory=dict)


@dataclass(frozen=True)
class VersionStatus:
    """`state` is START, LOADING, AVAILABLE, UNLOADING or END; `error` is "" where all is well."""

    version: int
    state: str
    error_code: str = "OK"
    error: str = ""


class Outputs(dict[str, Array]):
    """Arrays by output name. `version` is the one that answered; None where the server does not say (the original's
    REST API). `request_id` is what `Client.feedback` names this request by; None where the server keeps nothing of it.
    """

    version: int | None = None
    request_id: str | None = None


class Rows(list[list["Scored"]]):
    """A classification: for each row its classes. `version` and `request_id` as in `Outputs`."""

    version: int | None = None
    request_id: str | None = None


class Values(np.ndarray[Any, np.dtype[np.float32]]):
    """A regression: one float32 for each row. `version` and `request_id` as in `Outputs`; a part of it has neither."""

    version: int | None = None
    request_id: str | None = None


class Heads(list["Rows | Values"]):
    """A MultiInference: what each task gives, in their order. `version` and `request_id` as in `Outputs`."""

    version: int | None = None
    request_id: str | None = None


class Scored(NamedTuple):
    """One class of a classification. `label` is "" where the model gives scores without names."""

    label: str
    score: float
