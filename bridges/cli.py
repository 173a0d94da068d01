"""The commands `viaduct score` and `viaduct stream`; the command's table passes their flags on to here."""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bridges.errors import BridgeError
from pipelines.base import registry
from pipelines.base.paths import default_home

if TYPE_CHECKING:
    from bridges.spark.table_source import TableSource

KAFKA = (
    "Kafka is not read: that needs Spark's connector spark-sql-kafka-0-10, which pyspark does not bring, and has been "
    "tried nowhere. Let a sink connector write the topic into a folder of files or a table of PostgreSQL, and stream "
    "from there."
)


def main_score(argv: Sequence[str] | None = None) -> int:
    """`viaduct score`: exit code 0; what is wrong is raised as a ViaductError."""
    parser = argparse.ArgumentParser(
        prog="viaduct score", description="Score a table with a project's pushed model, on Spark."
    )
    parser.add_argument(
        "model", help="a project, or a name that its models are served under, as card_fraud.sample"
    )
    parser.add_argument(
        "--input",
        required=True,
        metavar="TABLE",
        help="Parquet or CSV file or folder, or jdbc:URL?dbtable=NAME",
    )
    parser.add_argument(
        "--output",
        required=True,
        metavar="PATH",
        help="a new folder, .parquet or .csv, or postgresql://USER@HOST/DATABASE",
    )
    parser.add_argument("--table", default="", help="the new table, where --output is a database (P_scored)")
    parser.add_argument("--master", default="local[2]", help="local[N] or spark://HOST:PORT (local[2])")
    parser.add_argument("--version", type=int, help="of the model (the newest)")
    parser.add_argument("--signature", default="", help="of the model (serve_examples, else serving_default)")
    parser.add_argument("--format", default="", help="of the input: parquet or csv (by its name)")
    options = parser.parse_args(argv)

    from bridges.spark import models, scoring, session, staging, tables
    from bridges.warehouse import address

    started = time.monotonic()
    model = models.find(_served(options.model), options.version, options.signature)
    table = options.table or _table(model.name)
    if address.is_address(options.output):
        options.output = address.taken_apart(options.output)
        staging.check_free(options.output, table)
    else:
        tables.check_target(options.output)
    spark = session.open_session(options.master, f"viaduct score {model.name}", serve_only=True)
    try:
        done = scoring.score(spark, model, options.input, options.output, options.format, table=table)
    finally:
        spark.stop()
    print(
        f"{done.rows:,} rows scored by {done.model} version {done.version} in {time.monotonic() - started:.1f} s: "
        f"{done.output}"
    )
    return 0


def _stream_options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="viaduct stream",
        description="Score a stream of files, or a table's new rows, with a project's newest model into a database.",
    )
    parser.add_argument(
        "model", help="a project, or a name that its models are served under, as card_fraud.sample"
    )
    parser.add_argument(
        "--source",
        required=True,
        metavar="DIR|URL",
        help="a folder that whole files appear in, or postgresql://USER@HOST/DATABASE with --from or --query",
    )
    parser.add_argument("--from", dest="origin", default="", metavar="TABLE", help="the source's table")
    parser.add_argument("--query", default="", metavar="FILE", help="the source's rows, as SQL in a file")
    parser.add_argument(
        "--key",
        default="",
        metavar="COLUMN",
        help="of a table: what only grows, a whole number (--id) or TIME,ID",
    )
    parser.add_argument("--sink", required=True, metavar="URL", help="postgresql://USER@HOST/DATABASE")
    parser.add_argument(
        "--id", required=True, metavar="COLUMN", help="the events' id: one of each is written"
    )
    parser.add_argument(
        "--time", default="", metavar="COLUMN", help="the events' time; without it none is late"
    )
    parser.add_argument(
        "--delay", type=float, default=600.0, metavar="S", help="seconds after which a row is late (600)"
    )
    parser.add_argument("--table", default="", help="the sink's table (P_scored); late rows go to TABLE_late")
    parser.add_argument("--files", type=int, default=100, help="at most so many a batch (100)")
    parser.add_argument(
        "--rows", type=int, default=100_000, help="of a table, at most so many a batch (100,000)"
    )
    parser.add_argument("--checkpoint", default="", metavar="DIR", help="(HOME/streams/P/...)")
    parser.add_argument("--master", default="local[2]", help="local[N] or spark://HOST:PORT (local[2])")
    parser.add_argument("--once", action="store_true", help="end when all that is there is through")
    return parser


def main_stream(argv: Sequence[str] | None = None) -> int:
    """`viaduct stream`: runs until it is interrupted, or with --once until all that is there is through."""
    options = _stream_options().parse_args(argv)

    from bridges.spark import session, streaming
    from bridges.warehouse import address

    name = _served(options.model)
    sink = address.taken_apart(options.sink)
    source, mark = _source(options, sink)
    table = options.table or _table(name)
    mark = hashlib.sha256(f"{mark}\n{sink}\n{table}".encode()).hexdigest()[:16]
    checkpoint = Path(options.checkpoint or default_home() / "streams" / name / mark).absolute()
    stream = streaming.Stream(
        name,
        source,
        sink,
        table,
        checkpoint,
        options.id,
        options.time,
        options.delay,
        options.files,
        options.rows,
    )
    spark = session.open_session(options.master, f"viaduct stream {name}", serve_only=True)
    try:
        if isinstance(source, Path):
            streaming.wait(streaming.start(spark, stream, options.once))
        else:
            streaming.follow(spark, stream, options.once)
    finally:
        spark.stop()
    return 0


def _source(options: argparse.Namespace, sink: str) -> tuple[Path | TableSource, str]:
    """What --source names, and a text that tells it from others."""
    from bridges.spark.table_source import TableSource
    from bridges.warehouse import address
    from bridges.warehouse.query import text_of

    if options.source.startswith("kafka:"):
        raise BridgeError(KAFKA)
    if not address.is_address(options.source):
        if options.origin or options.query or options.key:
            raise BridgeError(
                "--from, --query and --key are about a --source postgresql://USER@HOST/DATABASE."
            )
        source = Path(options.source).expanduser().absolute()
        if not source.is_dir():
            raise BridgeError(f"--source {source} is no folder.")
        return source, str(source)
    if bool(options.origin) == bool(options.query):
        raise BridgeError("A database as --source needs one of --from TABLE and --query FILE.")
    if options.rows < 1:
        raise BridgeError(f"--rows is {options.rows}; expected a positive whole number.")
    before = os.environ.get(address.PASSWORD)
    at = address.taken_apart(options.source)
    if before and os.environ[address.PASSWORD] != before:
        raise BridgeError(
            "--source and --sink have different passwords, and there is one variable for both: leave them out of the "
            "URLs and put them into ~/.pgpass."
        )
    query = ""
    if options.query:
        try:
            query = text_of(Path(options.query).read_text(encoding="utf-8"), f"--query {options.query}")
        except (OSError, UnicodeDecodeError) as error:
            raise BridgeError(f"--query {options.query} cannot be read: {error}") from None
    key = tuple(name.strip() for name in (options.key or options.id).split(","))
    found = TableSource.of(at, key, options.origin, query)
    return found, f"{at}\n{found.query}\n{key}"


def _served(model: str) -> str:
    """`model`, whose project is one. Raises ProjectError with a close match for another."""
    registry.get(model.partition(".")[0])
    return model


def _table(name: str) -> str:
    return f"{name.replace('.', '_')}_scored"
