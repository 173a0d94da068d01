"""What the blocking and the asyncio client share: the settings of a connection and the sums of deadlines."""

from __future__ import annotations

import time
from collections.abc import Mapping

from serving.client.over_grpc import GrpcProtocol
from serving.client.over_rest import RestProtocol
from serving.client.protocol import parse_address
from serving.client.results import Retry, Tls
from serving.errors import DeadlineExceeded

DEFAULT_TIMEOUT_S = 10.0


class Connection:
    """Settings of a client and the arithmetic of its deadlines; the transports differ in the two children."""

    def __init__(
        self,
        address: str,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        retry: Retry | None = None,
        tls: Tls | None = None,
        headers: Mapping[str, str] | None = None,
        compress: bool = False,
    ) -> None:
        self.address = address
        self.timeout = timeout
        self.retry = retry or Retry()
        self._where = parse_address(address)
        self._tls = tls
        self._headers = dict(headers or {})
        self._compress = compress
        self._protocol: GrpcProtocol | RestProtocol = RestProtocol() if self._where.rest else GrpcProtocol()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"

    def _deadline(self, timeout: float | None) -> float:
        return time.monotonic() + (self.timeout if timeout is None else timeout)

    def _left(self, deadline: float) -> float:
        left = deadline - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"The call's time is up before {self.address} could be asked (again)")
        return left
