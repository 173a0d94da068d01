"""Tables in and out of Spark: Parquet, CSV, a JDBC table; results written aside and named when they are whole.

A CSV file's columns have the types that the model wants, so nothing is guessed from values. Databases of our own
driver are `bridges.warehouse`; JDBC wants its jar (`--jars`, or spark.jars) and is read in one piece.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bridges.errors import BridgeError
from bridges.examples.parsing import BYTES, FLOAT, Feature
from bridges.spark.models import ModelAt
from bridges.spark.session import told
from bridges.warehouse.address import PASSWORD
from pipelines.base import whole
from pipelines.base.paths import without_password

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FORMATS = ("parquet", "csv")
_TYPES = {BYTES: "string", FLOAT: "double"}


def format_of(path: Path, given: str = "") -> str:
    """ "parquet" or "csv": what was said, else the ending of the file's name, or of the folder's first file."""
    if given:
        if given not in FORMATS:
            raise BridgeError(f"The format is {given!r}; expected one of {', '.join(FORMATS)}.")
        return given
    names = [path.name]
    if path.is_dir():
        names += sorted(one.name for one in path.iterdir() if not one.name.startswith(("_", ".")))
    for name in names:
        for known in FORMATS:
            if name.endswith((f".{known}", f".{known}.gz")) or f".{known}." in name:
                return known
    raise BridgeError(f"{path} ends with neither .parquet nor .csv; name the format (--format).")


def read(session: SparkSession, source: str, model: ModelAt, format_name: str = "") -> DataFrame:
    """The table at `source`: a file, a folder of files, or jdbc:URL?dbtable=NAME. Raises BridgeError."""
    if source.startswith("jdbc:"):
        return _jdbc(session, source)
    path = Path(source).expanduser().absolute()
    if not path.exists():
        raise BridgeError(f"--input {source!r} does not exist (looked for {path}).")
    with told():
        if format_of(path, format_name) == "parquet":
            return session.read.parquet(str(path))
        header = header_of(path)
        types = ", ".join(f"`{name}` {_type(name, model)}" for name in header)
        # FAILFAST: a value that is no number is an error with its line, not a missing value.
        return session.read.csv(str(path), schema=types, header=True, mode="FAILFAST", enforceSchema=False)


def _type(name: str, model: ModelAt) -> str:
    known: dict[str, Feature] = {one.name: one for one in model.features or ()}
    return _TYPES.get(known[name].kind, "bigint") if name in known else "string"


def header_of(path: Path) -> list[str]:
    """The columns that the first line of a CSV file, or of a folder's first, names. Raises BridgeError."""
    files = (
        [path]
        if path.is_file()
        else sorted(p for p in path.rglob("*") if p.is_file() and p.name[0] not in "._")
    )
    if not files:
        raise BridgeError(f"{path} holds no file.")
    opened = gzip.open if files[0].suffix == ".gz" else open
    try:
        with opened(files[0], "rt", encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError) as error:
        raise BridgeError(f"{files[0]} cannot be read as CSV in UTF-8: {error}") from None
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names or twice or any("`" in name for name in names):
        told_names = f"names {twice[0]!r} twice" if twice else f"is {names!r}"
        raise BridgeError(f"{files[0]}: its first line {told_names}; expected the names of the columns.")
    return names


def _jdbc(session: SparkSession, source: str) -> DataFrame:
    """The password is that of `bridges.warehouse.address`, and is in no plan; one in the URL would be."""
    url, _, table = re.sub(r"[?&]dbtable=", "\n", source, count=1).partition("\n")
    if not table:
        raise BridgeError(f"A JDBC source names its table: {without_password(url)}?dbtable=NAME.")
    if re.search(r"(?i)[?&;]password=", source):
        raise BridgeError(f"Leave the password out of a JDBC source's URL and set {PASSWORD}.")
    reader = session.read.format("jdbc").option("url", url).option("dbtable", table)
    if url.startswith("jdbc:postgresql:"):
        # Java's own search for a driver does not see jars that Spark has loaded.
        reader = reader.option("driver", "org.postgresql.Driver")
    if password := os.environ.get(PASSWORD):
        reader = reader.option("password", password)
    with told():
        return reader.load()


def check_target(target: str) -> Path:
    """The path that results get. Raises BridgeError where something stands there already."""
    path = Path(target).expanduser().absolute()
    if path.exists():
        raise BridgeError(f"--output {path} exists already; name another, or remove it first.")
    format_of(path, "")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """The folder to write to, which is not there yet; it becomes `path` when the block ends well, and goes else."""
    whole.sweep(path.parent)
    aside = whole.aside_of(path)
    try:
        yield aside
        aside.rename(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_csv(frame: DataFrame, folder: Path) -> int:
    """A folder of CSV files; their rows. Spark's committer counts the files of the one attempt of each task that it
    took. Raises BridgeError."""
    with told():
        frame.write.csv(str(folder), header=True)
        # Of what was written, not of a second pass over the input.
        return frame.sparkSession.read.csv(str(folder), header=True).count()


def check_no_twins(names: Iterable[str]) -> None:
    """Raises BridgeError for names that Spark cannot tell apart."""
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            raise BridgeError(f"Columns {seen[name.lower()]!r} and {name!r} differ in case only; rename one.")
        seen[name.lower()] = name
