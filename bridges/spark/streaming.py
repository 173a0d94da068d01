"""A stream of files scored into a database, each event once, whoever dies: Structured Streaming with a ledger.

Spark hands a batch over at least once, and a replay has its number; the ledger makes it once. The version of the
model is chosen when a batch is first seen, so a swap takes effect with the next one and a replay answers alike.

A watermark of Spark's own only promises to keep what is within its delay, so late rows are told apart here: a row is
late if its time lies more than the delay before the latest time of all earlier batches. Late rows go to a table of
their own. Sources are folders of Parquet, CSV or JSON files that appear whole.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridges.errors import BridgeError
from bridges.spark import checking, models, scoring, staging, tables
from bridges.spark.ledger import EVENT_TIME, Ledger
from bridges.spark.session import told

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import StreamingQuery


@dataclass(frozen=True)
class Stream:
    """What flows where. `model`: a project or a folder of versions; `time_column`: a timestamp, or seconds since 1970
    ("": no row is late); `files`: at most so many a batch."""

    model: str
    source: Path
    address: str
    table: str
    checkpoint: Path
    id_column: str
    time_column: str = ""
    delay_s: float = 600.0
    files: int = 100


def start(session: SparkSession, stream: Stream, once: bool = False) -> StreamingQuery:
    """The running query; with `once` it ends when all files that are there now are through.

    Raises BridgeError before anything is written: no model, no file to tell the columns from, columns that the model
    lacks, an id that is no column, a table of other columns. What goes wrong later ends the query (see `wait`).
    """
    model = models.find(stream.model)
    frame = prepared(_read(session, stream, model), stream)
    # The plan of a batch: it tells the columns, and all that is wrong with them.
    shape = scoring.scored(session.createDataFrame([], frame.schema), model)
    schema = staging.arrow_schema(shape)
    stream.checkpoint.mkdir(parents=True, exist_ok=True)

    def handle(batch: DataFrame, number: int) -> None:
        _handle(session, stream, schema, batch, number)

    writer = frame.writeStream.foreachBatch(handle).option("checkpointLocation", str(stream.checkpoint))
    writer = writer.trigger(availableNow=True) if once else writer.trigger(processingTime="1 second")
    Ledger(stream.address, "", stream.table, stream.id_column, stream.delay_s).open(schema)
    with told():
        return writer.start()


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
    return str(json.loads((checkpoint / "metadata").read_text(encoding="utf-8"))["id"])


def _handle(session: SparkSession, stream: Stream, schema: Any, batch: DataFrame, number: int) -> None:
    ledger = Ledger(
        stream.address, query_id(stream.checkpoint), stream.table, stream.id_column, stream.delay_s
    )
    newest = models.find(stream.model)
    entry = ledger.begin(number, newest.name, newest.version)
    if entry.closed:
        return
    model = newest if newest.version == entry.version else models.find(stream.model, entry.version)
    staged = ledger.stage(number, schema)
    staging.stage(scoring.scored(batch, model), stream.address, staged)
    rows, late = ledger.close(number, staged, list(schema.names), entry)
    print(f"batch {number}: {rows} rows, {late} late, by {model.name} version {entry.version}", flush=True)
