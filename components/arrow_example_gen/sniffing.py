"""How a CSV file seems to be written: encoding, separator, decimal sign, grouping, words for a missing value.

A guess from the file's beginning, for a person or a generator of projects to look at; ArrowExampleGen itself guesses
nothing. `sniff` never refuses a file for its content, and reads no more than its first megabyte.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import io
import re
from collections.abc import Sequence

from components.arrow_example_gen.reading.files import DataFile, data_file, opened
from components.arrow_example_gen.reading.transcoding import marked
from pipelines.base.csv_reading import UTF_8, CsvReading

_BYTES, _ROWS = 1 << 20, 2000
_SEPARATORS = (",", ";", "\t", "|")
# Words for "no value" that nobody means otherwise in a column of numbers; `_ANYWHERE` in no column.
_ANYWHERE = frozenset(("?", "n/a", "#n/a", "null", "#na", "<na>", "(null)", "nan"))
_MISSING = _ANYWHERE | {
    "na",
    "n.a.",
    "none",
    "nil",
    "missing",
    "unknown",
    "undefined",
    "-",
    "--",
    "---",
    ".",
    "*",
}
_MISSING |= {"#nv", "nat", "(none)"}
_PLAIN = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*\Z")
_FRACTION_COMMA = re.compile(r"\s*[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]{1,3})?\s*\Z")
_GROUPED = re.compile(
    r"\s*[+-]?[0-9]{1,3}(?:([,. '\u00a0\u202f\u2019_])[0-9]{3})(?:\1[0-9]{3})*(?:([.,])[0-9]*)?\s*\Z"
)


@dataclasses.dataclass(frozen=True)
class Sniffed:
    """What a file seems to be: how to read it, its header, and what is not sure, a sentence each."""

    reading: CsvReading
    columns: tuple[str, ...]
    unsure: tuple[str, ...] = ()


def sniff(path: str) -> Sniffed:
    """Looks at the CSV file (also .gz) at `path`. Raises InputError for one that cannot be opened as such."""
    file = data_file(path)
    with opened(dataclasses.replace(file, encoding=UTF_8)) as stream:
        data = stream.read(_BYTES)
    encoding, unsure = _encoding(data)
    text = data.decode(encoding, "replace").removeprefix("\ufeff")
    if len(data) == _BYTES:
        text = text[: text.rfind("\n") + 1] or text
    delimiter = _delimiter(text, file)
    rows = _rows(text, delimiter)
    header, body = (rows[0], rows[1:]) if rows else ([], [])
    columns = [[row[n] for row in body if n < len(row)] for n in range(len(header))]
    decimal, thousands, doubt = _signs(columns, delimiter)
    reading = CsvReading(
        delimiter="" if delimiter == file.delimiter_by_name else delimiter,
        null_values=_null_values(columns, decimal, thousands),
        decimal=decimal,
        thousands=thousands,
        encoding=encoding,
    )
    return Sniffed(reading, tuple(name.strip() for name in header), tuple(filter(None, (unsure, doubt))))


def _encoding(data: bytes) -> tuple[str, str]:
    told = marked(data[:4])
    if told:
        return told, ""
    start = data[:4096]
    if start.count(0) > len(start) / 4:
        return ("utf-16-le" if start[1::2].count(0) > start[::2].count(0) else "utf-16-be"), ""
    for cut in range(4):
        try:
            data[: len(data) - cut].decode(UTF_8)
            return UTF_8, ""
        except UnicodeDecodeError:
            if len(data) < _BYTES:
                break
    try:
        data.decode("cp1252")
        name = "cp1252"
    except UnicodeDecodeError:
        name = "latin-1"
    return (
        name,
        f"The text is not UTF-8; {name} reads it, as it would many others. Look at words with accents.",
    )


def _rows(text: str, delimiter: str) -> list[list[str]]:
    rows = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) > _ROWS:
                break
    except csv.Error:
        pass
    return rows


def _delimiter(text: str, file: DataFile) -> str:
    """The separator by which most rows are as wide as the header, and that makes most columns."""
    best, score = file.delimiter_by_name, (0.0, 0)
    for separator in dict.fromkeys((file.delimiter_by_name, *_SEPARATORS)):
        rows = _rows(text, separator)
        width = len(rows[0]) if rows else 0
        if width > 1:
            fitting = sum(len(row) == width for row in rows) / len(rows)
            if fitting > 0.8 and (round(fitting, 2), width) > score:
                best, score = separator, (round(fitting, 2), width)
    return best


def _signs(columns: Sequence[Sequence[str]], delimiter: str) -> tuple[str, str, str]:
    """(decimal, thousands, what is not sure) from the columns that hold numbers in some writing."""
    seen: collections.Counter[str] = collections.Counter()
    for values in columns:
        filled = [value for value in values if value.strip()]
        numbers = [v for v in filled if _PLAIN.match(v) or _FRACTION_COMMA.match(v) or _GROUPED.match(v)]
        if 2 * len(numbers) <= len(filled):
            continue
        for value in numbers:
            seen.update(_evidence(value))
    if seen["decimal ,"] > seen["decimal ."]:
        groups = {"group .": ".", "group  ": " ", "group '": "'"}
        return ",", _most(seen, groups), ""
    groups = {"group ,": ",", "group  ": " ", "group '": "'"}
    thousands = _most(seen, groups)
    if seen["group or decimal ,"] and not thousands:
        if seen["decimal ."] or delimiter == ",":
            return ".", ",", ""
        doubt = "Numbers such as '1,234' could be thousands or fractions; they are read as fractions."
        return ",", "", doubt
    return ".", thousands, ""


def _most(seen: collections.Counter[str], groups: dict[str, str]) -> str:
    best = max(groups, key=lambda name: seen[name])
    return groups[best] if seen[best] else ""


def _evidence(value: str) -> list[str]:
    """What one number tells of the signs; '1.234' is taken for a fraction, as a plain number is."""
    grouped = _GROUPED.match(value)
    if grouped and (grouped[2] or value.count(grouped[1]) > 1 or grouped[1] not in ",."):
        sign = {"\u00a0": " ", "\u202f": " ", "\u2019": "'"}.get(grouped[1], grouped[1])
        if grouped[2] == grouped[1]:
            return []
        return [f"group {sign}", *([f"decimal {grouped[2]}"] if grouped[2] else [])]
    if grouped and grouped[1] == ",":
        return ["decimal ,"] if re.match(r"\s*[+-]?0,", value) else ["group or decimal ,"]
    if _FRACTION_COMMA.match(value):
        return ["decimal ,"]
    return ["decimal ."] if "." in value else []


def _null_values(columns: Sequence[Sequence[str]], decimal: str, thousands: str) -> tuple[str, ...]:
    """Words for "no value" as they are written, in the order of the columns."""
    found: dict[str, None] = {}
    for values in columns:
        counts = collections.Counter(value.strip() for value in values if value != "")
        numbers = sum(count for word, count in counts.items() if _is_number(word, decimal, thousands))
        known = {word for word in counts if word.lower() in _MISSING or not word}
        others = sum(counts.values()) - numbers - sum(counts[word] for word in known)
        if not numbers or others > numbers / 50:
            known = {word for word in known if word.lower() in _ANYWHERE}
        found.update(dict.fromkeys(sorted(known)))
    return tuple(word or " " for word in found)


def _is_number(word: str, decimal: str, thousands: str) -> bool:
    if decimal == "," or thousands:
        word = word.replace(thousands, "") if thousands else word
        word = word.replace("\u00a0", "").replace("\u202f", "") if thousands == " " else word
        word = word.replace(",", ".") if decimal == "," else word
    return bool(_PLAIN.match(word)) and word.lower() not in _MISSING
