"""Which split a row belongs to: a hash of its values (or of its key), computed for whole columns at once.

Equal rows, and rows of equal keys, always meet in the same split, whatever file, batch, byte range or worker
they came through, and whatever the order of the columns. Missing values and all-empty columns do not count,
and a number counts by its value, so an integer column that turns into floats later keeps its rows where they
were. The rows per split follow TFX's hash_buckets, but row by row the choice differs from TFX's SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_STRING_KEY = "viaduct-row-hash"  # 16 characters, as the SipHash underneath wants them
_LISTS = ("list", "large_list", "fixed_size_list")


def split_numbers(hashes: np.ndarray, buckets: Sequence[int]) -> np.ndarray:
    """Split number per row. `buckets` are hash_buckets per split, e.g. [2, 1] for train and eval."""
    import numpy as np

    bounds = np.cumsum(np.asarray(buckets, np.uint64))
    return np.searchsorted(bounds, hashes % bounds[-1], side="right").astype(np.int64)


def row_hashes(batch: pa.RecordBatch, columns: Sequence[str] | None = None) -> np.ndarray:
    """uint64 per row, over all columns or the named ones."""
    import numpy as np

    total = np.zeros(batch.num_rows, np.uint64)
    for name in columns if columns is not None else batch.schema.names:
        total += _column_hashes(batch.column(batch.schema.get_field_index(name)), _seed(name))
    return _mix(total)


def _seed(name: str) -> np.uint64:
    import numpy as np

    return np.frombuffer(hashlib.blake2b(name.encode(), digest_size=8).digest(), "<u8")[0]


def _mix(value: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every input bit reaches every output bit."""
    import numpy as np

    value = value ^ (value >> np.uint64(30))
    value = value * np.uint64(0xBF58476D1CE4E5B9)
    value = value ^ (value >> np.uint64(27))
    value = value * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _column_hashes(column: pa.Array, seed: np.uint64) -> np.ndarray:
    """Hash per row; 0 where the value is missing."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_null(column.type):
        return np.zeros(len(column), np.uint64)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return _list_hashes(column, seed)
    hashes = _mix(_value_bits(column) ^ seed)
    if column.null_count:
        hashes[np.asarray(column.is_null())] = 0
    return hashes


def _value_bits(column: pa.Array) -> np.ndarray:
    """64 bits per value that are equal for equal values; anything where the value is missing."""
    import numpy as np
    import pyarrow as pa
    from pandas.util import hash_array

    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        numbers = column.cast(pa.float64(), safe=False).fill_null(0.0).to_numpy(zero_copy_only=False)
        # Adding 0.0 turns -0.0 into 0.0; all NaNs become one.
        return np.where(np.isnan(numbers), np.nan, numbers + 0.0).view(np.uint64)
    encoded = column.dictionary_encode()
    values = encoded.dictionary.to_numpy(zero_copy_only=False)
    if not len(values):
        return np.zeros(len(column), np.uint64)
    hashes = hash_array(values, hash_key=_STRING_KEY, categorize=False)
    return hashes[encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)]


def _list_hashes(column: pa.Array, seed: np.uint64) -> np.ndarray:
    """Values count with their position in the list; an empty list counts as missing."""
    import numpy as np

    lengths = np.asarray(column.value_lengths().fill_null(0)).astype(np.int64)
    values = _column_hashes(column.flatten(), seed)
    ends = np.cumsum(lengths)
    position = np.arange(len(values)) - np.repeat(ends - lengths, lengths)
    running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_mix(values + position.astype(np.uint64)))])
    return running[ends] - running[ends - lengths]
