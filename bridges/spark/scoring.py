"""A whole table through a pushed model: raw rows in, the same rows with its answers, its name and version out.

The model's signature takes raw rows (Transform is inside it), so nothing is prepared here and the answers are the
server's. The output appears when it is whole: a driver or worker that dies leaves no half of it, and a task that is
done again counts once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridges.spark import blocks, checking, parts, staging, tables
from bridges.spark.models import ModelAt
from bridges.warehouse import address

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MODEL, VERSION = "model", "model_version"


@dataclass(frozen=True)
class Scored:
    """What was done: rows, the model and its version, and where the result is."""

    rows: int
    model: str
    version: int
    output: str


def scored(frame: DataFrame, model: ModelAt, block_rows: int = blocks.BLOCK_ROWS) -> DataFrame:
    """The frame with the model's outputs, and the columns `model` and `model_version`. Raises BridgeError."""
    from pyspark.sql import functions

    checking.check_no_overwriting(checking.text_fields(MODEL, VERSION), frame.schema)
    tables.check_no_twins(frame.columns)
    answered = blocks.map_blocks(model, frame, block_rows=block_rows)
    named = answered.withColumn(MODEL, functions.lit(model.name))
    return named.withColumn(VERSION, functions.lit(model.version).cast("long"))


def score(
    session: SparkSession,
    model: ModelAt,
    source: str,
    target: str,
    format_name: str = "",
    block_rows: int = blocks.BLOCK_ROWS,
    table: str = "",
) -> Scored:
    """Scores the table at `source` into `target`, a folder or (a database) a new `table` there, which appears whole.

    Raises BridgeError.
    """
    if address.is_address(target):
        frame = scored(tables.read(session, source, model, format_name), model, block_rows)
        rows = staging.write_table(frame, target, table)
        return Scored(rows, model.name, model.version, f"{target} table {table}")
    path = tables.check_target(target)
    raw = tables.read(session, source, model, format_name)
    with tables.appearing(path) as aside:
        if tables.format_of(path) == "csv":
            rows = tables.write_csv(_for_csv(scored(raw, model, block_rows)), aside)
        else:
            tables.check_no_twins(raw.columns)
            named = parts.Named(((MODEL, model.name), (VERSION, model.version)))
            rows = parts.score(model, raw, aside, block_rows, named)
    return Scored(rows, model.name, model.version, str(path))


def _for_csv(frame: DataFrame) -> DataFrame:
    """CSV has no lists and no bytes: texts of them."""
    from pyspark.sql import functions
    from pyspark.sql.types import ArrayType, BinaryType

    columns = []
    for field in frame.schema.fields:
        column = functions.col("`" + field.name + "`")
        if isinstance(field.dataType, ArrayType):
            column = functions.to_json(column)
        elif isinstance(field.dataType, BinaryType):
            column = column.cast("string")
        columns.append(column.alias(field.name))
    return frame.select(*columns)
