"""Which files are read and how they begin: listing, opening (also .gz), the header of a CSV file.

It does not parse rows. Remote paths work as far as TFX's file systems do.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import dataclasses
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from typing import IO, Any

from components.arrow_example_gen.errors import InputError
from components.arrow_example_gen.options import Options

_CSV, _PARQUET = (".csv", ".tsv", ".txt"), (".parquet", ".parq", ".pq")


@dataclasses.dataclass(frozen=True)
class DataFile:
    """One input file. `size` in bytes as stored; `compressed` means gzip around a CSV."""

    path: str
    kind: str  # "csv" | "parquet"
    size: int
    compressed: bool = False

    def delimiter(self, options: Options) -> str:
        return options.delimiter or ("\t" if ".tsv" in os.path.basename(self.path) else ",")


def find_files(input_base: str, pattern: str) -> list[DataFile]:
    """The data files that match, sorted by path. Hidden files and markers (`.x`, `_SUCCESS`) are passed over.

    Raises InputError where nothing matches, or where something matches that is neither CSV nor Parquet.
    """
    from tfx.dsl.io import fileio

    full = os.path.join(input_base, pattern)
    paths = [
        p for p in sorted(fileio.glob(full)) if os.path.basename(p)[0] not in "._" and not fileio.isdir(p)
    ]
    if not paths:
        reason = "" if fileio.exists(input_base) else f" The folder {input_base!r} does not exist."
        raise InputError(
            f"No data file matches {full!r}.{reason} Expected .csv, .csv.gz or .parquet files; "
            "check input_base and the pattern of the input split."
        )
    return [_data_file(path, fileio.stat(path).length) for path in paths]


def _data_file(path: str, size: int) -> DataFile:
    name = os.path.basename(path).lower()
    compressed = name.endswith(".gz")
    stem, ending = os.path.splitext(name[:-3] if compressed else name)
    if ending in _PARQUET and not compressed:
        return DataFile(path, "parquet", size)
    if ending in _CSV:
        return DataFile(path, "csv", size, compressed)
    raise InputError(
        f"{path}: {ending or stem!r} is not a kind of file this component reads. Expected .csv, .tsv, .txt "
        "(each also "
        ".gz) or .parquet; give the input split a narrower pattern, such as '*.csv'."
    )


@contextlib.contextmanager
def opened(file: DataFile) -> Iterator[IO[bytes]]:
    """The file's bytes, decompressed. A broken gzip stream is an InputError that names the file."""
    with open_raw(file.path) as raw:
        stream: Any = gzip.GzipFile(fileobj=raw) if file.compressed else raw
        try:
            yield stream
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(
                f"{file.path}: not a whole gzip file ({error}). Fetch or write it again."
            ) from error


def open_raw(path: str) -> io.BufferedReader:
    """The bytes as stored, as a full Python file (TFX's own remote files know neither whence nor limits)."""
    return open(path, "rb") if "://" not in path else io.BufferedReader(_Remote(path), 1 << 20)


class _Remote(io.RawIOBase):
    """A file of one of TFX's remote file systems as a Python raw file. For one reader."""

    def __init__(self, path: str) -> None:
        from tfx.dsl.io import fileio

        self._size = fileio.stat(path).length
        self._file = fileio.open(path, "rb")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._file.tell(), os.SEEK_END: self._size}[whence]
        self._file.seek(start + offset)
        return start + offset

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()


@dataclasses.dataclass(frozen=True)
class Header:
    """Column names of a CSV file, and where its rows begin (bytes from the start, and line, both
    decompressed)."""

    names: tuple[str, ...]
    offset: int
    lines: int


def read_header(file: DataFile, options: Options) -> Header:
    """Raises InputError: empty file, unnamed or repeated column, UTF-16, text that is not UTF-8."""
    with opened(file) as stream:
        start = stream.read(4)
        if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise InputError(f"{file.path}: the file is UTF-16. Expected UTF-8; save it as UTF-8.")
        bom = 3 if start[:3] == codecs.BOM_UTF8 else 0
        if options.column_names:
            return Header(options.column_names, bom, 0)
        if not start[bom:]:
            raise InputError(
                f"{file.path}: the file is empty, it has not even a header. Remove or replace it."
            )
        stream.seek(bom)
        lines: list[bytes] = []
        record = _first_record(file, options, stream, lines)
    names = tuple(name.strip() for name in record)
    _check_names(file, names)
    return Header(names, bom + sum(map(len, lines)), len(lines))


def _first_record(file: DataFile, options: Options, stream: IO[bytes], lines: list[bytes]) -> list[str]:
    def decoded() -> Iterator[str]:
        while line := stream.readline(1 << 24):
            lines.append(line)
            yield line.decode("utf-8")

    try:
        for record in csv_records(decoded(), file, options):
            if record:
                return record
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file.path}, line {len(lines)}: the header is not UTF-8 ({error.reason}). Save the file as "
            "UTF-8."
        ) from error
    except csv.Error as error:
        raise InputError(
            f"{file.path}, line 1: the header cannot be read ({error}). Expected one line of column names "
            "that ends "
            "in \\n or \\r\\n."
        ) from error
    raise InputError(f"{file.path}: only blank lines, no header. Remove or replace it.")


def csv_records(lines: Iterator[str], file: DataFile, options: Options) -> Any:
    """A csv.reader (with its `line_num`) that reads as the file is to be read."""
    quoting = csv.QUOTE_MINIMAL if options.quoting else csv.QUOTE_NONE
    return csv.reader(lines, delimiter=file.delimiter(options), quoting=quoting)  # type: ignore[arg-type]


def _check_names(file: DataFile, names: tuple[str, ...]) -> None:
    for number, name in enumerate(names, start=1):
        if not name:
            raise InputError(
                f"{file.path}, line 1: column {number} of {len(names)} has no name. Every feature needs "
                "one: name it in "
                "the header."
            )
        if names.index(name) != number - 1:
            raise InputError(
                f"{file.path}, line 1: column name {name!r} stands twice (columns {names.index(name) + 1} "
                f"and {number}). "
                "Rename one."
            )
