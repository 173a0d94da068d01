"""JSON as RapidJSON reads it: what it takes, and its words and offsets for what it does not."""

from __future__ import annotations

import math

import pytest

from serving.errors import InvalidArgument
from serving.rest.reader import RawText, Repeated, document, members

# Document -> RapidJSON's text and the offset, as its iterative parser (NaN and stop when done) gives them.
MISTAKES = {
    b"": ("The document is empty.", 0),
    b" \n": ("The document is empty.", 2),
    b"]": ("The document is empty.", 0),
    b"{": ("Missing a name for object member.", 1),
    b"{a:1}": ("Missing a name for object member.", 1),
    b'{"a":1,}': ("Missing a name for object member.", 7),
    b'{"a"': ("Missing a colon after a name of object member.", 4),
    b'{"a" 1}': ("Missing a colon after a name of object member.", 5),
    b'{"a":': ("Invalid value.", 5),
    b'{"a":}': ("Invalid value.", 5),
    b'{"a":1': ("Missing a comma or } after an object member.", 6),
    b'{"a":1 "b":2}': ("Missing a comma or } after an object member.", 7),
    b'{"instances":[1]': ("Missing a comma or } after an object member.", 16),
    b"[1,]": ("Invalid value.", 3),
    b"[,1]": ("Invalid value.", 1),
    b"[[[": ("Invalid value.", 3),
    b"[1 2]": ("Missing a comma or ] after an array element.", 3),
    b"[1.5.5]": ("Missing a comma or ] after an array element.", 4),
    b"[01]": ("Missing a comma or ] after an array element.", 2),
    b"[nulll]": ("Missing a comma or ] after an array element.", 5),
    b"nul": ("Invalid value.", 3),
    b"truE": ("Invalid value.", 3),
    b"None": ("Invalid value.", 1),
    b"-": ("Invalid value.", 1),
    b"+1": ("Invalid value.", 0),
    b".5": ("Invalid value.", 0),
    b"'a'": ("Invalid value.", 0),
    b"Infinit": ("Invalid value.", 7),
    b"inf": ("Invalid value.", 0),
    b"[1.]": ("Miss fraction part in number.", 3),
    b"[1.e5]": ("Miss fraction part in number.", 3),
    b"1e": ("Miss exponent in number.", 2),
    b"[1e+]": ("Miss exponent in number.", 4),
    b"[1e309]": ("Number too big to be stored in double.", 1),
    b"[-1" + b"0" * 400 + b"]": ("Number too big to be stored in double.", 1),
    b'"abc': ("Missing a closing quotation mark in string.", 4),
    b'"a\x00b"': ("Missing a closing quotation mark in string.", 2),
    b'"a\nb"': ("Invalid escape character in string.", 2),
    b'["ok", "\\x"]': ("Invalid escape character in string.", 8),
    b'"\\u12g4"': ("Incorrect hex digit after \\u escape in string.", 1),
    b'"\\ud800"': ("The surrogate pair in string is invalid.", 1),
    b'"\\ud800\\u0041"': ("The surrogate pair in string is invalid.", 1),
}


@pytest.mark.parametrize("text", MISTAKES, ids=lambda text: repr(text[:20]))
def test_a_mistake_is_told_in_rapidjsons_words(text):
    words, offset = MISTAKES[text]
    with pytest.raises(InvalidArgument) as caught:
        document(text)
    assert caught.value.message == f"JSON Parse error: {words} at offset: {offset}"


VALUES = {
    b"Inf": math.inf, b"-Infinity": -math.inf, b"0.1e309": 1e308, b"17e308": math.inf, b"1e-400": 0.0,
    b"18446744073709551615": 2**64 - 1, b"18446744073709551616": 2.0**64, b"-9223372036854775809": -(2.0**63),
    b'{"a": 1} and more': {"a": 1}, b"\xef\xbb\xbf[]": [], b'"\\u00e9\\ud83d\\ude00\\/"': "é😀/",
    b' [ true , false , null , { } , [ ] ] ': [True, False, None, {}, []],
}  # fmt: skip


@pytest.mark.parametrize("text", VALUES, ids=repr)
def test_a_value_is_read_as_rapidjson_reads_it(text):
    found = document(text)
    assert (found, type(found)) == (VALUES[text], type(VALUES[text]))


@pytest.mark.parametrize("text", [b"NaN", b"-NaN"])
def test_not_a_number_is_a_number(text):
    assert math.isnan(document(text))


def test_of_a_name_that_comes_twice_the_first_is_found_and_all_are_kept():
    found = document(b'{"a": 1, "b": 2, "a": 3}')
    assert isinstance(found, Repeated)
    assert (found["a"], len(found)) == (1, 2)
    assert members(found) == [("a", 1), ("b", 2), ("a", 3)]


def test_a_string_that_is_no_utf_8_keeps_its_bytes():
    for text, raw in [(b'"\xffa"', b"\xffa"), (b'"\\udc80"', b"\xed\xb2\x80")]:
        found = document(text)
        assert isinstance(found, RawText)
        assert found.raw == raw


def test_half_a_million_levels_are_read():
    found = document(b"[" * 500_000 + b"1" + b"]" * 500_000)
    depth = 0
    while isinstance(found, list):
        found = found[0]
        depth += 1
    assert (depth, found) == (500_000, 1)
