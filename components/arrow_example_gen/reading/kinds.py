"""What a column holds (nothing, integers, floats, bytes) and how its text becomes that.

The rules are those of TFX's CsvExampleGen, value by value as Python's int() and float() see them: a column is
INT if all its values are integers of 64 bits, else FLOAT if all are numbers, else BYTES. An empty cell is a
missing value and decides nothing. It does not read files and does not guess dates or booleans (they are
BYTES).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_INT64 = range(-(2**63), 2**63)
# A subset of what int() and float() accept, safe to decide with a regular expression; the rest goes through
# Python.
_PLAIN_INT = r"^\s*-?[0-9]{1,18}\s*$"
PLAIN_NUMBER = r"^\s*-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*$"


class Kind(enum.IntEnum):
    """Ordered from narrow to wide: the kind of two pieces of a column together is the larger one."""

    UNKNOWN = 0
    INT = 1
    FLOAT = 2
    BYTES = 3

    @property
    def words(self) -> str:
        return ("nothing", "an integer", "a number", "text")[self]


def merge(*pieces: Mapping[str, Kind]) -> dict[str, Kind]:
    """The narrowest kinds that hold all pieces; the order of the pieces does not matter."""
    result: dict[str, Kind] = {}
    for piece in pieces:
        for name, kind in piece.items():
            result[name] = max(Kind(kind), result.get(name, Kind.UNKNOWN))
    return result


def kind_of_value(text: str) -> Kind:
    """The kind of one cell, as tfx_bsl's CSV decoder decides it."""
    if not text:
        return Kind.UNKNOWN
    try:
        # An integer beyond 64 bits is text there: as a float it would lose digits.
        return Kind.INT if int(text) in _INT64 else Kind.BYTES
    except ValueError:
        pass
    try:
        float(text)
    except ValueError:
        return Kind.BYTES
    return Kind.FLOAT


def reaches_beyond_int64(column: pa.ChunkedArray) -> bool:
    """Whether a column of floats has a value that, written as an integer, would be text."""
    import pyarrow.compute as pc

    ends = pc.min_max(column).as_py()
    return any(end is not None and abs(end) >= _INT64.stop for end in ends.values())


def kind_of_column(column: pa.Array) -> Kind:
    """The kind of a column of strings (null = missing)."""
    import pyarrow.compute as pc

    values = column.drop_null()
    if not len(values):
        return Kind.UNKNOWN
    rest = values.filter(pc.invert(pc.match_substring_regex(values, _PLAIN_INT))).unique()
    kind = Kind.INT if not len(rest) else Kind.UNKNOWN
    plain = pc.match_substring_regex(rest, PLAIN_NUMBER)
    # 19 and more digits look like floats to the expression, but are text or integers: Python decides.
    digits_only = pc.match_substring_regex(rest, r"^\s*-?[0-9]+\s*$")
    sure = pc.and_(plain, pc.invert(digits_only))
    if pc.any(sure).as_py():
        kind = Kind.FLOAT
    for value in rest.filter(pc.invert(sure)).to_pylist():
        kind = max(kind, kind_of_value(value))
        if kind == Kind.BYTES:
            return kind
    return kind if kind != Kind.UNKNOWN else Kind.INT


def arrow_type(kind: Kind) -> pa.DataType:
    """The Arrow type that values of a kind have between reading and encoding (floats stay 64 bits wide)."""
    import pyarrow as pa

    return {Kind.UNKNOWN: pa.null(), Kind.INT: pa.int64(), Kind.FLOAT: pa.float64(), Kind.BYTES: pa.string()}[
        kind
    ]


def convert(column: pa.Array, kind: Kind) -> pa.Array:
    """Strings to values of `kind`, which must be wide enough (see `kind_of_column`).

    Slow but exact: for blocks where Arrow's own number parser is stricter (`+3`, `1_000`) or laxer (`0x10`)
    than Python's.
    """
    import pyarrow as pa

    if kind == Kind.BYTES:
        return column
    if kind == Kind.UNKNOWN:
        return pa.nulls(len(column))
    encoded = column.dictionary_encode()
    parse = int if kind == Kind.INT else float
    values = pa.array([parse(value) for value in encoded.dictionary.to_pylist()], arrow_type(kind))
    return values.take(encoded.indices)
