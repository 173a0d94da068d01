"""The part of HPACK (RFC 7541) that a client of fixed requests needs: writing plain literals, reading any header block
of a peer that was told to keep no dynamic table.

Names of the static table are given as their numbers, since a gRPC client looks for two names that are not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

# Static table (appendix A): what a request uses, and the statuses.
METHOD_POST, SCHEME_HTTP = b"\x83", b"\x86"
AUTHORITY, PATH, STATUS, CONTENT_TYPE = 1, 4, 8, 31
_STATUSES = {8: "200", 9: "204", 10: "206", 11: "304", 12: "400", 13: "404", 14: "500"}
_STATIC_NAMES = 61

# Huffman code (appendix B) of what texts of headers are made of: the codes of one length are consecutive, in the order
# of their symbols, and begin where those of the shorter length end.
_BY_LENGTH = {
    5: "012aceiost", 6: " %-./3456789=A_bdfghlmnpru", 7: ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz", 8: "&*,;XZ",
    10: '!"()?', 11: "'+|", 12: "#>", 13: "\0$@[]~", 14: "^}", 15: "<`{", 19: "\\",
}  # fmt: skip


class HpackError(ValueError):
    """A header block that cannot be read."""


def _number(value: int, bits: int, first: int) -> bytes:
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    out = [first | limit]
    value -= limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def _text(text: str) -> bytes:
    data = text.encode("ascii")
    return _number(len(data), 7, 0) + data


def literal(name: str | int, value: str) -> bytes:
    """A header that stays out of every table; `name` is a text or a number of the static table."""
    if isinstance(name, int):
        return _number(name, 4, 0) + _text(value)
    return b"\0" + _text(name) + _text(value)


@lru_cache(maxsize=1)
def _codes() -> dict[tuple[int, int], str]:
    """(length, code) -> symbol."""
    codes: dict[tuple[int, int], str] = {}
    code = length = 0
    for wanted, symbols in _BY_LENGTH.items():
        code <<= wanted - length
        length = wanted
        for symbol in symbols:
            codes[length, code] = symbol
            code += 1
    return codes


def unhuffman(data: bytes) -> str:
    """The text of a Huffman-coded string. Raises HpackError for symbols that texts of headers do not hold."""
    codes, out = _codes(), []
    code = length = 0
    for byte in data:
        for place in range(7, -1, -1):
            code = code << 1 | byte >> place & 1
            length += 1
            symbol = codes.get((length, code))
            if symbol is not None:
                out.append(symbol)
                code = length = 0
            elif length > 30:
                raise HpackError("an unknown Huffman code")
    if length > 7 or code != (1 << length) - 1:
        raise HpackError("a Huffman code that is cut off")
    return "".join(out)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def number(self, bits: int) -> int:
        limit = (1 << bits) - 1
        value = self._byte() & limit
        if value < limit:
            return value
        shift = 0
        while True:
            byte = self._byte()
            value += (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def _byte(self) -> int:
        if self.at >= len(self.data):
            raise HpackError("a header block that is cut off")
        self.at += 1
        return self.data[self.at - 1]

    def text(self) -> str:
        coded = self.at < len(self.data) and self.data[self.at] & 128
        length = self.number(7)
        data = self.data[self.at : self.at + length]
        if len(data) < length:
            raise HpackError("a header block that is cut off")
        self.at += length
        return unhuffman(data) if coded else data.decode("latin-1")


def headers(block: bytes) -> Iterator[tuple[str | int, str]]:
    """Names and values; a name of the static table is its number (STATUS for every status). Raises HpackError."""
    reader = _Reader(block)
    while reader.at < len(block):
        first = block[reader.at]
        if first & 128:
            number = reader.number(7)
            if not 0 < number <= _STATIC_NAMES:
                raise HpackError(f"header {number} of a dynamic table that is not kept")
            yield (STATUS, _STATUSES[number]) if number in _STATUSES else (number, "")
        elif first & 0xE0 == 0x20:
            reader.number(5)  # the size of the dynamic table, which is 0
        else:
            number = reader.number(6 if first & 64 else 4)
            if number > _STATIC_NAMES:
                raise HpackError(f"name {number} of a dynamic table that is not kept")
            name = number if number else reader.text()
            yield (STATUS if name in _STATUSES else name), reader.text()


def first_of(block: bytes, names: Sequence[str | int]) -> list[str | None]:
    """The values of `names` in a block; None where it has none. Raises HpackError."""
    found = dict(reversed(list(headers(block))))
    return [found.get(name) for name in names]
