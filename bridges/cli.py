"""The commands `viaduct score` and `viaduct stream`; the command's table passes their flags on to here."""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from bridges.errors import BridgeError
from pipelines.base import registry
from pipelines.base.paths import default_home


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


def main_stream(argv: Sequence[str] | None = None) -> int:
    """`viaduct stream`: runs until it is interrupted, or with --once until all files are through."""
    parser = argparse.ArgumentParser(
        prog="viaduct stream",
        description="Score a stream of files with a project's newest model into a database.",
    )
    parser.add_argument(
        "model", help="a project, or a name that its models are served under, as card_fraud.sample"
    )
    parser.add_argument("--source", required=True, metavar="DIR", help="a folder that whole files appear in")
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
    parser.add_argument("--checkpoint", default="", metavar="DIR", help="(HOME/streams/P/...)")
    parser.add_argument("--master", default="local[2]", help="local[N] or spark://HOST:PORT (local[2])")
    parser.add_argument("--once", action="store_true", help="end when all files that are there are through")
    options = parser.parse_args(argv)

    from bridges.spark import session, streaming
    from bridges.warehouse import address

    name = _served(options.model)
    source = Path(options.source).expanduser().absolute()
    if not source.is_dir():
        raise BridgeError(f"--source {source} is no folder.")
    sink = address.taken_apart(options.sink)
    table = options.table or _table(name)
    mark = hashlib.sha256(f"{source}\n{sink}\n{table}".encode()).hexdigest()[:16]
    checkpoint = Path(options.checkpoint or default_home() / "streams" / name / mark).absolute()
    stream = streaming.Stream(
        name, source, sink, table, checkpoint, options.id, options.time, options.delay, options.files
    )
    spark = session.open_session(options.master, f"viaduct stream {name}", serve_only=True)
    try:
        streaming.wait(streaming.start(spark, stream, options.once))
    finally:
        spark.stop()
    return 0


def _served(model: str) -> str:
    """`model`, whose project is one. Raises ProjectError with a close match for another."""
    registry.get(model.partition(".")[0])
    return model


def _table(name: str) -> str:
    return f"{name.replace('.', '_')}_scored"
