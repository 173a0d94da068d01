"""Columns of a CSV that belong to pictures: one row per picture, found by its path.

The path column is the first of `path`, `file`, `filename`, `name`, `image`; it holds `<class>/<file>`, or
the file name alone where these are unique. The other columns become features, with kinds by the rules of
ArrowExampleGen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.arrow_example_gen.options import Options as CsvOptions
from components.arrow_example_gen.reading import csv_rows
from components.arrow_example_gen.reading.files import DataFile, read_header
from components.arrow_example_gen.reading.kinds import Kind
from components.arrow_example_gen.reading.pieces import Piece
from components.image_example_gen.finding import Picture
from components.shards import InputError, did_you_mean

PATH_COLUMNS = ("path", "file", "filename", "name", "image")
Row = dict[str, Any]


def read(path: str, reserved: Sequence[str]) -> tuple[dict[str, Row], dict[str, Kind]]:
    """Rows by path, and the kinds of the columns. `reserved`: names the component writes itself."""
    options, file = CsvOptions(), DataFile(path, "csv", 0, path.endswith(".gz"))
    header = read_header(file, options)
    key = next((name for name in PATH_COLUMNS if name in header.names), None)
    if key is None:
        raise InputError(
            f"{path}: no column names the picture. Expected one of {PATH_COLUMNS}; got {header.names}."
        )
    columns = [name for name in header.names if name != key]
    taken = [name for name in columns if name in reserved]
    if taken:
        raise InputError(
            f"{path}: column {taken[0]!r} clashes with the feature of this name. Rename the column."
        )
    piece = Piece(file, header.offset, None, header)
    kinds, _ = csv_rows.infer(piece, columns, {}, options)
    rows: dict[str, Row] = {}
    for table in csv_rows.read(piece, header.names, {**kinds, key: Kind.BYTES}, frozenset(), options):
        for row in table.to_pylist():
            name = row.pop(key) or ""
            if name in rows:
                raise InputError(f"{path}: the picture {name!r} has two rows. Expected one per picture.")
            rows[name] = row
    return rows, {name: kinds[name] for name in columns}


def match(path: str, rows: Mapping[str, Row], pictures: Sequence[Picture]) -> dict[str, Row]:
    """Row per picture name. Raises InputError for a picture without a row and for a row without a picture."""
    result, used = {}, set()
    for picture in pictures:
        base = picture.name.rsplit("/", 1)[-1]
        name = picture.name if picture.name in rows else base
        if name not in rows:
            raise InputError(
                f"{path}: no row for the picture {picture.name!r}.{did_you_mean(picture.name, rows)}"
            )
        if name in used:
            raise InputError(
                f"{path}: {name!r} stands for two pictures. Write <class>/<file> in the path column."
            )
        used.add(name)
        result[picture.name] = rows[name]
    spare = [name for name in rows if name not in used]
    if spare:
        raise InputError(
            f"{path}: {spare[0]!r} has a row and no picture ({len(spare)} such). Remove the row or add it."
        )
    return result
