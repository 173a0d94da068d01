"""The JSON document of a request body, quickly: orjson where it agrees with the original's parser, slices where a
body is large.

What orjson refuses (NaN, text behind the document, deep nesting, mistakes) and names that come twice go through
`serving.rest.reader`, which decides. A large document is read in slices of some hundred kilobytes, cut at commas
outside of strings and inner brackets: no single call into C holds the interpreter's lock for long, so the event loop
stays free while a thread reads. What the document should hold is not looked at.
"""

from __future__ import annotations

import contextlib
import gc
import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson

from serving.errors import InvalidArgument
from serving.rest import reader
from serving.rest.reader import Reader, object_of
from serving.rest.texts import as_text

# A slice takes orjson about a millisecond.
SLICE_BYTES = 128 * 1024
FREED_AT_ONCE = 4096
# Containers within each other that are cut into slices; those further inside are read as a whole.
MAX_CUT_DEPTH = 32
_QUOTE, _COMMA = ord('"'), ord(",")
_OPEN, _CLOSE = (ord("["), ord("{")), (ord("]"), ord("}"))
_STEPS = np.zeros(256, np.int8)
_STEPS[list(_OPEN)] = 1
_STEPS[list(_CLOSE)] = -1
# Numbers that Python's json reads otherwise than RapidJSON does.
_DOUBTFUL = re.compile(rb'"|[eE][+-]?[0-9]{3}|[0-9]{19}|-Na')
_SHORT_INF = re.compile(rb"Inf(?!inity)")


_pauses = 0
_pauses_lock = threading.Lock()


@contextlib.contextmanager
def large_work() -> Iterator[None]:
    """While a large document is read and converted Python looks for no garbage cycles: it would go through millions of
    lists, in which there are none, again and again, and stop everybody for that time."""
    global _pauses
    with _pauses_lock:
        if _pauses == 0 and not gc.isenabled():
            mine = 0  # somebody else's wish
        else:
            mine = 1
            _pauses += 1
            gc.disable()
    try:
        yield
    finally:
        with _pauses_lock:
            _pauses -= mine
            if mine and _pauses == 0:
                gc.enable()


def dismantle(value: Any) -> None:
    """Frees a document, or an array of objects that nobody else uses, in pieces: at the end of its last reference all
    would go at once, which takes a tenth of a second for a million strings."""
    waiting = [value]
    while waiting:
        last = waiting.pop()
        if isinstance(last, np.ndarray):
            flat = last.reshape(-1)
            for start in range(0, flat.size if flat.flags.writeable else 0, FREED_AT_ONCE):
                flat[start : start + FREED_AT_ONCE] = None
        elif isinstance(last, dict):
            waiting += [v for v in last.values() if _holds_much(v)]
            last.clear()
        elif last:
            waiting.append(last)
            some = last[-FREED_AT_ONCE:]
            del last[-FREED_AT_ONCE:]
            waiting += [v for v in some if _holds_much(v)]


def _holds_much(value: Any) -> bool:
    """Whether a value is worth taking apart: it is long, or holds others, of which nothing is known yet."""
    if not isinstance(value, (list, dict)) or not value:
        return False
    first = value[0] if isinstance(value, list) else next(iter(value.values()))
    return len(value) > FREED_AT_ONCE or isinstance(first, (list, dict))


