"""Rows of tf.Examples as columns, and each value as the number of a bin that the training rows define.

A number's bins are between the training rows' quantiles, with one below the least and one above the largest; a text's
are its most frequent values and all others together. Bin 0 is "missing". A list of numbers counts by its mean.
It compares nothing; rows are parsed without TensorFlow.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any
Column = list[float | str | None]
BINS, MOST_VALUES = 20, 50
MISSING = 0


def columns(rows: Sequence[bytes]) -> dict[str, Column]:
    """By feature: a number, a text or None of every serialized tf.Example."""
    from serving.wire.protos import example_pb2

    found: dict[str, Column] = {}
    for at, row in enumerate(rows):
        for name, feature in example_pb2.Example.FromString(row).features.feature.items():
            column = found.setdefault(name, [])
            column.extend([None] * (at - len(column)))
            column.append(_value(feature))
    for column in found.values():
        column.extend([None] * (len(rows) - len(column)))
    return found


def _value(feature: Any) -> float | str | None:
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind else ()
    if not values:
        return None
    if kind == "bytes_list":
        return str(values[0].decode("utf-8", "replace")) if len(values) == 1 else repr(list(values))
    mean = float(values[0]) if len(values) == 1 else float(np.mean(values))
    return mean if math.isfinite(mean) else None


@dataclass(frozen=True)
class Scale:
    """`edges` of a number's bins, ascending; or the `values` of a text that have bins of their own."""

    edges: tuple[float, ...] = ()
    values: Mapping[str, int] | None = None

    @property
    def numeric(self) -> bool:
        return self.values is None

    @property
    def size(self) -> int:
        return len(self.edges) + 2 if self.values is None else len(self.values) + 2

    def codes(self, column: Column) -> Array:
        """[row]: the bin of each. What is of the other kind (a text among numbers) is the last bin."""
        if self.values is None:
            numbers = np.array([v if isinstance(v, float) else math.nan for v in column], np.float64)
            codes = np.searchsorted(np.array(self.edges), numbers, side="right") + 1
            codes[[v is None for v in column]] = MISSING
            return codes
        other = self.size - 1
        return np.array([MISSING if v is None else self.values.get(str(v), other) for v in column], np.int64)


def scale_of(column: Column) -> Scale | None:
    """None where every value is missing."""
    known = [value for value in column if value is not None]
    if not known:
        return None
    if any(isinstance(value, str) for value in known):
        frequent = Counter(str(value) for value in known).most_common(MOST_VALUES)
        return Scale(values={value: number for number, (value, _) in enumerate(frequent, start=1)})
    floats = np.array(known, np.float64)
    numbers = np.unique(floats)
    inner = numbers if len(numbers) <= BINS else np.quantile(floats, np.linspace(0, 1, BINS + 1)[:-1])
    edges = np.unique([*inner, np.nextafter(numbers[-1], np.inf)])
    return Scale(edges=tuple(float(edge) for edge in edges))
