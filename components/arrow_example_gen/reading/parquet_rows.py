"""Parquet row groups to Arrow columns of the same few kinds as CSV: integers, floats, bytes, and lists of
these.

Booleans become 0 and 1, decimals floats, dates and times their ISO text. Structs and maps are refused. Unlike
CSV, a column that is text in one file and a number in another is an error: here the types were declared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from components.arrow_example_gen.options import Options
from components.arrow_example_gen.reading import kinds
from components.arrow_example_gen.reading.files import DataFile, open_raw
from components.arrow_example_gen.reading.kinds import Kind
from components.arrow_example_gen.reading.pieces import Piece
from components.shards import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet


@dataclasses.dataclass(frozen=True)
class Footer:
    """What the end of a Parquet file says: all column names, their Arrow types, bytes per row group, rows."""

    names: tuple[str, ...]
    types: tuple[pa.DataType, ...]
    group_bytes: tuple[int, ...]
    rows: int


def read_footer(file: DataFile) -> Footer:
    """Raises InputError where the file is not Parquet."""
    import pyarrow as pa
    from pyarrow import parquet

    with open_raw(file.path) as stream:
        try:
            reader = parquet.ParquetFile(stream)
        except pa.ArrowInvalid as error:
            raise InputError(f"{file.path}: not a whole Parquet file ({error}). Write it again.") from error
        footer, schema = reader.metadata, reader.schema_arrow
        sizes = tuple(footer.row_group(n).total_byte_size for n in range(footer.num_row_groups))
        return Footer(tuple(schema.names), tuple(schema.types), sizes, footer.num_rows)


def kinds_of(file: DataFile, footer: Footer, columns: Sequence[str]) -> dict[str, Kind]:
    """Raises InputError for a column whose type a tf.Example cannot hold."""
    declared = {}
    for name in columns:
        type_ = footer.types[footer.names.index(name)]
        kind = kind_of_type(type_)
        if kind is None:
            raise InputError(
                f"{file.path}, column {name!r}: type {type_} has no place in a tf.Example. Expected "
                "numbers, text, "
                "bytes, dates or lists of these; flatten it, or leave it out with columns=[...]."
            )
        declared[name] = kind
    return declared


def kind_of_type(type_: pa.DataType) -> Kind | None:
    """None for what a tf.Example cannot hold."""
    import pyarrow as pa

    is_ = pa.types
    if is_.is_list(type_) or is_.is_large_list(type_):
        return None if is_.is_nested(type_.value_type) else kind_of_type(type_.value_type)
    if is_.is_dictionary(type_):
        return kind_of_type(type_.value_type)
    if is_.is_null(type_):
        return Kind.UNKNOWN
    if is_.is_integer(type_) or is_.is_boolean(type_):
        return Kind.INT
    if is_.is_floating(type_) or is_.is_decimal(type_):
        return Kind.FLOAT
    if (
        is_.is_string(type_)
        or is_.is_large_string(type_)
        or is_.is_binary(type_)
        or is_.is_large_binary(type_)
    ):
        return Kind.BYTES
    return Kind.BYTES if is_.is_temporal(type_) and not is_.is_duration(type_) else None


def read(
    piece: Piece, columns: Sequence[str], plan: Mapping[str, Kind], options: Options
) -> Iterator[pa.Table]:
    """Tables of `columns`, each of the planned kind (or a list of it)."""
    import pyarrow as pa
    from pyarrow import parquet

    groups = list(range(piece.start, piece.end or 0))
    with open_raw(piece.file.path) as stream:
        reader = parquet.ParquetFile(stream)
        batches = reader.iter_batches(options.batch_rows * 4, groups, list(columns), use_threads=False)
        row = 1 + _rows_before(reader, piece)
        for batch in batches:
            arrays = [_cast(batch, name, plan[name], piece.file.path, row) for name in columns]
            row += batch.num_rows
            yield pa.Table.from_arrays(arrays, names=list(columns))


def rows_before(piece: Piece) -> int:
    """How many rows of its file stand before the piece."""
    from pyarrow import parquet

    with open_raw(piece.file.path) as stream:
        return _rows_before(parquet.ParquetFile(stream), piece)


def _rows_before(reader: parquet.ParquetFile, piece: Piece) -> int:
    return sum(reader.metadata.row_group(number).num_rows for number in range(piece.start))


def _cast(batch: pa.RecordBatch, name: str, kind: Kind, path: str, row: int) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    column = batch.column(batch.schema.get_field_index(name))
    try:
        if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
            return _cast_values(column, kind)
        if column.flatten().null_count:
            raise InputError(
                f"{path}, rows from {row}, column {name!r}: a list holds a missing value. Drop or fill it."
            )
        values = _cast_values(column.flatten(), kind)
        ends = np.concatenate([[0], np.cumsum(column.value_lengths().fill_null(0))])
        absent = np.append(np.asarray(column.is_null()), False) if column.null_count else None
        return pa.LargeListArray.from_arrays(pa.array(ends, pa.int64(), mask=absent), values)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"{path}, rows from {row}, column {name!r}: {error}. Expected values that fit {kind.words} of 64 bits; "
            "write the column with another type, or leave it out with columns=[...]."
        ) from error


def _cast_values(column: pa.Array, kind: Kind) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if kind == Kind.BYTES and (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        return column
    if pa.types.is_decimal(column.type) or pa.types.is_float16(column.type):
        return pa.array([None if v is None else float(v) for v in column.to_pylist()], kinds.arrow_type(kind))
    return column.cast(kinds.arrow_type(kind))
