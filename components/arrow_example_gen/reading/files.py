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

from components import inputs, unpacking
from components.arrow_example_gen.options import Options
from components.arrow_example_gen.reading.transcoding import Transcoded, marked
from components.records import is_remote
from components.shards import InputError
from pipelines.base.csv_reading import UTF_8

_NOTES = ("readme", "license", "licence", "copying", "notice", "changelog", "changes", "authors", "citation")
_LEAVINGS = (".crc", ".md5", ".sha1", ".sha256", ".sha512", ".md", "thumbs.db", "desktop.ini")
ENCODING_HINT = "Save the file as UTF-8, or say its encoding: encoding='latin-1' (--csv-encoding latin-1)."
_CSV, _PARQUET = (".csv", ".tsv", ".txt"), (".parquet", ".parq", ".pq")


@dataclasses.dataclass(frozen=True)
class DataFile:
    """One input file. `size` in bytes as stored; `compressed` means gzip around a CSV, `encoding` is a CSV's."""

    path: str
    kind: str  # "csv" | "parquet"
    size: int
    compressed: bool = False
    encoding: str = UTF_8

    @property
    def is_stream(self) -> bool:
        """Whether it can only be read from its start, because it is unpacked or decoded on the way."""
        return self.compressed or self.encoding != UTF_8

    @property
    def delimiter_by_name(self) -> str:
        return "\t" if ".tsv" in os.path.basename(self.path) else ","

    def delimiter(self, options: Options) -> str:
        return options.delimiter or self.delimiter_by_name


def find_files(input_base: str, pattern: str, encoding: str = UTF_8) -> list[DataFile]:
    """The data files that match, sorted by path; CSV in `encoding`. What is passed over is said by `inputs`.

    Raises InputError where nothing matches, or where something matches that is neither CSV nor Parquet.
    """
    paths = _without_notes(inputs.data_files(input_base, pattern))
    if not paths:
        raise inputs.nothing_matches(input_base, pattern, "data file", ".csv, .csv.gz or .parquet files")
    return [data_file(path, encoding) for path in paths]


def _without_notes(paths: list[str]) -> list[str]:
    """Without what lies beside data: a README, checksums, what file managers leave."""
    from absl import logging

    notes = [path for path in paths if _is_note(os.path.basename(path).lower())]
    if len(notes) == len(paths):
        return paths
    for path in notes:
        logging.warning("%s is passed over: by its name it is no data", path)
    return [path for path in paths if path not in notes]


def _is_note(name: str) -> bool:
    return name.partition(".")[0] in _NOTES or name.endswith(_LEAVINGS)


def data_file(path: str, encoding: str = UTF_8) -> DataFile:
    """The file at `path` by its name's ending; its UTF-16 mark, where it has one, goes before `encoding`.

    Raises InputError for what is neither CSV nor Parquet by its name.
    """
    size = inputs.size_of(path)
    name = os.path.basename(path).lower()
    compressed = name.endswith(".gz")
    stem, ending = os.path.splitext(name[:-3] if compressed else name)
    if ending in _PARQUET and not compressed:
        return DataFile(path, "parquet", size)
    if ending in _CSV:
        file = DataFile(path, "csv", size, compressed)
        with opened(file) as stream:
            told = marked(stream.read(4))
        name = codecs.lookup(told or encoding).name
        return dataclasses.replace(file, encoding=UTF_8 if name in (UTF_8, "ascii", "utf-8-sig") else name)
    raise InputError(
        f"{path}: {ending or stem!r} is not a kind of file this component reads. Expected .csv, .tsv, .txt (each also "
        ".gz) or .parquet; give the input split a narrower pattern, such as '*.csv'."
    )


@contextlib.contextmanager
def opened(file: DataFile) -> Iterator[IO[bytes]]:
    """The file's bytes, decompressed, CSV as UTF-8. An InputError names a gzip stream that is broken or a bomb."""
    with open_raw(file.path) as raw:
        packed = inputs.size_of(file.path)
        stream: Any = unpacking.Unpacked(raw, file.path, packed) if file.compressed else raw
        if file.encoding != UTF_8:
            stream = io.BufferedReader(Transcoded(stream, file.path, file.encoding), 1 << 20)
        try:
            yield stream
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(
                f"{file.path}: not a whole gzip file ({error}). Fetch or write it again."
            ) from error


def open_raw(path: str) -> io.BufferedReader:
    """The bytes as stored, as a full Python file (TFX's own remote files know neither whence nor limits)."""
    return open(path, "rb") if not is_remote(path) else io.BufferedReader(_Remote(path), 1 << 20)


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
    """Raises InputError: empty file, unnamed or repeated column, text that is not UTF-8."""
    with opened(file) as stream:
        start = stream.read(4)
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
    _check_separator(file, names, options)
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
            f"{file.path}, line {len(lines)}: the header is not UTF-8 ({error.reason}). {ENCODING_HINT}"
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


def _check_separator(file: DataFile, names: tuple[str, ...], options: Options) -> None:
    if len(names) > 1 or options.delimiter:
        return
    for separator in (";", "\t", "|", ","):
        if separator in names[0] and separator != file.delimiter_by_name:
            raise InputError(
                f"{file.path}, line 1: one column {names[0]!r}; is the separator {separator!r}? If so, say "
                f"delimiter={separator!r} (--csv-delimiter {separator!r}), with decimal=',' (--csv-decimal ,) where "
                "numbers have a comma; if the name is meant, say delimiter={file.delimiter_by_name!r}."
            )


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
