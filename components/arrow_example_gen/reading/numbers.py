"""Numbers as a file writes them ('1.234,5') and as Python does ('1234.5'), for files with other signs than Python's.

Text stays what it is: only what decides a column's kind, or becomes a number, goes through here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from components.arrow_example_gen.options import Options

if TYPE_CHECKING:
    import pyarrow as pa

_NO_NUMBER = "no number"


def are_pythons(options: Options) -> bool:
    """Whether the files write numbers as Python does, so that nothing is to be done."""
    return options.decimal == "." and not options.thousands


def as_python(column: pa.Array, options: Options) -> pa.Array:
    """Texts in which every number stands as Python writes it, and what only Python would take for one is none.

    With a decimal comma '1,5' becomes '1.5', and '1.5', which means nothing in such a file, no number.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if are_pythons(options):
        return column
    encoded = column.dictionary_encode()
    words = encoded.dictionary
    written = pc.match_substring_regex(words, _expression(options))
    plain = words
    if options.thousands:
        plain = pc.replace_substring_regex(plain, _grouping(options), "")
    if options.decimal == ",":
        plain = pc.replace_substring(plain, ",", ".")
        words = pc.if_else(pc.match_substring(words, "."), pa.scalar(_NO_NUMBER, words.type), words)
    return pc.if_else(written, plain, words).take(encoded.indices)


def value_as_python(text: str, options: Options) -> str:
    """The same for one value."""
    if are_pythons(options):
        return text
    if re.match(_expression(options), text):
        text = re.sub(_grouping(options), "", text) if options.thousands else text
        return text.replace(",", ".") if options.decimal == "," else text
    return _NO_NUMBER if options.decimal == "," and "." in text else text


def _expression(options: Options) -> str:
    """A number in the files' signs: digits, grouped or not, a fraction, an exponent. For re and RE2."""
    point = re.escape(options.decimal)
    whole = "[0-9]+"
    if options.thousands:
        whole = rf"([0-9]+|[0-9]{{1,3}}({_grouping(options)}[0-9]{{2,3}})*{_grouping(options)}[0-9]{{3}})"
    return rf"^\s*[+-]?({whole}({point}[0-9]*)?|{point}[0-9]+)([eE][+-]?[0-9]{{1,3}})?\s*$"


def _grouping(options: Options) -> str:
    return "[ \u00a0\u202f]" if options.thousands == " " else re.escape(options.thousands)
