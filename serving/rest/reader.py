"""JSON as RapidJSON 1.1 reads it, which is what TensorFlow Serving uses: its leniences, error texts and offsets.

NaN, Inf and Infinity are numbers, whole numbers beyond 64 bits are floats, text behind the document is ignored
(releases since 2.18), nesting may be as deep as it likes, strings may hold bytes that are no UTF-8, and of a name
that comes twice everything is kept (see `Repeated`). It goes byte by byte and so is slow: `serving.rest.documents`
comes here with what orjson refuses. Nothing here knows what a document should hold.
"""

from __future__ import annotations

import re
from typing import Any

from serving.errors import InvalidArgument

_SPACE = re.compile(rb"[ \n\r\t]*")
_WHOLE = re.compile(rb"-?(?:0|[1-9][0-9]*)")
_DIGITS = re.compile(rb"[0-9]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_HEX = re.compile(rb"[0-9a-fA-F]{4}")
_ESCAPES = {
    b'"': b'"', b"/": b"/", b"\\": b"\\", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t",
}  # fmt: skip
_LITERALS: dict[bytes, tuple[bytes, Any]] = {
    b"n": (b"null", None),
    b"t": (b"true", True),
    b"f": (b"false", False),
}
_BOM = b"\xef\xbb\xbf"
# The whole number that no double holds; longer ones than it are not even read.
_TOO_BIG = 17976931348623157 * 10**292
_TOO_LONG = 320
_SIGNIFICANT = 17


class Repeated(dict[str, Any]):
    """An object in which some name comes more than once: as a mapping it holds the first value of each name, as
    FindMember finds it; `pairs` has all of them in their order."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(reversed(pairs))
        self.pairs = pairs


class RawText(str):
    """A string whose bytes are not valid UTF-8: `raw` has them; as text they are replaced."""

    raw: bytes


def members(value: dict[str, Any]) -> list[tuple[str, Any]]:
    """All members of an object, repeated ones as well."""
    return value.pairs if isinstance(value, Repeated) else list(value.items())


def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else Repeated(pairs)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        text = RawText(raw.decode("utf-8", "replace"))
        text.raw = raw
        return text


def document(data: bytes) -> Any:
    """The first JSON value in `data`. Raises InvalidArgument with RapidJSON's text and offset."""
    reader = Reader(data, len(_BOM) if data.startswith(_BOM) else 0)
    reader.space()
    if reader.peek() in b"]},:":  # an empty peek, at the end, is in it as well
        raise reader.wrong("The document is empty.")
    return reader.value()


def elements(data: bytes) -> list[Any]:
    """The values in `data`, between which are commas. Raises InvalidArgument."""
    made: list[Any] = Reader(b"[" + data + b"]", 0).value()
    return made


class Reader:
    """A place in a document, `at`; each method reads one thing and moves on. Raises InvalidArgument."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def wrong(self, text: str, at: int | None = None) -> InvalidArgument:
        return InvalidArgument(f"JSON Parse error: {text} at offset: {self.at if at is None else at}")

    def space(self) -> None:
        self.at = _SPACE.match(self.data, self.at).end()  # type: ignore[union-attr]

    def peek(self) -> bytes:
        return self.data[self.at : self.at + 1]

    def value(self) -> Any:
        """A value and all that it holds, without recursion."""
        outer: list[list[Any]] = []
        names: list[str | None] = []
        current: list[Any] | None = None  # elements of an array, or pairs of an object
        name: str | None = None  # None in an array, else that of the member which comes next
        while True:
            self.space()
            opening = self.peek()
            if opening == b"[" or opening == b"{":
                self.at += 1
                self.space()
                if self.peek() == (b"]" if opening == b"[" else b"}"):
                    self.at += 1
                    value: Any = [] if opening == b"[" else {}
                else:
                    if current is not None:
                        outer.append(current)
                        names.append(name)
                    current = []
                    name = self.name() if opening == b"{" else None
                    continue
            else:
                value = self.scalar()
            while True:
                if current is None:
                    return value
                current.append(value if name is None else (name, value))
                if self._goes_on(name):
                    if name is not None:
                        self.space()
                        name = self.name()
                    break
                value = current if name is None else object_of(current)
                current = outer.pop() if outer else None
                name = names.pop() if names else None

    def _goes_on(self, name: str | None) -> bool:
        """Whether an element or member follows in the container that has just got one; else its end was read."""
        self.space()
        found = self.peek()
        if found == b",":
            self.at += 1
            return True
        if found == (b"]" if name is None else b"}"):
            self.at += 1
            return False
        if name is None:
            raise self.wrong("Missing a comma or ] after an array element.")
        raise self.wrong("Missing a comma or } after an object member.")

    def name(self) -> str:
        """A member's name and the colon behind it."""
        if self.peek() != b'"':
            raise self.wrong("Missing a name for object member.")
        name = self.string()
        self.space()
        if self.peek() != b":":
            raise self.wrong("Missing a colon after a name of object member.")
        self.at += 1
        return name

    def scalar(self) -> Any:
        first = self.peek()
        if first == b'"':
            return self.string()
        if first in _LITERALS:
            word, value = _LITERALS[first]
            for place in range(len(word)):
                if self.peek() != word[place : place + 1]:
                    raise self.wrong("Invalid value.")
                self.at += 1
            return value
        return self.number()

    def string(self) -> str:
        start = self.at + 1
        end = _PLAIN.match(self.data, start).end()  # type: ignore[union-attr]
        if self.data[end : end + 1] == b'"':
            self.at = end + 1
            return _text(self.data[start:end])
        parts = [self.data[start:end]]
        self.at = end
        while (found := self.peek()) != b'"':
            if found == b"\\":
                parts.append(self._escaped())
            else:
                quote = found in (b"", b"\0")
                raise self.wrong(
                    "Missing a closing quotation mark in string."
                    if quote
                    else "Invalid escape character in string."
                )
            end = _PLAIN.match(self.data, self.at).end()  # type: ignore[union-attr]
            parts.append(self.data[self.at : end])
            self.at = end
        self.at += 1
        return _text(b"".join(parts))

    def _escaped(self) -> bytes:
        start = self.at
        kind = self.data[start + 1 : start + 2]
        self.at += 2
        plain = _ESCAPES.get(kind)
        if plain is not None:
            return plain
        if kind != b"u":
            raise self.wrong("Invalid escape character in string.", start)
        code = self._hex(start)
        if 0xD800 <= code <= 0xDBFF:
            if self.data[self.at : self.at + 2] != b"\\u":
                raise self.wrong("The surrogate pair in string is invalid.", start)
            self.at += 2
            low = self._hex(start)
            if not 0xDC00 <= low <= 0xDFFF:
                raise self.wrong("The surrogate pair in string is invalid.", start)
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        return chr(code).encode("utf-8", "surrogatepass")

    def _hex(self, start: int) -> int:
        found = _HEX.match(self.data, self.at)
        if found is None:
            raise self.wrong("Incorrect hex digit after \\u escape in string.", start)
        self.at = found.end()
        return int(found[0], 16)

    def number(self) -> int | float:
        start = self.at
        whole = _WHOLE.match(self.data, start)
        if whole is None:
            return self._not_finite()
        self.at = whole.end()
        if len(whole[0]) > _TOO_LONG or abs(value := int(whole[0])) >= _TOO_BIG:
            raise self.wrong("Number too big to be stored in double.", start)
        fraction = self._fraction(len(whole[0].lstrip(b"-0")))
        exponent = self._exponent(start, fraction or 0)
        if fraction is None and exponent is None:
            return value if -(2**63) <= value < 2**64 else float(value)
        return float(self.data[start : self.at])

    def _fraction(self, significant: int) -> int | None:
        """How many digits behind the point RapidJSON counts; None without a point."""
        if self.peek() != b".":
            return None
        self.at += 1
        digits = _DIGITS.match(self.data, self.at)
        if not digits or not digits[0]:
            raise self.wrong("Miss fraction part in number.")
        self.at = digits.end()
        zeros = 0 if significant else len(digits[0]) - len(digits[0].lstrip(b"0"))
        return min(len(digits[0]), zeros + max(0, _SIGNIFICANT - significant))

    def _exponent(self, start: int, fraction: int) -> int | None:
        if self.peek() not in (b"e", b"E"):
            return None
        self.at += 1
        negative = self.peek() == b"-"
        if negative or self.peek() == b"+":
            self.at += 1
        digits = _DIGITS.match(self.data, self.at)
        if not digits or not digits[0]:
            raise self.wrong("Miss exponent in number.")
        self.at = digits.end()
        # More digits than a Python integer takes in one go are far beyond either limit.
        value = (
            int(digits[0][:6]) if len(digits[0]) <= 6 or digits[0][:6].strip(b"0") else int(digits[0][-6:])
        )
        if not negative and value > 308 + fraction:
            raise self.wrong("Number too big to be stored in double.", start)
        return value

    def _not_finite(self) -> float:
        negative = self._takes(b"-")
        if self.peek() == b"N":
            if self._takes(b"N") and self._takes(b"a") and self._takes(b"N"):
                return float("nan")
        elif self._takes(b"I") and self._takes(b"n") and self._takes(b"f"):
            if self.peek() == b"i" and not all(self._takes(b"%c" % letter) for letter in b"inity"):
                raise self.wrong("Invalid value.")
            return float("-inf" if negative else "inf")
        raise self.wrong("Invalid value.")

    def _takes(self, letter: bytes) -> bool:
        if self.peek() != letter:
            return False
        self.at += 1
        return True
