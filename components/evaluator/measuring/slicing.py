"""Which rows belong to which slices, asked of TFMA's own slicer once per distinct combination of values.

Nothing is reckoned per row but the number of its combination, so that a hundred thousand rows with twelve
combinations cost twelve questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.slicer import slicer_lib

from components.confidence.tfma_files import SliceKey


@dataclass
class Slices:
    """`keys` [s] as TFMA has them; `layers` are int32 arrays [n] with the number of a slice, or -1.

    A row is in every slice that one of the layers names; no layer names one that another named for the same row.
    """

    keys: list[SliceKey] = field(default_factory=list)
    layers: list[np.ndarray] = field(default_factory=list)

    def rows(self) -> np.ndarray:
        """Rows of each slice [s]."""
        counts = np.zeros(len(self.keys), np.int64)
        for layer in self.layers:
            counts += np.bincount(layer[layer >= 0], minlength=len(self.keys))
        return counts


class Slicer:
    """Takes batches of the columns that slices are made of; `finish` gives the slices of all rows."""

    def __init__(self, specs: Sequence[config_pb2.SlicingSpec]) -> None:
        self._specs = [slicer_lib.SingleSliceSpec(spec=spec) for spec in specs]
        self._specs = self._specs or [slicer_lib.SingleSliceSpec()]
        self.columns = sorted({c for spec in specs for c in (*spec.feature_keys, *spec.feature_values)})
        self._numbers: dict[SliceKey, int] = {}
        self._asked: dict[tuple[Any, ...], tuple[int, ...]] = {}
        self._batches: list[np.ndarray] = []

    def add(self, rows: int, transformed: Sequence[Mapping[str, Any]], raw: Mapping[str, Any]) -> None:
        """A batch of `rows` rows: what each model's preprocessing made, and the raw features.

        Columns are numpy arrays [n, ...] or Arrow list arrays (of raw features); others are passed over.
        """
        sources: list[tuple[int, str]] = []
        codes: list[np.ndarray] = []
        values: list[list[tuple[Any, ...]]] = []
        for place, source in enumerate([*transformed, raw]):
            for name in self.columns:
                if source.get(name) is not None:
                    code, known = _distinct(source[name])
                    sources.append((place, name))
                    codes.append(code)
                    values.append(known)
        joint, firsts = _joint(codes, rows)
        numbers = [
            self._ask(len(transformed), sources, [v[c[row]] for v, c in zip(values, codes, strict=True)])
            for row in firsts
        ]
        depth = max((len(n) for n in numbers), default=0)
        table = np.full((max(1, len(numbers)), depth), -1, np.int32)
        for place, found in enumerate(numbers):
            table[place, : len(found)] = found
        self._batches.append(table[joint])

    def _ask(
        self, models: int, sources: Sequence[tuple[int, str]], values: Sequence[tuple[Any, ...]]
    ) -> tuple[int, ...]:
        asked = (*sources, *values)
        if asked not in self._asked:
            features: list[dict[str, np.ndarray]] = [{} for _ in range(models + 1)]
            for (place, name), value in zip(sources, values, strict=True):
                features[place][name] = np.array(
                    value, object if value and isinstance(value[0], bytes) else None
                )
            keys = slicer_lib.get_slices_for_features_dicts(features[:-1], features[-1], self._specs)
            self._asked[asked] = tuple(
                self._numbers.setdefault(key, len(self._numbers)) for key in dict.fromkeys(keys)
            )
        return self._asked[asked]

    def finish(self) -> Slices:
        """The slices of all batches in their order, the whole split first, then by key."""
        order = sorted(self._numbers, key=lambda key: (len(key), [(c, str(v)) for c, v in key]))
        place = np.full(len(order) + 1, -1, np.int32)
        for new, key in enumerate(order):
            place[self._numbers[key]] = new
        depth = max((batch.shape[1] for batch in self._batches), default=0)
        padded = [
            np.pad(batch, ((0, 0), (0, depth - batch.shape[1])), constant_values=-1)
            for batch in self._batches
        ]
        table = place[np.concatenate(padded)] if padded else np.zeros((0, 0), np.int32)
        return Slices(order, [np.ascontiguousarray(column) for column in table.T])


def _joint(codes: Sequence[np.ndarray], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """(number of each row's combination of codes [n], a row of each combination)."""
    joint = np.zeros(rows, np.int64)
    for code in codes:
        _, joint = np.unique(joint * (int(code.max(initial=0)) + 1) + code, return_inverse=True)
    _, firsts, joint = np.unique(joint, return_index=True, return_inverse=True)
    return joint, firsts


def _distinct(column: Any) -> tuple[np.ndarray, list[tuple[Any, ...]]]:
    """(number of each row's values [n], what the numbers stand for: the values of a row, as a tuple)."""
    import pyarrow as pa

    if isinstance(column, np.ndarray):
        flat = column.reshape(len(column), -1)
        if flat.shape[1] == 1:
            encoded = pa.array(flat[:, 0]).dictionary_encode()
            return np.asarray(encoded.indices), [(value,) for value in encoded.dictionary.to_pylist()]
        return _by_row(flat.tolist())
    if pa.types.is_null(column.type):
        return np.zeros(len(column), np.int64), [()]
    if column.null_count == 0 and len(column.flatten()) == len(column):
        lengths = np.diff(np.asarray(column.offsets))
        if (lengths == 1).all():
            encoded = column.flatten().dictionary_encode()
            return np.asarray(encoded.indices), [(value,) for value in encoded.dictionary.to_pylist()]
    return _by_row([values or [] for values in column.to_pylist()])


def _by_row(rows: Sequence[Sequence[Any]]) -> tuple[np.ndarray, list[tuple[Any, ...]]]:
    numbers: dict[tuple[Any, ...], int] = {}
    code = np.array([numbers.setdefault(tuple(row), len(numbers)) for row in rows], np.int64)
    return code, list(numbers)
