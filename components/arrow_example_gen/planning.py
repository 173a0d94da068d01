"""Looks at all files before any row is read: their columns agree, the settings name columns that exist, and
the work is cut into tasks. It does not read rows (but see `pieces`: large CSV files are scanned for row ends).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from components.arrow_example_gen import remarks
from components.arrow_example_gen.options import Options
from components.arrow_example_gen.reading import csv_rows, numbers, parquet_rows
from components.arrow_example_gen.reading.files import DataFile, read_header
from components.arrow_example_gen.reading.kinds import Kind, kind_of_column, merge
from components.arrow_example_gen.reading.pieces import Piece, Task, csv_pieces, make_tasks, parquet_pieces
from components.shards import InputError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

_SNIFFED_FILES = 8


@dataclasses.dataclass(frozen=True)
class Plan:
    """All a worker needs. `kinds` are final for `fixed` columns (schema) and, with `exact`, for all; else a
    hint.

    `columns`: per input split, what is written, in order. `key`: column that decides the split, or None.
    """

    options: Options
    tasks: tuple[Task, ...]
    columns: tuple[tuple[str, ...], ...]
    kinds: Mapping[str, Kind]
    fixed: frozenset[str]
    exact: bool
    key: str | None
    buckets: tuple[int, ...]  # empty: output splits are the input splits
    folder: str
    input_bytes: int
    leading_zeros: Mapping[str, str]  # an example for each column whose first rows hold numbers such as 007
    ends: tuple[float, ...] = ()  # of `options.split_time`: see components.later_rows

    @property
    def by_time(self) -> bool:
        """Whether `key` is a column of times."""
        return self.key is not None and self.key == self.options.split_time

    @property
    def split_count(self) -> int:
        return len(self.buckets) or len(self.columns)

    def read_columns(self, split: int) -> tuple[str, ...]:
        """Columns to read: those written, and the key."""
        names = self.columns[split]
        return names if self.key is None or self.key in names else (*names, self.key)


def make_plan(
    splits: Sequence[Sequence[DataFile]],
    options: Options,
    schema_kinds: Mapping[str, Kind],
    required: Sequence[str],
    buckets: Sequence[int],
    key: str | None,
    folder: str,
) -> Plan:
    """`schema_kinds`: kinds that a schema fixes; `required`: columns that it demands.

    Raises InputError: files of a split with different columns, a column asked for that is not there.
    """
    key = key if buckets else None
    pieces, columns, declared = [], [], []
    csv_first: list[tuple[Piece, tuple[str, ...]]] = []
    for files in splits:
        names, file_pieces, footers = _look(files, options)
        wanted = _wanted(names, files[0], options, required, key)
        for file, footer in footers:
            declared.append((file, parquet_rows.kinds_of(file, footer, wanted)))
        csv_first += [(group[0], wanted) for group in file_pieces if group and group[0].file.kind == "csv"]
        pieces.append([piece for group in file_pieces for piece in group])
        columns.append(
            tuple(n for n in wanted if n != key or options.columns is None or n in options.columns)
        )
    _check_declared(declared)
    every = {name for names in columns for name in names} | ({key} if key else set())
    fixed = frozenset(every & schema_kinds.keys())
    first_rows = [csv_rows.sniff(piece, names, options) for piece, names in csv_first[:_SNIFFED_FILES]]
    hints = [
        {name: kind_of_column(numbers.as_python(texts, options)) for name, texts in part.items()}
        for part in first_rows
    ]
    kinds = merge(dict.fromkeys(every, Kind.UNKNOWN), *(kinds for _, kinds in declared), *hints)
    kinds.update({name: schema_kinds[name] for name in fixed})
    return Plan(
        options=options,
        tasks=tuple(make_tasks(pieces, options)),
        columns=tuple(columns),
        kinds=kinds,
        fixed=fixed,
        exact=not csv_first or fixed == every,
        key=key,
        buckets=tuple(buckets),
        folder=folder,
        input_bytes=sum(file.size for files in splits for file in files),
        leading_zeros=_leading_zeros(first_rows, fixed),
    )


def _leading_zeros(first_rows: Sequence[Mapping[str, pa.Array]], fixed: frozenset[str]) -> dict[str, str]:
    examples = {
        name: remarks.leading_zero(texts)
        for part in first_rows
        for name, texts in part.items()
        if name not in fixed
    }
    return {name: example for name, example in examples.items() if example}


def _look(files: Sequence[DataFile], options: Options):
    """Column names that all files of a split share, pieces per file, footers of the Parquet files."""
    first: tuple[str, ...] = ()
    pieces: list[list[Piece]] = []
    footers: list[tuple[DataFile, parquet_rows.Footer]] = []
    for file in files:
        if file.kind == "csv":
            header = read_header(file, options)
            names = header.names
            file_pieces = csv_pieces(file, header, options)
        else:
            footer = parquet_rows.read_footer(file)
            footers.append((file, footer))
            names = footer.names
            file_pieces = parquet_pieces(file, list(footer.group_bytes))
        first = first or names
        _check_same_columns(files[0], first, file, names)
        pieces.append(file_pieces)
    return first, pieces, footers


def _check_same_columns(
    first: DataFile, expected: Sequence[str], file: DataFile, names: Sequence[str]
) -> None:
    missing = [name for name in expected if name not in names]
    extra = [name for name in names if name not in expected]
    if missing:
        raise InputError(
            f"{file.path}: column {missing[0]!r} is missing, {first.path} has it."
            f"{did_you_mean(missing[0], extra or names)} Files of one split need the same columns, in any "
            "order."
        )
    if extra:
        raise InputError(
            f"{file.path}: column {extra[0]!r} is not in {first.path}. Files of one split need the same "
            "columns, "
            "in any order."
        )


def _wanted(
    names: Sequence[str], file: DataFile, options: Options, required: Sequence[str], key: str | None
) -> tuple[str, ...]:
    """Columns of one split to read. With columns=[...] those, else all of the file."""
    for source, asked in (
        ("columns", options.columns or ()),
        ("split_time" if options.split_time else "split_key", [key] if key else []),
        ("label", [options.label] if options.label else []),
        ("the schema", [n for n in required if options.columns is None or n in options.columns]),
    ):
        for name in asked:
            if name not in names:
                raise InputError(
                    f"{file.path}: column {name!r} is missing, {source} asks for "
                    f"it.{did_you_mean(name, names)}"
                )
    wanted = tuple(options.columns or names)
    return wanted if key is None or key in wanted else (*wanted, key)


def _check_declared(declared: Sequence[tuple[DataFile, Mapping[str, Kind]]]) -> None:
    seen: dict[str, tuple[DataFile, Kind]] = {}
    for file, kinds in declared:
        for name, kind in kinds.items():
            before, other = seen.setdefault(name, (file, kind))
            if Kind.BYTES in (kind, other) and kind != other and Kind.UNKNOWN not in (kind, other):
                raise InputError(
                    f"{file.path}, column {name!r}: {kind.words} here, {other.words} in {before.path}. "
                    "Write both "
                    "files with one type."
                )
