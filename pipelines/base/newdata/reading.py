"""Reads a user's file or folder once, by the reader that the new project's ExampleGen will use.

How a CSV file is written is sniffed; which words mean a missing value is looked for in all of it.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.arrow_example_gen import work
from components.arrow_example_gen.options import Options
from components.arrow_example_gen.planning import make_plan
from components.arrow_example_gen.reading import csv_rows, parquet_rows
from components.arrow_example_gen.reading.files import DataFile, find_files
from components.arrow_example_gen.reading.kinds import PLAIN_NUMBER, Kind
from components.arrow_example_gen.sniffing import sniff
from components.shards import InputError
from pipelines.base.csv_reading import CsvReading
from pipelines.base.errors import ProjectError

if TYPE_CHECKING:
    import pyarrow as pa

# Words for "nothing" wherever they stand, and words that mean it only where numbers stand beside them.
NULL_WORDS = frozenset({"?", "n/a", "nan", "null", "#n/a", "<na>"})
AMONG_NUMBERS = NULL_WORDS | {"na", "none", "-", "--", "."}


@dataclasses.dataclass(frozen=True)
class Source:
    """What was read: `path` as an absolute path, its files, how they were read, and all rows of all columns.

    `unsure` says what of `csv` is a guess, a sentence each. Of a query `path` is its file, `query` its text, `address`
    its database without a password, and there are no files.
    """

    path: Path
    files: tuple[DataFile, ...]
    csv: CsvReading
    table: pa.Table
    unsure: tuple[str, ...] = ()
    address: str = ""
    query: str = ""


def read(path: Path) -> Source:
    """Raises ProjectError or InputError with file, row and column for what cannot be read."""
    path = path.expanduser().absolute()
    if not path.exists():
        raise ProjectError(
            f"--data {path} does not exist; expected a CSV or Parquet file, or a folder of them."
        )
    base, pattern = (str(path), "**/*") if path.is_dir() else (str(path.parent), path.name)
    files = tuple(find_files(base, pattern))
    if files[0].kind == "parquet":
        source = Source(path, files, CsvReading(), _rows(files, CsvReading()))
    else:
        source = _csv(path, base, pattern, files)
    if not source.table.num_rows:
        raise ProjectError(f"{path} has a header and no rows; a model needs rows to learn from.")
    return source


def _csv(path: Path, base: str, pattern: str, files: tuple[DataFile, ...]) -> Source:
    """Sniffed by its beginning, and words for a missing value by all of it."""
    sniffed = sniff(files[0].path)
    files = tuple(find_files(base, pattern, sniffed.reading.encoding))
    table = _rows(files, sniffed.reading)
    known = sniffed.reading.null_values
    words = tuple(dict.fromkeys([*known, *_null_words(table)]))
    csv = sniffed.reading.replaced({"null_values": words})
    return Source(path, files, csv, table if words == known else _rows(files, csv), sniffed.unsure)


def _rows(files: Sequence[DataFile], csv: CsvReading) -> pa.Table:
    import pyarrow as pa

    options = Options(**csv.changed())
    plan = make_plan([list(files)], options, {}, [], [1], None, "")
    facts = work.merge_facts([] if plan.exact else [work.infer(task, plan) for task in plan.tasks])
    if facts["errors"]:
        raise InputError(facts["errors"][0][1])
    kinds = {**plan.kinds, **{name: Kind(kind) for name, kind in facts["kinds"].items()}}
    tables: list[pa.Table] = []
    for task in plan.tasks:
        columns = plan.read_columns(task.split)
        for piece in task.pieces:
            if piece.file.kind == "csv":
                tables += csv_rows.read(piece, columns, kinds, plan.fixed, options)
            else:
                tables += parquet_rows.read(piece, columns, kinds, options)
    if not tables:
        return pa.table({name: pa.nulls(0) for name in plan.columns[0]})
    # Blocks with no value of a column have it as null.
    return pa.concat_tables(tables, promote=True).combine_chunks()


def _null_words(table: pa.Table) -> list[str]:
    """Words of text columns that mean a missing value: see NULL_WORDS and AMONG_NUMBERS."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found: Counter[str] = Counter()
    for name in table.column_names:
        column = table.column(name)
        if not pa.types.is_string(column.type):
            continue
        counted = {pair["values"]: pair["counts"] for pair in column.drop_null().value_counts().to_pylist()}
        candidates = {word for word in counted if word.strip().lower() in AMONG_NUMBERS}
        rest = pa.array([word for word in counted if word not in candidates], pa.string())
        numbers = bool(len(rest)) and pc.all(pc.match_substring_regex(rest, PLAIN_NUMBER)).as_py()
        for word in candidates:
            if numbers or word.strip().lower() in NULL_WORDS:
                found[word.strip()] += counted[word]
    return sorted(found)
