"""Rows of raw features that a person typed or keeps in a file, as the inputs of a served model's `serve_rows`.

A feature that a row lacks, or has as null or an empty cell, is missing; what the model does not know is named with the
closest name that it knows. Types are the signature's, which the server tells. Opens no connection.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.csv_reading import UTF_8, CsvReading
from pipelines.base.errors import ViaductError, close_match

if TYPE_CHECKING:
    import numpy as np

SIGNATURE = "serve_rows"
LEAST = -(2**63)
USUAL = CsvReading()
Row = Mapping[str, Any]


def of_text(text: str) -> list[Row]:
    """The row (a JSON object) or rows (a list of objects) of `--row`. Raises ViaductError."""
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ViaductError(f"--row is no JSON: {error}; got {text!r}.") from error
    rows = given if isinstance(given, list) else [given]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise ViaductError(f"--row is {text!r}; expected a JSON object of features and their values.")
    return rows


def of_file(file: Path, reading: CsvReading) -> list[Row]:
    """Rows of a .csv file with a header, written as `reading` says, or of a file with a JSON object a line.

    Raises ViaductError with the line.
    """
    encoding = "utf-8-sig" if reading.encoding == UTF_8 else reading.encoding
    try:
        with file.open(encoding=encoding, newline="") as stream:
            if file.suffix.lower() in (".csv", ".tsv"):
                delimiter = reading.delimiter or ("\t" if file.suffix.lower() == ".tsv" else ",")
                rows: list[Row] = list(csv.DictReader(stream, delimiter=delimiter))
            else:
                rows = [row for line in _lines(stream) for row in _json_line(file, *line)]
    except OSError as error:
        raise ViaductError(f"--rows {file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ViaductError(f"--rows {file} is not {encoding} ({error.reason}); save it as that.") from error
    if not rows:
        raise ViaductError(f"--rows {file} has no rows.")
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            _check_width(file, number, row)
    return rows


def _lines(stream: Iterable[str]) -> Iterable[tuple[int, str]]:
    return ((number, line) for number, line in enumerate(stream, start=1) if line.strip())


def _json_line(file: Path, number: int, line: str) -> list[Row]:
    try:
        given = json.loads(line)
    except ValueError as error:
        raise ViaductError(
            f"--rows {file}, line {number}: no JSON ({error}); expected an object a line."
        ) from error
    if not isinstance(given, dict):
        raise ViaductError(f"--rows {file}, line {number}: {line.strip()[:60]!r}; expected a JSON object.")
    return [given]


def _check_width(file: Path, number: int, row: Any) -> None:
    if file.suffix.lower() in (".csv", ".tsv") and (None in row or None in row.values()):
        more = "more" if None in row else "fewer"
        raise ViaductError(f"--rows {file}, row {number}: {more} cells than the header has columns.")


def inputs(
    rows: Sequence[Row],
    known: Mapping[str, Any],
    optional: Iterable[str],
    ignored: Iterable[str] = (),
    reading: CsvReading = USUAL,
) -> dict[str, np.ndarray]:
    """Arrays by feature, [n] each; a feature that no row has is left out.

    `known` are the signature's inputs (with `dtype`, numpy's name), `optional` those that may be missing; `ignored`
    are columns that a file may have besides, as the label. `reading` says which words mean a missing value and how
    numbers are written where they are text. Raises ViaductError that names row and feature.
    """
    import numpy as np

    may_lack, besides = set(optional), set(ignored)
    for number, row in enumerate(rows, start=1):
        for name in row:
            if name not in known and name not in besides:
                raise ViaductError(f"Row {number}: " + close_match("Feature", name, known))
    made = {}
    for name, info in known.items():
        cells = [_cell(row.get(name), reading) for row in rows]
        lacking = [number for number, cell in enumerate(cells, start=1) if cell is None]
        if lacking and name not in may_lack:
            raise ViaductError(
                f"Row {lacking[0]}: feature {name!r} is missing, and the model needs a value of it."
            )
        if len(lacking) < len(rows):
            values = [
                _value(cell, info.dtype, name, number, reading) for number, cell in enumerate(cells, start=1)
            ]
            made[name] = np.array(values, object if info.dtype == "object" else info.dtype)
    return made


def _cell(value: Any, reading: CsvReading) -> Any:
    text = value.strip() if isinstance(value, str) else None
    return None if text == "" or text in reading.null_values else value


def _value(cell: Any, dtype: str, name: str, number: int, reading: CsvReading) -> Any:
    if dtype == "object":
        return b"" if cell is None else _text(cell).encode("utf-8")
    whole = dtype.startswith(("int", "uint"))
    if cell is None:
        return LEAST if whole else float("nan")
    if isinstance(cell, str):
        cell = cell.replace(reading.thousands, "").replace(reading.decimal, ".")
    try:
        if isinstance(cell, (list, dict)):
            raise ValueError
        # A spreadsheet writes 39.0 for a 39.
        return _whole(cell) if whole else float(cell)
    except (ValueError, OverflowError):
        expected = "a whole number" if whole else "a number"
        raise ViaductError(f"Row {number}: feature {name!r} is {cell!r}; expected {expected}.") from None


def _whole(cell: Any) -> int:
    number = int(cell) if isinstance(cell, str) and cell.strip().lstrip("+-").isdigit() else cell
    if isinstance(number, str):
        number = float(number)
    if number != int(number) or not LEAST <= number < -LEAST:
        raise ValueError
    return int(number)


def _text(cell: Any) -> str:
    if isinstance(cell, bool):
        return str(cell).lower()
    return cell if isinstance(cell, str) else json.dumps(cell)


def named(answer: Mapping[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    """An answer for people: probabilities by the names of the classes, the likeliest first."""
    probabilities = answer.get("probabilities")
    if not isinstance(probabilities, list) or len(probabilities) != len(classes):
        return dict(answer)
    ordered = sorted(zip(classes, probabilities, strict=True), key=lambda pair: -pair[1])
    return {**answer, "probabilities": dict(ordered)}
