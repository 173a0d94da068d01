"""Files of rows that lie outside of HOME: copied whole, or some rows drawn from them, for a project's data.py."""

from __future__ import annotations

import csv
import io
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from components.arrow_example_gen.reading.files import DataFile, find_files, opened
from pipelines.base.csv_reading import UTF_8, CsvReading
from pipelines.base.errors import ProjectError


def found(source: Path, encoding: str = UTF_8) -> list[DataFile]:
    """The data files of a file or folder, at any depth. Raises ProjectError if it is gone."""
    if not source.exists():
        raise ProjectError(
            f"{source} is not there, expected the file or folder that the project was made from. Put its new place "
            "into SOURCE in data.py, or pass `--data PATH`."
        )
    if source.is_dir():
        return find_files(str(source), "**/*", encoding)
    return find_files(str(source.parent), source.name, encoding)


def copy(source: Path, folder: Path) -> None:
    """Copies the data files of `source` into `folder`, in the folders that they lie in below `source`."""
    base = source if source.is_dir() else source.parent
    for file in found(source):
        target = folder / os.path.relpath(file.path, base)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.path, target)


def draw(source: Path, folder: Path, rows: int, seed: int, reading: CsvReading) -> None:
    """Writes `rows` rows of `source` (all, if there are no more) as one file, in an order that `seed` decides.

    CSV is written as `reading` says that it was; of Parquet the types stay.
    """
    files = found(source, reading.encoding)
    if files[0].kind == "parquet":
        _draw_parquet(files, folder / "sample.parquet", rows, seed)
    else:
        _draw_csv(files, folder / "sample.csv", rows, seed, reading)


def _draw_csv(files: list[DataFile], target: Path, rows: int, seed: int, reading: CsvReading) -> None:
    everything = [row for file in files for row in _records(file, reading)]
    chosen = random.Random(seed).sample(everything, min(rows, len(everything)))
    with target.open("w", newline="", encoding=reading.encoding) as stream:
        delimiter = reading.delimiter or ","
        writer = csv.DictWriter(stream, list(everything[0]), delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        writer.writerows(chosen)


def _records(file: DataFile, reading: CsvReading) -> Iterator[dict[str, str]]:
    with opened(file) as raw, io.TextIOWrapper(io.BytesIO(raw.read()), "utf-8-sig", newline="") as text:
        yield from csv.DictReader(text, delimiter=reading.delimiter or file.delimiter_by_name)


def _draw_parquet(files: list[DataFile], target: Path, rows: int, seed: int) -> None:
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.concat_tables([parquet.read_table(file.path) for file in files])
    order = np.random.default_rng(seed).permutation(table.num_rows)[:rows]
    parquet.write_table(table.take(pa.array(order)), str(target))
