"""Cuts the input into pieces that can be read alone: byte ranges of CSV files, row groups of Parquet files.

A cut lies behind a line end outside quotes, found exactly, so a quoted newline never parts a row. Plain CSV
files larger than a piece are read through once for this (memory speed); gzip files and those that are decoded
cannot be entered in the middle and stay whole. It does not parse values.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import IO

from components.arrow_example_gen.options import Options
from components.arrow_example_gen.reading.files import DataFile, Header, opened
from components.shards import InputError

_MAX_ROW_BYTES = 1 << 28
_READ_BYTES = 4 << 20  # a piece is read in blocks of this, which bounds a worker's memory
_GZIP_GUESS = 4  # a CSV is about four times its gzip


@dataclasses.dataclass(frozen=True)
class Piece:
    """A piece of a file. CSV: bytes [start, end) of the decompressed file (end None: to its end), of whole
    rows.
    Parquet: row groups [start, end)."""

    file: DataFile
    start: int
    end: int | None
    header: Header | None = None
    weight: int = 0  # bytes, about


@dataclasses.dataclass(frozen=True)
class Task:
    """What one Beam element reads: neighbouring pieces of one input split, together about `piece_bytes`."""

    number: int
    split: int  # index of the input split
    pieces: tuple[Piece, ...]


def csv_pieces(file: DataFile, header: Header, options: Options) -> list[Piece]:
    """Pieces of about `piece_bytes` each that together are the file's rows."""
    if file.is_stream:
        return [Piece(file, header.offset, None, header, file.size * (_GZIP_GUESS if file.compressed else 1))]
    if file.size <= options.piece_bytes * 3 // 2:
        return [Piece(file, header.offset, file.size, header, file.size)]
    ends: list[int] = []
    position = header.offset
    with opened(file) as stream:
        stream.seek(position)
        for block in row_blocks(stream, file, options):
            position += len(block)
            if position - (ends[-1] if ends else header.offset) >= options.piece_bytes:
                ends.append(position)
    if not ends or ends[-1] < position:
        ends.append(position)
    starts = [header.offset, *ends[:-1]]
    return [Piece(file, start, end, header, end - start) for start, end in zip(starts, ends, strict=True)]


def parquet_pieces(file: DataFile, group_bytes: list[int]) -> list[Piece]:
    """One piece per row group; tasks put small neighbours together."""
    return [Piece(file, number, number + 1, None, size) for number, size in enumerate(group_bytes)]


def make_tasks(splits: Iterable[Iterable[Piece]], options: Options) -> list[Task]:
    """Groups the pieces of each input split, in order, into tasks."""
    tasks: list[Task] = []
    for number, pieces in enumerate(splits):
        group: list[Piece] = []
        for piece in pieces:
            if group and sum(s.weight for s in group) + piece.weight > options.piece_bytes * 3 // 2:
                tasks.append(Task(len(tasks), number, tuple(group)))
                group = []
            group.append(piece)
        if group:
            tasks.append(Task(len(tasks), number, tuple(group)))
    return tasks


def row_blocks(
    stream: IO[bytes], file: DataFile, options: Options, limit: int | None = None, size: int = _READ_BYTES
) -> Iterator[bytes]:
    """Blocks of about `size` bytes of whole rows, from a stream that stands at the start of a row.

    `limit`: bytes to read at most. Only the last block may lack its line end.
    """
    rest = b""
    step = min(size, options.piece_bytes)
    while True:
        data = stream.read(step if limit is None else min(step, limit))
        if limit is not None:
            limit -= len(data)
        if not data:
            break
        rest = rest + data if rest else data
        cut = last_row_end(rest, file.delimiter(options), options.quoting)
        if cut:
            yield rest[:cut]
            rest = rest[cut:]
        elif len(rest) > _MAX_ROW_BYTES:
            raise InputError(
                f"{file.path}: no row ends within {len(rest) >> 20} MB. Most likely a quote is opened and "
                "never closed; "
                "if the file does not quote, pass quoting=False."
            )
    if rest:
        yield rest


def last_row_end(block: bytes, delimiter: str, quoting: bool = True) -> int:
    """Where the last whole row of a block ends, 0 if none does. The block starts at the start of a row."""
    import numpy as np

    if not quoting or b'"' not in block:
        return block.rfind(b"\n") + 1
    data = np.frombuffer(block, np.uint8)
    quotes = np.flatnonzero(data == 34)
    if not _parity_tells(data, quotes, ord(delimiter)):
        return _last_row_end_slowly(block, delimiter)
    newline = block.rfind(b"\n")
    while newline >= 0:
        before = int(np.searchsorted(quotes, newline))
        if before % 2 == 0:
            return newline + 1
        # Inside quotes: go on before the quote that opened here.
        newline = block.rfind(b"\n", 0, int(quotes[before - 1]))
    return 0


def _parity_tells(data, quotes, delimiter: int) -> bool:
    """Whether an even number of quotes before a byte means "outside quotes".

    So it is when every even quote stands where a quoted value may begin, or is the second half of an escaped
    quote (`""` closes and opens again). A stray quote inside a plain value (`5" pipe`) breaks the rule.
    """
    import numpy as np

    opening = quotes[0::2]
    before = data[np.maximum(opening - 1, 0)]
    legal = (opening == 0) | (before == delimiter) | (before == 10) | (before == 13) | (before == 34)
    return bool(legal.all())


def _last_row_end_slowly(block: bytes, delimiter: str) -> int:
    """The same by walking from value to value; for the rare files with stray quotes."""
    opening = re.compile(rb"(?<=[\r\n" + re.escape(delimiter.encode()) + rb'])"|\n')
    position = end = 0
    quoted = block.startswith(b'"')
    if quoted:
        position = 1
    while True:
        if quoted:
            position = _closing_quote(block, position)
            if not position:
                return end
        mark = opening.search(block, position)
        if mark is None:
            return end
        position = mark.end()
        quoted = mark.group() != b"\n"
        if not quoted:
            end = position


def _closing_quote(block: bytes, position: int) -> int:
    """The byte behind the quote that closes a value; 0 if none does. Quotes come in runs: pairs are
    escapes."""
    while (first := block.find(b'"', position)) >= 0:
        position = first
        while block[position : position + 1] == b'"':
            position += 1
        if (position - first) % 2:
            return position
    return 0
