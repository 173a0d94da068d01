"""Splits by time: of the rows' moments, those up to which rows belong to the first split, to the second, and so on.

Later rows then judge what earlier ones taught. Rows of one moment are never parted, so a split's share of the rows is
near its buckets' and not always equal to it. Which moments these are is asked of all rows once, before any is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from components.shards import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def moments(column: pa.Array | pa.ChunkedArray, name: str, where: str) -> np.ndarray:
    """float64 that grows with time: numbers as they are, texts such as 2024-02-29T13:05Z as seconds since 1970.

    Raises InputError, naming `where`, for a row without a moment and for a text that is none.
    """
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        found = np.asarray(column.to_pandas(), float)
        wrong = np.isnan(found)
    else:
        times = pd.to_datetime(column.to_pandas(), errors="coerce", utc=True)
        wrong = np.asarray(times.isna())
        found = np.asarray((times - pd.Timestamp(0, tz="utc")) / pd.Timedelta(seconds=1), float)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{where}: split_time {name!r} is {column[row].as_py()!r} in a row; expected a date, a time or a number in "
            "every row."
        )
    return found


def bounds(times: np.ndarray, buckets: Sequence[int], name: str, where: str) -> tuple[float, ...]:
    """The last moment of every split but the last. Raises InputError where a split would be empty."""
    import numpy as np

    known, counts = np.unique(times, return_counts=True)
    if len(known) < len(buckets):
        raise InputError(
            f"{where}: split_time {name!r} has {len(known)} different values; expected {len(buckets)} at least, one "
            "for each split."
        )
    passed = np.cumsum(counts) / counts.sum()
    wanted = np.cumsum(buckets)[:-1] / sum(buckets)
    found: list[int] = []
    for number, share in enumerate(wanted):
        # The moment whose end is nearest to the share, with one left for each split before and behind.
        first, last = (found[-1] + 1 if found else 0), len(known) - len(buckets) + number
        found.append(first + int(np.abs(passed[first : last + 1] - share).argmin()))
    return tuple(float(known[place]) for place in found)


def split_numbers(times: np.ndarray, ends: Sequence[float]) -> np.ndarray:
    """int64 split per row, for `ends` of `bounds`."""
    import numpy as np

    return np.searchsorted(np.asarray(ends), times, side="left").astype(np.int64)
