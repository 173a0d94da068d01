"""Says where bad input is: called only when a block was refused, so it may be slow but must be exact.

Reads the block again with Python's csv module, which knows lines, and finds the first row that is wrong.
Lines are those an editor shows: the first line of the file is 1, and a row with quoted newlines starts at
its first.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

from components.arrow_example_gen.options import Options
from components.arrow_example_gen.reading.files import ENCODING_HINT, csv_records, opened
from components.arrow_example_gen.reading.kinds import Kind, kind_of_value
from components.arrow_example_gen.reading.numbers import value_as_python
from components.arrow_example_gen.reading.pieces import Piece
from components.shards import InputError


def bad_rows(block: bytes, position: int, piece: Piece, options: Options, cause: str) -> InputError:
    """The error for a block that is not CSV of the header's width, or not UTF-8."""
    assert piece.header is not None
    before = _lines_before(piece, position)
    path, names = piece.file.path, piece.header.names
    try:
        block.decode("utf-8")
    except UnicodeDecodeError as error:
        line = before + block.count(b"\n", 0, error.start) + 1
        return InputError(
            f"{path}, line {line}: byte 0x{block[error.start]:02x} is not UTF-8 ({error.reason}), after "
            f"{block[max(0, error.start - 20) : error.start]!r}. {ENCODING_HINT}"
        )
    try:
        for line, row, open_ended in _rows(block, piece, options):
            where = f"{path}, line {before + line}"
            if len(row) == len(names) and not open_ended:
                continue
            if open_ended:
                return InputError(
                    f"{where}: a quote is opened in this row and never closed. Close or double it."
                )
            return InputError(
                f"{where}: the row has {_values(len(row))}, the header has {_values(len(names), 'column')}: "
                f"{_shown(row)}. Quote values that contain {piece.file.delimiter(options)!r} or a line end."
            )
    except csv.Error as error:
        cause = f"{cause} ({error})"
    return InputError(f"{path}, line {before + 1} or later: {cause}")


def bad_value(
    block: bytes,
    position: int,
    piece: Piece,
    wanted: Mapping[str, Kind],
    fixed: frozenset[str],
    options: Options,
) -> InputError:
    """The error for a value wider than its column's kind."""
    assert piece.header is not None
    before = _lines_before(piece, position)
    places = [(piece.header.names.index(name), name) for name in wanted]
    for line, row, _ in _rows(block, piece, options):
        for place, name in places:
            is_missing = row[place] in options.null_values or row[place].strip() in options.null_values
            if not is_missing and kind_of_value(value_as_python(row[place], options)) > wanted[name]:
                where = f"{piece.file.path}, line {before + line}, column {name!r}"
                if name in fixed:
                    return InputError(
                        f"{where}: got {row[place]!r}, expected {wanted[name].words} (the schema says "
                        f"{wanted[name].name}). Correct the value, or the schema if the column changed."
                    )
                return InputError(
                    f"{where}: got {row[place]!r} where {wanted[name].words} was found before. The file "
                    "changed while "
                    "it was read: run again."
                )
    return InputError(
        f"{piece.file.path}, line {before + 1} or later: a value does not fit its column's type."
    )


def _rows(block: bytes, piece: Piece, options: Options) -> Iterator[tuple[int, list[str], bool]]:
    """(line within the block where the row starts, its values, whether it runs to the end with a quote
    open)."""
    text = block.decode("utf-8", errors="replace")
    lines = io.StringIO(text, newline="").readlines()
    reader = csv_records(iter(lines), piece.file, options)
    start = 1
    for row in reader:
        if row:
            raw = "".join(lines[start - 1 : reader.line_num])
            open_ended = options.quoting and reader.line_num == len(lines) and raw.count('"') % 2 == 1
            yield start, row, open_ended
        start = reader.line_num + 1


def lines_of(piece: Piece, rows: Sequence[int], options: Options) -> list[int]:
    """The lines of the piece's file in which its rows of these numbers (from 0, rising) start."""
    wanted = list(rows)
    lines: list[int] = []
    before = _lines_before(piece, piece.start)
    with opened(piece.file) as stream:
        stream.seek(piece.start)
        reader = csv_records(io.TextIOWrapper(stream, "utf-8", "replace", newline=""), piece.file, options)
        start, number = 1, 0
        for row in reader:
            if row:
                if number == wanted[len(lines)]:
                    lines.append(before + start)
                    if len(lines) == len(wanted):
                        break
                number += 1
            start = reader.line_num + 1
    return lines


def _lines_before(piece: Piece, position: int) -> int:
    count = 0
    with opened(piece.file) as stream:
        while position > 0:
            data = stream.read(min(position, 1 << 24))
            if not data:
                break
            count += data.count(b"\n")
            position -= len(data)
    return count


def _values(count: int, noun: str = "value") -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _shown(row: list[str]) -> str:
    text = repr(row)
    return text if len(text) <= 160 else text[:157] + "..."