class _Unclear(Exception):
    """The document is wrong or unusual; the slow reader is to say which."""


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a request body. Raises InvalidArgument."""
    if not body:
        raise InvalidArgument("JSON Parse error: The document is empty")
    made = quick(body) if len(body) <= SLICE_BYTES else None
    if made is None:
        made = in_slices(body)
    if not isinstance(made, dict):
        raise InvalidArgument(f"JSON Value: {as_text(made)} Is not object")
    return made


def quick(body: bytes) -> Any:
    """The document where orjson reads it as the original does, else None (as for the document `null`)."""
    try:
        made = orjson.loads(body)
    except (orjson.JSONDecodeError, RecursionError):
        return None
    return None if _repeats(made, body) else made


def in_slices(body: bytes) -> Any:
    """The document, read so that other threads get their turn. Raises InvalidArgument."""
    try:
        place = Reader(body, 0)
        place.space()
        if place.peek() not in (b"{", b"["):
            raise _Unclear
        return _container(place, 0)
    except (_Unclear, InvalidArgument):
        # An error's offset counts from the beginning, and so does the slow reader.
        return reader.document(body)


def _container(place: Reader, depth: int) -> Any:
    """The array or object at `place`, in slices."""
    array = place.peek() == b"["
    parts: list[Any] = []
    place.at += 1
    while True:
        end, last = _cut(place.data, place.at)
        if end >= 0:
            piece = place.data[place.at : end]
            empty_one = last and not parts and not piece.strip(b" \n\r\t")
            if not empty_one:
                parts += _piece(piece, array)
            place.at = end + 1
        else:
            last = _large_element(place, parts, array, depth)
        if last:
            if place.data[place.at - 1 : place.at] != (b"]" if array else b"}"):
                raise _Unclear
            return parts if array else object_of(parts)


def _large_element(place: Reader, parts: list[Any], array: bool, depth: int) -> bool:
    """Adds one element or member that is larger than a slice; whether it was the last."""
    place.space()
    name = None if array else place.name()
    place.space()
    cut = depth < MAX_CUT_DEPTH and place.peek() in (b"[", b"{")
    value = _container(place, depth + 1) if cut else place.value()
    parts.append(value if name is None else (name, value))
    place.space()
    place.at += 1
    return place.data[place.at - 1 : place.at] != b","


def _cut(data: bytes, start: int) -> tuple[int, bool]:
    """Where the slice from `start`, inside a container, should end: (place of the container's end, True), or (place
    of a comma between two of its elements, False), or (-1, False) where the next element is larger than a slice."""
    window = data[start : start + SLICE_BYTES]
    if b"\\" in window:
        window = window.replace(b"\\\\", b"__").replace(b'\\"', b"__")
    codes = np.frombuffer(window, np.uint8)
    steps = _STEPS[codes]
    commas = codes == _COMMA
    if b'"' in window:
        inside = np.cumsum(codes == _QUOTE, dtype=np.uint8) & 1
        steps *= 1 - inside.view(np.int8)
        commas &= inside == 0
    depths = np.cumsum(steps, dtype=np.int32)
    ends = depths < 0
    end = int(ends.argmax()) if ends.any() else -1
    if end >= 0:
        return start + end, True
    commas &= depths == 0
    found = np.flatnonzero(commas)
    return (start + int(found[-1]), False) if found.size else (-1, False)


def _piece(piece: bytes, array: bool) -> list[Any]:
    """The elements, or the (name, value) pairs, that a slice holds."""
    text = b"[%b]" % piece if array else b"{%b}" % piece
    made = quick(text)
    if made is None and array and not _DOUBTFUL.search(piece):
        try:
            made = json.loads(_SHORT_INF.sub(b"Infinity", text))
        except (ValueError, RecursionError):
            raise _Unclear from None
    if made is None:
        made = Reader(text, 0).value()
    if not made:
        raise _Unclear  # nothing between two commas
    return made if array else reader.members(made)


def _repeats(made: Any, text: bytes) -> bool:
    """Whether some object in the text has a name twice, of which orjson keeps the last and the original the first.

    As many colons as members mean that there is none; strings may have colons as well, so else they are counted by
    a parser that sees each object."""
    colons = text.count(b":")
    if colons < 2:
        return False
    try:
        known = len(made) if isinstance(made, dict) else sum(map(len, made)) if type(made[0]) is dict else 0
        if isinstance(made, dict) and colons != known:
            for value in made.values():
                if type(value) is dict:
                    known += len(value)
                elif type(value) is list and value and type(value[0]) is dict:
                    known += sum(map(len, value))
    except TypeError:
        known = -1
    if colons == known:
        return False
    twice = False

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        found = dict(pairs)
        twice = twice or len(found) != len(pairs)
        return found

    try:
        json.loads(text, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return True
    return twice
