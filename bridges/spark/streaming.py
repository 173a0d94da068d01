"""A stream scored into a database, each event once, whoever dies: of files by Structured Streaming with a ledger, of
a table by the ledger alone.

Spark hands a batch over at least once, and a replay has its number; the ledger makes it once. The version of the
model is chosen when a batch is first seen, so a swap takes effect with the next one and a replay answers alike.

A watermark of Spark's own only promises to keep what is within its delay, so late rows are told apart here: a row is
late if its time lies more than the delay before the latest time of all earlier batches. Late rows go to a table of
their own. Sources are folders of Parquet, CSV or JSON files that appear whole, and new rows of a PostgreSQL table
(`table_source`), for which Spark has no source: there the ledger also keeps which rows a batch has.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridges.errors import BridgeError
from bridges.spark import checking, models, scoring, staging, tables
from bridges.spark.ledger import EVENT_TIME, Ledger
from bridges.spark.session import told
from bridges.spark.table_source import Plan, TableSource
from pipelines.base import whole

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import StreamingQuery

METADATA = "metadata"
POLL_S = 1.0


@dataclass(frozen=True)
class Stream:
    """What flows where. `model`: a project or a folder of versions; `time_column`: a timestamp, or seconds since 1970
    ("": no row is late); `files`, `rows`: at most so many a batch, of a folder and of a table."""

    model: str
    source: Path | TableSource
    address: str
    table: str
    checkpoint: Path
    id_column: str
    time_column: str = ""
    delay_s: float = 600.0
    files: int = 100
    rows: int = 100_000


def start(session: SparkSession, stream: Stream, once: bool = False) -> StreamingQuery:
    """The running query over files; with `once` it ends when all files that are there now are through.

    Raises BridgeError before anything is written: no model, no file to tell the columns from, columns that the model
    lacks, an id that is no column, a table of other columns. What goes wrong later ends the query (see `wait`).
    """
    model = models.find(stream.model)
    frame = prepared(_read(session, stream, model), stream)
    schema = _written(session, frame, model)
    stream.checkpoint.mkdir(parents=True, exist_ok=True)

    def handle(batch: DataFrame, number: int) -> None:
        _handle(session, stream, schema, batch, number)

    writer = frame.writeStream.foreachBatch(handle).option("checkpointLocation", str(stream.checkpoint))
    writer = writer.trigger(availableNow=True) if once else writer.trigger(processingTime="1 second")
    Ledger(stream.address, "", stream.table, stream.id_column, stream.delay_s).open(schema)
    with told():
        return writer.start()


def follow(session: SparkSession, stream: Stream, once: bool = False) -> None:
    """Scores the new rows of a table, batch by batch; with `once` it ends when nothing is new. Raises as `start`."""
    source = stream.source
    assert isinstance(source, TableSource)
    empty = prepared(source.frame(session, None), stream)
    schema = _written(session, empty, models.find(stream.model))
    stream.checkpoint.mkdir(parents=True, exist_ok=True)
    if not (stream.checkpoint / METADATA).exists():
        # As Spark does for a query of its own.
        whole.write(stream.checkpoint / METADATA, json.dumps({"id": str(uuid.uuid4())}))
    ledger = _ledger(stream)
    ledger.open(schema)
    number, plan, closed = ledger.last() or (-1, "", True)
    after = Plan.of(plan).ends[-1] if closed and plan else None
    parts = session.sparkContext.defaultParallelism
    while True:
        if closed:
            found = source.plan(after, stream.rows, parts, lambda text: print(text, flush=True))
            if found is None and once:
                return
            if found is None:
                time.sleep(POLL_S)
                continue
            number, plan = number + 1, found.to_json()
        # What another driver has planned for this number goes before.
        newest = models.find(stream.model)
        kept = Plan.of(ledger.begin(number, newest.name, newest.version, plan).plan)
        _handle(session, stream, schema, prepared(source.frame(session, kept), stream), number)
        after, closed = kept.ends[-1], True


def _written(session: SparkSession, frame: DataFrame, model: models.ModelAt) -> Any:
    """Arrow's schema of the scored rows: the plan of a batch, which tells all that is wrong with the columns."""
    return staging.arrow_schema(scoring.scored(session.createDataFrame([], frame.schema), model))


def _ledger(stream: Stream) -> Ledger:
    return Ledger(stream.address, query_id(stream.checkpoint), stream.table, stream.id_column, stream.delay_s)


def wait(query: StreamingQuery) -> None:
    """Until the query ends. Raises BridgeError with what ended it."""
    with told():
        query.awaitTermination()


def prepared(frame: DataFrame, stream: Stream) -> DataFrame:
    """The frame with the column `event_time`, a timestamp or missing. Raises BridgeError."""
    from pyspark.sql import functions
    from pyspark.sql.types import NumericType, TimestampType

    checking.field(frame.schema, stream.id_column, "the events' id (--id)")
    checking.check_no_overwriting(checking.text_fields(EVENT_TIME), frame.schema)
    if not stream.time_column:
        return frame.withColumn(EVENT_TIME, functions.lit(None).cast("timestamp"))
    given = checking.field(frame.schema, stream.time_column, "the events' time (--time)")
    if not isinstance(given.dataType, (NumericType, TimestampType)):
        raise BridgeError(
            f"Column {given.name!r} is {given.dataType.simpleString()}; the events' time is a timestamp, or seconds "
            "since 1970."
        )
    return frame.withColumn(EVENT_TIME, functions.col(f"`{given.name}`").cast("timestamp"))


def _read(session: SparkSession, stream: Stream, model: models.ModelAt) -> DataFrame:
    """The stream of files, its columns those of the first file; a file of other columns ends the query."""
    assert isinstance(stream.source, Path)
    files = sorted(path for path in stream.source.glob("*") if path.is_file() and path.name[0] not in "._")
    if not files:
        raise BridgeError(
            f"--source {stream.source} holds no file yet, which would tell its columns; put one there."
        )
    name = "json" if ".json" in files[0].suffixes else tables.format_of(files[0])
    with told():
        one = str(files[0])
        first = session.read.json(one) if name == "json" else tables.read(session, one, model, name)
        reader = session.readStream.schema(first.schema).option("maxFilesPerTrigger", stream.files)
        if name == "csv":
            reader = reader.option("header", True).option("mode", "FAILFAST").option("enforceSchema", False)
        return reader.format(name).load(str(stream.source))


def query_id(checkpoint: Path) -> str:
    """The name that Spark gave to a checkpoint when it was made; a replay has the same."""
    return str(json.loads((checkpoint / METADATA).read_text(encoding="utf-8"))["id"])


def _handle(session: SparkSession, stream: Stream, schema: Any, batch: DataFrame, number: int) -> None:
    ledger = _ledger(stream)
    newest = models.find(stream.model)
    entry = ledger.begin(number, newest.name, newest.version)
    if entry.closed:
        return
    model = newest if newest.version == entry.version else models.find(stream.model, entry.version)
    staged = ledger.stage(number, schema)
    staging.stage(scoring.scored(batch, model), stream.address, staged)
    rows, late = ledger.close(number, staged, list(schema.names), entry)
    print(f"batch {number}: {rows} rows, {late} late, by {model.name} version {entry.version}", flush=True)
