"""Arrays by name as rows: what requests need in common to share a run, putting them together, and dividing a run.

Pure functions over numpy. Whether a model goes by rows, and who shares a run, is for `serving.execution.batcher`.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from serving.engine.saved_model import Arrays
from serving.wire.arrays import Array


class NotByRows(Exception):
    """The model's output has not one row per input row, so it can neither be divided nor put together."""


def describe(inputs: Arrays, pad: bool) -> tuple[Hashable, int]:
    """(what requests must have in common to share a batch, or None for never; rows)."""
    rows = -1
    parts = []
    for name, array in inputs.items():
        shape = array.shape
        if not shape or rows not in (-1, shape[0]):
            return None, 0
        rows = shape[0]
        parts.append((name, array.dtype, len(shape) if pad and array.size else shape[1:]))
    if rows < 1:
        return None, 0
    return (parts[0] if len(parts) == 1 else frozenset(parts)), rows


def merge(requests: list[Arrays], padding: int) -> Arrays:
    """The rows of all requests under each other, then the last request's first row `padding` times (a row
    that is known to be valid). Unlike inner sizes are filled up with each array's own first value."""
    merged = {}
    for name in requests[0]:
        arrays = [request[name] for request in requests]
        if padding:
            arrays += [arrays[-1][:1]] * padding
        inner = {array.shape[1:] for array in arrays}
        if len(inner) > 1:
            sizes = tuple(max(column) for column in zip(*inner, strict=True))
            arrays = [_fill_up(array, sizes) for array in arrays]
        merged[name] = np.concatenate(arrays)
    return merged


def _fill_up(array: Array, sizes: tuple[int, ...]) -> Array:
    if array.shape[1:] == sizes:
        return array
    result = np.full((array.shape[0], *sizes), array.ravel()[0], dtype=array.dtype)
    result[tuple(slice(0, size) for size in array.shape)] = array
    return result


def split(outputs: Arrays, rows: list[int]) -> list[Arrays]:
    """Each request's rows of each output, as views."""
    results = []
    start = 0
    for count in rows:
        end = start + count
        results.append({name: array[start:end] for name, array in outputs.items()})
        start = end
    return results


def join(parts: list[Arrays]) -> Arrays:
    """The rows of slices under each other. Raises NotByRows where their inner sizes differ: run as a whole, the
    model would have made them equal."""
    for name in parts[0]:
        if len({part[name].shape[1:] for part in parts}) > 1:
            raise NotByRows
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
