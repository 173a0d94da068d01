"""Between the three shapes of a batch: as a reader of files made it, as tfx_bsl decodes records, and as it is stored.

Stored, a column whose rows have exactly one value each holds the values alone; that is a third of the size, and the
list's offsets, the same for every such column, cost nothing to make. No value is changed here but by `as_lists`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def as_lists(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Columns of int64, float64, string, binary, null, or lists of these, as tfx_bsl decodes what is written of them.

    A missing value is a null list: the feature is absent from its row. (TFX's own ExampleGen writes a list without
    values, which TFDV counts as present.) A column without any value stays of type null; floats are 32 bits.
    """
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([_as_list(column) for column in batch.columns], batch.schema.names)


def _as_list(column: pa.Array) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    if pa.types.is_null(column.type):
        return column
    if pa.types.is_large_list(column.type):
        ends = np.concatenate([[0], np.cumsum(column.value_lengths().fill_null(0))])
        return pa.LargeListArray.from_arrays(_offsets(ends, column), _narrow(column.flatten()))
    if not column.null_count:
        ends = np.arange(len(column) + 1, dtype=np.int64)
        return pa.LargeListArray.from_arrays(pa.array(ends), _narrow(column))
    ends = np.concatenate([[0], np.cumsum(np.asarray(column.is_valid()))])
    return pa.LargeListArray.from_arrays(_offsets(ends, column), _narrow(column.drop_null()))


def _offsets(ends: np.ndarray, column: pa.Array) -> pa.Array:
    """Where lists begin and end; null where a row of `column` is, so that its list becomes null."""
    import numpy as np
    import pyarrow as pa

    if not column.null_count:
        return pa.array(ends, pa.int64())
    return pa.array(ends, pa.int64(), mask=np.append(np.asarray(column.is_null()), False))


def _narrow(values: pa.Array) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_floating(values.type):
        return values.cast(pa.float32(), safe=False)
    if (
        pa.types.is_string(values.type)
        or pa.types.is_large_string(values.type)
        or pa.types.is_binary(values.type)
    ):
        return values.cast(pa.large_binary())
    return values


def stored(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Lists as they are stored: a column with one value in every row becomes the column of these values."""
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([_stored(column) for column in batch.columns], batch.schema.names)


def _stored(column: pa.Array) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    if not pa.types.is_large_list(column.type) or column.null_count or not len(column):
        return column
    offsets = np.asarray(column.offsets)
    if offsets[-1] - offsets[0] != len(column) or not (np.diff(offsets) == 1).all():
        return column
    return column.values.slice(int(offsets[0]), len(column))


def single(column: pa.Array) -> pa.Array:
    """A column of lists as one of values, null where a list is, if none of the others has more or less than one."""
    import numpy as np
    import pyarrow as pa

    if not pa.types.is_large_list(column.type) or not column.null_count:
        return _stored(column)
    lengths = np.asarray(column.value_lengths().fill_null(1))
    values = column.flatten()
    there = np.asarray(column.is_valid())
    if len(values) != there.sum() or not (lengths == 1).all():
        return column
    return values.take(pa.array(np.cumsum(there) - 1, mask=~there))


def widened(batch: pa.RecordBatch, names: set[str]) -> pa.RecordBatch:
    """A stored batch in which the columns `names` are lists again, to stand beside batches where they have to be."""
    import pyarrow as pa

    columns = [
        _listed(column, None) if name in names else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def listed(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A stored batch as tfx_bsl gives it; the inverse of `stored`."""
    import numpy as np
    import pyarrow as pa

    offsets = pa.array(np.arange(batch.num_rows + 1, dtype=np.int64))
    columns = [_listed(column, offsets) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _listed(column: pa.Array, offsets: pa.Array | None) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    if pa.types.is_null(column.type) or pa.types.is_large_list(column.type):
        return column
    if offsets is None:
        offsets = pa.array(np.arange(len(column) + 1, dtype=np.int64))
    return pa.LargeListArray.from_arrays(offsets, column)


def is_list(kind: pa.DataType) -> bool:
    """Whether a stored column of this type holds lists, and not one value a row."""
    import pyarrow as pa

    return bool(pa.types.is_large_list(kind) or pa.types.is_null(kind))
