"""Which requests a candidate gets: a share of the keys, the same ones everywhere and as long as the share grows.

A key goes to the candidate where blake2b(salt + key) / 2^64 < share. Whoever knows the salt decides alike: each worker
of a server, several servers, and a client in front of the original (`serving.client.split`). Standard library only.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

KEY = "x-viaduct-key"
VERSION = "x-viaduct-version"


def place(salt: str, key: str) -> float:
    """Where a key lies in [0, 1); spread evenly over the keys, independently for each salt."""
    digest = hashlib.blake2b((salt + key).encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


@dataclass(frozen=True)
class Split:
    """How a model's requests that name neither version nor label are divided while a release is in flight.

    share: of the keys that the candidate answers; 0 in the shadow
    shadow: of the baseline's requests that the candidate runs too, after the answer
    patience_s: how long a candidate may take over an answer before the baseline gives it
    record: whether it is kept which key was given to which arm, for an A/B test
    """

    release: int
    baseline: int
    candidate: int
    share: float
    salt: str
    shadow: float = 0.0
    patience_s: float = 10.0
    record: bool = False

    def chosen(self, key: str | None) -> bool:
        """Whether the candidate answers; by lot where there is no key."""
        return (random.random() if key is None else place(self.salt, key)) < self.share
