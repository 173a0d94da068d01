"""customer_spending's tables by Spark's windows: the same names, columns and rows as the pipeline's own.

    python -m bridges.spark.windows orders.csv TABLES --master spark://localhost:7077

Frames count rows in a total order, customer, date and order id. Spark's own default for an ordered window is a frame by
value, which adds up all orders of one day in each of their rows. Amounts are whole cents: sums are exact.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

NEEDED = ("order_id", "customer", "date", "quantity", "price")
# How many periods with an order a period's sum looks back besides its own.
BACK = {"days": 7, "weeks": 4, "months": 3}


def read_lines(spark: SparkSession, path: str) -> DataFrame:
    """Order lines of CSV tables with a header: order_id, customer, date, cents. Lines without a customer are left out.

    Raises ValueError that names a column that is missing.
    """
    from pyspark.sql import functions as F

    table = spark.read.csv(path, header=True)
    missing = [name for name in NEEDED if name not in table.columns]
    if missing:
        raise ValueError(
            f"{path}: no column {missing[0]!r} in {table.columns}; expected {', '.join(NEEDED)}."
        )
    amount = F.col("price").cast("decimal(18,4)") * F.col("quantity").cast("decimal(12,0)") * 100
    return table.where(F.col("customer") != "").select(
        "order_id",
        "customer",
        F.to_date(F.substring("date", 1, 10)).alias("date"),
        F.bround(amount).cast("long").alias("cents"),
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


def main() -> None:
    """Writes every table as Parquet to OUTPUT/<name>, in the place of what was there."""
    from pyspark.sql import SparkSession

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("orders", help="CSV of order lines: a file, a folder or a pattern")
    parser.add_argument("output", help="folder for the tables")
    parser.add_argument("--master", default="local[*]", help="Spark's master (local[*])")
    options = parser.parse_args()
    spark = SparkSession.builder.master(options.master).appName("customer_spending tables").getOrCreate()
    try:
        for name, table in make_tables(read_lines(spark, options.orders)).items():
            table.write.mode("overwrite").parquet(f"{options.output}/{name}")
            print(f"{name}: {options.output}/{name}")
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
