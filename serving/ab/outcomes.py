"""What users did, as it is told: outcomes by request id, read from JSON or CSV and checked. Standard library only.

    {"request_id": "4f0c...", "bought": true, "spent": 12.5}

An outcome is a number, a truth value (1 or 0) or a text under a name; a text is a label for those who judge answers by
it, and no metric of an A/B test. Nothing of a batch is taken where one of its outcomes is wrong.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ID = "request_id"
LONGEST_TEXT = 1000
LONGEST_NAME = 200
MOST = 100_000

Value = float | str


class OutcomeError(ValueError):
    """Something that is no outcome; the text says which and why."""


class Outcome(NamedTuple):
    """What became of one request."""

    request_id: str
    values: Mapping[str, Value]


def outcome(given: Any, where: str) -> Outcome:
    """An outcome from a JSON object; `where` names it to people. Raises OutcomeError."""
    if not isinstance(given, Mapping):
        raise OutcomeError(
            f"{where} is {_shown(given)}; expected an object with {ID!r} and one or more outcomes"
        )
    request_id = given.get(ID)
    if not isinstance(request_id, str) or not 0 < len(request_id) <= LONGEST_NAME:
        raise OutcomeError(f"{where}: {ID!r} is {_shown(request_id)}; expected the id that an answer bore")
    values = {name: _value(value, f"{where}: {name!r}") for name, value in given.items() if name != ID}
    if not values or not all(0 < len(name) <= LONGEST_NAME for name in values):
        raise OutcomeError(
            f"{where}: names are {sorted(values)!r}; expected one or more outcomes beside {ID!r}"
        )
    return Outcome(request_id, values)


def _value(value: Any, where: str) -> Value:
    if isinstance(value, bool | int | float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    elif isinstance(value, str) and len(value) <= LONGEST_TEXT:
        return value
    raise OutcomeError(
        f"{where} is {_shown(value)}; expected a finite number, true, false or a text of up to {LONGEST_TEXT} letters"
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def of_document(document: Any) -> list[Outcome]:
    """The outcomes of a request's body: {"outcomes": [...]}, or one outcome. Raises OutcomeError."""
    if isinstance(document, Mapping) and "outcomes" in document:
        given = document["outcomes"]
        if not isinstance(given, list) or set(document) != {"outcomes"}:
            raise OutcomeError(
                f"'outcomes' is {_shown(given)}; expected a list of objects and nothing beside it"
            )
        return checked(outcome(one, f"outcome {number}") for number, one in enumerate(given))
    return [outcome(document, "the body")]


def checked(found: Iterable[Outcome]) -> list[Outcome]:
    """A batch that is neither empty nor endless. Raises OutcomeError."""
    batch = []
    for one in found:
        batch.append(one)
        if len(batch) > MOST:
            raise OutcomeError(f"there are more than {MOST:,} outcomes; give them in several calls")
    if not batch:
        raise OutcomeError("there is no outcome; expected one or more")
    return batch


def of_file(path: Path) -> Iterator[Outcome]:
    """The outcomes of a file of JSON lines, or of CSV with a line of names, one of them request_id.

    In CSV an empty cell is no outcome, `true` and `false` are truth values, and what is no number is a text.
    Raises OutcomeError, which names the line, and OSError.
    """
    with open(path, encoding="utf-8-sig", newline="") as file:
        try:
            first = file.readline()
            file.seek(0)
            yield from (_json_lines(file, path) if first.lstrip()[:1] in ("{", "") else _csv(file, path))
        except (UnicodeDecodeError, csv.Error) as error:
            raise OutcomeError(f"{path} is no text of JSON lines or CSV: {error}") from None


def _json_lines(file: Iterable[str], path: Path) -> Iterator[Outcome]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            where = f"{path}, line {number}"
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                torn = "" if line.endswith("\n") else "; the file may have been cut off"
                raise OutcomeError(f"{where} is no JSON: {error}{torn}") from None
            yield outcome(value, where)


def _csv(file: Iterable[str], path: Path) -> Iterator[Outcome]:
    rows = csv.reader(file, strict=True)
    names = next(rows)
    if ID not in names or len(set(names)) != len(names):
        raise OutcomeError(f"{path}: the columns are {names!r}; expected different names, one of them {ID!r}")
    for row in rows:
        where = f"{path}, line {rows.line_num}"
        if not row:
            continue
        if len(row) != len(names):
            raise OutcomeError(f"{where} has {len(row)} cells; expected {len(names)}, as the first line")
        cells = dict(zip(names, row, strict=True))
        given = {name: _cell(text) for name, text in cells.items() if text != "" and name != ID}
        yield outcome({**given, ID: cells[ID]}, where)


def _cell(text: str) -> bool | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return float(text)
    except ValueError:
        return text
