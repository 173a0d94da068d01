"""How text files are to be read: separator, decimal sign, grouping of digits, words for a missing value, encoding.

One value for the card (`Project.csv`), for `viaduct run --csv-...`, for ArrowExampleGen's arguments of the same names
and for what its `sniffing` finds. Standard library only; it reads no file.
"""

from __future__ import annotations

import codecs
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from pipelines.base.errors import ProjectError

UTF_8 = "utf-8"


@dataclasses.dataclass(frozen=True)
class CsvReading:
    """Settings for CSV files; the defaults are those of RFC 4180 and CsvExampleGen.

    `delimiter`: one character; '' is a comma, or a tab in .tsv files. `null_values`: words that mean a missing value
    besides an empty cell, also with a space beside them. `decimal`: '.' or ','. `thousands`: what groups digits
    ('1,234'), '' for nothing; a space stands for no-break spaces too. `encoding`: as Python names it; a file that
    begins with a UTF-16 mark is read as that. Raises ProjectError where a value makes no sense.
    """

    delimiter: str = ""
    null_values: tuple[str, ...] = ()
    decimal: str = "."
    thousands: str = ""
    encoding: str = UTF_8

    def __post_init__(self) -> None:
        if not isinstance(self.null_values, str):
            object.__setattr__(self, "null_values", tuple(self.null_values))
        wrong = trouble(self.delimiter, self.null_values, self.decimal, self.thousands, self.encoding)
        if wrong:
            raise ProjectError(wrong)

    def changed(self) -> dict[str, Any]:
        """What differs from the defaults, by name: keyword arguments of ArrowExampleGen."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        }

    def replaced(self, values: Mapping[str, Any]) -> CsvReading:
        """With other `values` by name."""
        return dataclasses.replace(self, **values)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> CsvReading:
        """From JSON types, as `dataclasses.asdict` makes them."""
        return cls(**{**plain, "null_values": tuple(plain.get("null_values", ()))})


def trouble(
    delimiter: str | None, null_values: Iterable[str], decimal: str, thousands: str, encoding: str
) -> str:
    """In words what is wrong with the settings of those names, '' if nothing is."""
    if delimiter and (len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n'):
        return f"delimiter={delimiter!r}: expected one ASCII character, such as ',' or '\\t'"
    if isinstance(null_values, str) or not all(isinstance(word, str) for word in null_values):
        return f"null_values={null_values!r}: expected a list of words, such as ['NA']"
    if decimal not in (".", ","):
        return f"decimal={decimal!r}: expected '.' or ','"
    if len(thousands) > 1 or thousands in ('"', "\r", "\n", "-", "+") or thousands.isalnum():
        return f"thousands={thousands!r}: expected one sign that groups digits, such as ',' or '.', or ''"
    if thousands == decimal:
        return f"thousands={thousands!r} is the decimal sign too; '1{decimal}234' could be either"
    try:
        codec = codecs.lookup(encoding)
    except (LookupError, TypeError):
        codec = None
    if codec is None or not getattr(codec, "_is_text_encoding", True):
        return f"encoding={encoding!r} is not known; expected a name such as 'utf-8', 'latin-1' or 'cp1252'"
    return ""
