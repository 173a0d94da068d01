"""CSV pieces to Arrow columns, in two ways that give the same values.

Fast: Arrow converts while it parses. Slow: where Arrow refuses a value or might read it unlike Python
(`+3`, `1_000`, `0x10`), the block is read as text and converted by `kinds`. What fits neither way is
explained by `diagnosing`. It neither splits nor encodes rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from components.arrow_example_gen.options import Options
from components.arrow_example_gen.reading import diagnosing, kinds, numbers
from components.arrow_example_gen.reading.files import opened
from components.arrow_example_gen.reading.kinds import Kind
from components.arrow_example_gen.reading.pieces import Piece, last_row_end, row_blocks

if TYPE_CHECKING:
    import pyarrow as pa

_SNIFFED_BYTES = 1 << 18
_CACHED_BYTES = 1 << 20  # parsed and converted while still in the processor's cache: half the cost


def blocks(piece: Piece, options: Options, **size: int) -> Iterator[tuple[bytes, int]]:
    """Blocks of whole rows and where each starts in the decompressed file.

    Raises InputError where the last one ends inside quotes, which Arrow would let pass.
    """
    position = piece.start
    last = b""
    with opened(piece.file) as stream:
        stream.seek(position)
        limit = None if piece.end is None else piece.end - piece.start
        for block in row_blocks(stream, piece.file, options, limit, **size):
            if last:
                yield last, position
                position += len(last)
            last = block
        if not last:
            return
        if options.quoting and b'"' in last:
            whole = last if last.endswith(b"\n") else last + b"\n"
            if last_row_end(whole, piece.file.delimiter(options)) != len(whole):
                raise diagnosing.bad_rows(last, position, piece, options, "a quote is never closed")
        yield last, position


def read(
    piece: Piece, columns: Sequence[str], plan: Mapping[str, Kind], fixed: frozenset[str], options: Options
) -> Iterator[pa.Table]:
    """Tables of `columns`, each of the planned kind. Raises InputError with file and line."""
    for block, position in blocks(piece, options):
        wanted = {name: plan[name] for name in columns}
        table = _fast(block, piece, wanted, options)
        if table is None:
            texts = _as_text(block, position, piece, columns, options)
            for name in columns:
                if kinds.kind_of_column(numbers.as_python(texts[name], options)) > wanted[name]:
                    raise diagnosing.bad_value(block, position, piece, wanted, fixed, options)
            table = _converted(texts, wanted, options)
        yield table


def infer(
    piece: Piece, columns: Sequence[str], hint: Mapping[str, Kind], options: Options
) -> tuple[dict[str, Kind], int]:
    """The kinds that the piece needs, at least the hinted ones, and its number of rows.

    Exact for any hint that was itself found in the same input.
    """
    needed = {name: hint.get(name, Kind.UNKNOWN) for name in columns}
    rows = 0
    for block, position in blocks(piece, options):
        # A column known to be text can get no wider: it is parsed, for its rows count, but not converted.
        open_columns = {name: kind for name, kind in needed.items() if kind < Kind.BYTES} or needed
        table = _fast(block, piece, open_columns, options)
        if table is None:
            table = _as_text(block, position, piece, list(open_columns), options)
            for name in open_columns:
                texts = numbers.as_python(table[name], options)
                needed[name] = max(needed[name], kinds.kind_of_column(texts))
        rows += len(next(iter(table.values()))) if isinstance(table, dict) else table.num_rows
    return needed, rows


def sniff(piece: Piece, columns: Sequence[str], options: Options) -> dict[str, pa.Array]:
    """The first rows as text. Never raises on bad rows; whoever reads them all will."""
    for block, position in blocks(piece, options, size=_SNIFFED_BYTES):
        try:
            return _as_text(block, position, piece, columns, options)
        except ValueError:
            break
    return {}


def _fast(block: bytes, piece: Piece, wanted: Mapping[str, Kind], options: Options) -> pa.Table | None:
    """None where Arrow refuses the block or reads as a number what may be text: a hexadecimal integer, or one
    beyond 64 bits in a column of floats."""
    import pyarrow as pa

    if Kind.INT in wanted.values() and (b"x" in block or b"X" in block):
        return None
    try:
        types = {name: kinds.arrow_type(kind) for name, kind in wanted.items()}
        table = _parse(block, piece, types, options, _CACHED_BYTES)
    except pa.ArrowInvalid:
        return None
    floats = [name for name, kind in wanted.items() if kind == Kind.FLOAT]
    return None if any(kinds.reaches_beyond_int64(table.column(name)) for name in floats) else table


def _as_text(
    block: bytes, position: int, piece: Piece, columns: Sequence[str], options: Options
) -> dict[str, pa.Array]:
    import pyarrow as pa

    try:
        table = _parse(block, piece, dict.fromkeys(columns, pa.string()), options, len(block) + 1)
    except pa.ArrowInvalid as error:
        raise diagnosing.bad_rows(block, position, piece, options, str(error)) from error
    return {name: table.column(name).combine_chunks() for name in columns}


def _converted(texts: Mapping[str, pa.Array], wanted: Mapping[str, Kind], options: Options) -> pa.Table:
    import pyarrow as pa

    columns = {}
    for name, column in texts.items():
        column = column.chunk(0) if isinstance(column, pa.ChunkedArray) and column.num_chunks else column
        if wanted[name] in (Kind.INT, Kind.FLOAT):
            column = numbers.as_python(column, options)
        columns[name] = kinds.convert(column, wanted[name])
    return pa.table(columns)


def _parse(
    block: bytes, piece: Piece, types: Mapping[str, pa.DataType], options: Options, step: int
) -> pa.Table:
    """One thread: Beam decides about parallel work. `step`: bytes parsed at a time, more than any row."""
    import pyarrow as pa
    from pyarrow import csv

    assert piece.header is not None
    # Not read_csv, whose call costs twice as much before its first row.
    reader = csv.open_csv(
        pa.BufferReader(block),
        csv.ReadOptions(use_threads=False, block_size=step, column_names=list(piece.header.names)),
        csv.ParseOptions(
            delimiter=piece.file.delimiter(options),
            quote_char='"' if options.quoting else False,
            newlines_in_values=options.quoting and b'"' in block,
        ),
        csv.ConvertOptions(
            column_types=dict(types),
            include_columns=list(types),
            decimal_point=options.decimal,
            null_values=_null_values(options),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )
    return reader.read_all()


def _null_values(options: Options) -> list[str]:
    """The words that mean nothing, alone or with a space beside them, as files with ', ' between values have them."""
    return [
        "",
        *(
            f"{before}{word}{after}"
            for word in options.null_values
            for before in ("", " ")
            for after in ("", " ")
        ),
    ]
