"""What a rehearsal is told: which versions, which requests, for how long, and the bars. Standard library only."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Of the rate that was observed; a candidate has to stand twice of it.
PACES = (0.5, 1.0, 2.0)
# Pairs of slices, current and candidate, at each pace.
PAIRS = 5


class TermsError(ValueError):
    """Terms that cannot be."""


@dataclass(frozen=True)
class Terms:
    """model: its name in the requests. candidate: the SavedModel's folder. served: the folder of the versions that are
    served, whose live one is the current one ("" or none there: the candidate goes alone).
    logs: a folder of request logs, "" for none. rows: a TFRecord file of tf.Examples, which are sent to `signature`
    where no logs are. seconds: of requests, altogether. rate: requests a second where none was observed.
    latency_ratio: of the p99s, candidate to current, the median of pairs. memory_ratio: of the servers' largest
    memories. memory_mb: of the candidate's server; None: any. parity: how far numbers may be from those of the export
    in this process, absolutely and relatively; None: any. load_s: how long loading may take.
    out: the folder for result.json and the warm-up file.
    """

    model: str
    candidate: str
    out: str
    served: str = ""
    logs: str = ""
    rows: str = ""
    signature: str = "serve_examples"
    seconds: float = 30.0
    rate: float = 100.0
    latency_ratio: float = 1.5
    memory_ratio: float = 1.5
    memory_mb: float | None = None
    parity: float | None = 1e-5
    load_s: float = 120.0

    def slice_s(self, arms: int) -> float:
        """Seconds of one slice of one arm."""
        return self.seconds / (len(PACES) * PAIRS * arms)


def from_json(value: Mapping[str, Any]) -> Terms:
    """Raises TermsError for fields that are unknown or missing, and numbers that are not positive."""
    fields = {field.name: field for field in dataclasses.fields(Terms)}
    unknown = sorted(set(value) - set(fields))
    if unknown:
        raise TermsError(f"Terms: field {unknown[0]!r} does not exist; known: {', '.join(sorted(fields))}.")
    try:
        terms = Terms(**value)
    except TypeError as error:
        raise TermsError(f"Terms: {error}.") from None
    for name in ("seconds", "rate", "latency_ratio", "memory_ratio", "load_s"):
        if not getattr(terms, name) > 0:
            raise TermsError(f"Terms: {name} is {getattr(terms, name)!r}; expected a positive number.")
    return terms
