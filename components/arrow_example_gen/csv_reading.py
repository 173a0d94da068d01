"""CSV spans to Arrow columns, in two ways that give the same values.

Fast: Arrow converts while it parses. Slow: where Arrow refuses a value or might read it unlike Python
(`+3`, `1_000`, `0x10`), the block is read as text and converted by `kinds`. What fits neither way is
explained by `diagnosing`. It neither splits nor encodes rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from components.arrow_example_gen import diagnosing, kinds
from components.arrow_example_gen.files import opened
from components.arrow_example_gen.kinds import Kind
from components.arrow_example_gen.options import Options
from components.arrow_example_gen.spans import Span, last_row_end, row_blocks

if TYPE_CHECKING:
    import pyarrow as pa

_SNIFFED_BYTES = 1 << 18
_CACHED_BYTES = 1 << 20  # parsed and converted while still in the processor's cache: half the cost


def blocks(span: Span, options: Options, **size: int) -> Iterator[tuple[bytes, int]]:
    """Blocks of whole rows and where each starts in the decompressed file.

    Raises InputError where the last one ends inside quotes, which Arrow would let pass.
    """
    position = span.start
    last = b""
    with opened(span.file) as stream:
        stream.seek(position)
        limit = None if span.end is None else span.end - span.start
        for block in row_blocks(stream, span.file, options, limit, **size):
            if last:
                yield last, position
                position += len(last)
            last = block
        if not last:
            return
        if options.quoting and b'"' in last:
            whole = last if last.endswith(b"\n") else last + b"\n"
            if last_row_end(whole, span.file.delimiter(options)) != len(whole):
                raise diagnosing.bad_rows(last, position, span, options, "a quote is never closed")
        yield last, position


def read(
    span: Span, columns: Sequence[str], plan: Mapping[str, Kind], fixed: frozenset[str], options: Options
) -> Iterator[pa.Table]:
    """Tables of `columns`, each of the planned kind. Raises InputError with file and line."""
    for block, position in blocks(span, options):
        wanted = {name: plan[name] for name in columns}
        table = _fast(block, span, wanted, options)
        if table is None:
            texts = _as_text(block, position, span, columns, options)
            for name in columns:
                if kinds.kind_of_column(texts[name]) > wanted[name]:
                    raise diagnosing.bad_value(block, position, span, wanted, fixed, options)
            table = _converted(texts, wanted)
        yield table


def infer(
    span: Span, columns: Sequence[str], hint: Mapping[str, Kind], options: Options
) -> tuple[dict[str, Kind], int]:
    """The kinds that the span needs, at least the hinted ones, and its number of rows.

    Exact for any hint that was itself found in the same input.
    """
    found = {name: hint.get(name, Kind.UNKNOWN) for name in columns}
    rows = 0
    for block, position in blocks(span, options):
        # A column known to be text can get no wider: it is parsed, for its rows count, but not converted.
        open_columns = {name: kind for name, kind in found.items() if kind < Kind.BYTES} or found
        table = _fast(block, span, open_columns, options)
        if table is None:
            table = _as_text(block, position, span, list(open_columns), options)
            for name in open_columns:
                found[name] = max(found[name], kinds.kind_of_column(table[name]))
        rows += len(next(iter(table.values()))) if isinstance(table, dict) else table.num_rows
    return found, rows


def sniff(span: Span, columns: Sequence[str], options: Options) -> dict[str, Kind]:
    """Kinds of the first rows: a good hint. Never raises on bad rows; whoever reads them all will."""
    for block, position in blocks(span, options, size=_SNIFFED_BYTES):
        try:
            texts = _as_text(block, position, span, columns, options)
        except ValueError:
            break
        return {name: kinds.kind_of_column(texts[name]) for name in columns}
    return {}


def _fast(block: bytes, span: Span, wanted: Mapping[str, Kind], options: Options) -> pa.Table | None:
    """None where Arrow refuses the block or reads as a number what may be text: a hexadecimal integer, or one
    beyond 64 bits in a column of floats."""
    import pyarrow as pa

    if Kind.INT in wanted.values() and (b"x" in block or b"X" in block):
        return None
    try:
        types = {name: kinds.arrow_type(kind) for name, kind in wanted.items()}
        table = _parse(block, span, types, options, _CACHED_BYTES)
    except pa.ArrowInvalid:
        return None
    floats = [name for name, kind in wanted.items() if kind == Kind.FLOAT]
    return None if any(kinds.reaches_beyond_int64(table.column(name)) for name in floats) else table


def _as_text(
    block: bytes, position: int, span: Span, columns: Sequence[str], options: Options
) -> dict[str, pa.Array]:
    import pyarrow as pa

    try:
        table = _parse(block, span, dict.fromkeys(columns, pa.string()), options, len(block) + 1)
    except pa.ArrowInvalid as error:
        raise diagnosing.bad_rows(block, position, span, options, str(error)) from error
    return {name: table.column(name).combine_chunks() for name in columns}


def _converted(texts: Mapping[str, pa.Array], wanted: Mapping[str, Kind]) -> pa.Table:
    import pyarrow as pa

    columns = {}
    for name, column in texts.items():
        column = column.chunk(0) if isinstance(column, pa.ChunkedArray) and column.num_chunks else column
        columns[name] = kinds.convert(column, wanted[name])
    return pa.table(columns)


def _parse(
    block: bytes, span: Span, types: Mapping[str, pa.DataType], options: Options, step: int
) -> pa.Table:
    """One thread: Beam decides about parallel work. `step`: bytes parsed at a time, more than any row."""
    import pyarrow as pa
    from pyarrow import csv

    assert span.header is not None
    # Not read_csv: on Python 3.10 each call walks the whole heap for a reference cycle (66 ms under TFX).
    reader = csv.open_csv(
        pa.BufferReader(block),
        csv.ReadOptions(use_threads=False, block_size=step, column_names=list(span.header.names)),
        csv.ParseOptions(
            delimiter=span.file.delimiter(options),
            quote_char='"' if options.quoting else False,
            newlines_in_values=options.quoting and b'"' in block,
        ),
        csv.ConvertOptions(
            column_types=dict(types),
            include_columns=list(types),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )
    return reader.read_all()
