"""customer_spending's tables by Spark's windows: the same names, columns and rows as the pipeline's own.

Frames count rows in a total order, customer, date and order id. Spark's own default for an ordered window is a frame by
value, which adds up all orders of one day in each of their rows. Amounts are whole cents: sums are exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from bridges.errors import BridgeError
from bridges.spark.tables import header_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

NEEDED = ("order_id", "customer", "date", "quantity", "price")
# How many periods with an order a period's sum looks back besides its own.
BACK = {"days": 7, "weeks": 4, "months": 3}
# In which the rows of a table stand; no two share one.
SORTED_BY = {
    "orders": ("customer", "date", "order_id"),
    **dict.fromkeys(BACK, ("customer", "period")),
    "customers": ("customer",),
}
# Prices and quantities are read as such, so that their product has all its digits (38 are Spark's most).
_DECIMAL, _MORE = "decimal(19,6)", "decimal(38,18)"
_DATE = r"^\d{4}-\d{2}-\d{2}([T ].*)?$"


def read_lines(spark: SparkSession, files: Sequence[Path], names: Mapping[str, str]) -> DataFrame:
    """Order lines of CSV tables with a header (gz or not): order_id, customer, date, cents. Lines without a customer
    are left out. `names` are what else the columns may be called: {"Invoice": "order_id", ...}.

    Raises BridgeError that names file and column where one is missing or stands twice. A line whose date, quantity or
    price is none is an error that shows it, when the lines are computed.
    """
    return reduce(lambda one, other: one.unionByName(other), (_lines(spark, file, names) for file in files))


def _lines(spark: SparkSession, file: Path, names: Mapping[str, str]) -> DataFrame:
    from pyspark.sql import functions as F

    header = [names.get(name.strip(), name.strip()) for name in header_of(file)]
    for name in NEEDED:
        if header.count(name) != 1:
            fault = "two columns" if name in header else "no column"
            raise BridgeError(f"{file}: {fault} {name!r} in {header}; expected {', '.join(NEEDED)}.")
    # By place, whatever the other columns are called; a quote within quotes is doubled, as CSV has it.
    places = {name: f"c{header.index(name)}" for name in NEEDED}
    schema = ", ".join(f"c{number} string" for number in range(len(header)))
    table = spark.read.csv(str(file), schema=schema, header=True, quote='"', escape='"', multiLine=True)
    told = table.select(*(F.col(place).alias(name) for name, place in places.items()))
    quantity, price = (F.trim(name).cast(_DECIMAL) for name in ("quantity", "price"))
    cents = F.bround(quantity * price, 2) * 100
    day = F.trim("date")
    exact = (quantity == F.trim("quantity").cast(_MORE)) & (price == F.trim("price").cast(_MORE))
    date = F.when(day.rlike(_DATE), F.substring(day, 1, 10).cast("date"))
    fault = F.raise_error(
        F.concat_ws(
            "",
            F.lit(f"\nBridgeError: {file}: "),
            F.to_json(F.struct(*NEEDED)),
            F.lit(
                "; expected an order id, a date as 2011-12-09 (with or without a time), and a quantity and a price "
                "as 12.50, of six decimals at most.\n"
            ),
        )
    )
    right = (F.col("order_id") != "") & date.isNotNull() & exact
    return told.where(F.col("customer") != "").select(
        F.when(right, F.col("order_id")).otherwise(fault).alias("order_id"),
        # Spreadsheets make 13085.0 of the number 13085.
        F.regexp_replace("customer", r"\.0$", "").alias("customer"),
        date.alias("date"),
        cents.cast("long").alias("cents"),
    )


def make_tables(lines: DataFrame) -> dict[str, DataFrame]:
    """The tables by name, see pipelines.customer_spending.tables.make_tables for their columns. Lazy."""
    from pyspark.sql import functions as F

    orders = lines.groupBy("customer", "date", "order_id").agg(F.sum("cents").alias("cents"))
    return {
        "orders": _orders(orders),
        "days": _periods(orders, F.date_format("date", "yyyy-MM-dd"), BACK["days"]),
        # Thursday's year is the ISO week's: without it, weeks of two years would be one.
        "weeks": _periods(
            orders,
            F.format_string(
                "%04d-W%02d",
                F.year(F.date_add(F.date_trunc("week", F.col("date")).cast("date"), 3)),
                F.weekofyear("date"),
            ),
            BACK["weeks"],
        ),
        "months": _periods(orders, F.date_format("date", "yyyy-MM"), BACK["months"]),
        "customers": _customers(orders),
    }


def _orders(orders: DataFrame) -> DataFrame:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    ordered = Window.partitionBy("customer").orderBy("date", "order_id")
    so_far = ordered.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    return orders.select(
        "customer",
        F.col("date").cast("string"),
        "order_id",
        "cents",
        F.sum("cents").over(so_far).alias("cumulative_cents"),
        F.avg("cents").over(ordered.rowsBetween(-3, 0)).alias("average_last_4"),
        F.avg("cents").over(ordered.rowsBetween(-2, 2)).alias("average_of_5"),
    )


def _periods(orders: DataFrame, period: Column, back: int) -> DataFrame:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    sums = orders.groupBy("customer", period.alias("period")).agg(F.sum("cents").alias("cents"))
    behind = Window.partitionBy("customer").orderBy("period").rowsBetween(-back, 0)
    return sums.select("customer", "period", "cents", F.sum("cents").over(behind).alias("back_cents"))


def _customers(orders: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    return orders.groupBy("customer").agg(
        F.min("date").cast("string").alias("first_date"),
        F.max("date").cast("string").alias("last_date"),
        F.countDistinct("date").alias("days"),
        F.count("*").alias("orders"),
        F.sum("cents").alias("cents"),
        (F.countDistinct("date") > 1).cast("long").alias("returned"),
    )
