"""customer_spending's pipeline: a row per customer and forecast date, split by time, and the tables beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from pipelines.base.spine import assemble, raw, report, spine
from pipelines.customer_spending.project import PROJECT
from pipelines.customer_spending.rows import SPLITS
from pipelines.customer_spending.spark_tables import MASTER
from pipelines.customer_spending.tables import TABLES

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """SpendingTables makes what people look at, from the same files, here or (`--engine`) on Spark; no other node
    waits for it."""
    from components.function_example_gen.component import FunctionExampleGen

    example_gen = FunctionExampleGen(
        **raw(paths, settings, "*.csv*"),
        function="pipelines.customer_spending.rows.read_rows",
        code=source_digest("pipelines.customer_spending.rows"),
        splits=SPLITS,
        options={key: settings.parameters[key] for key in ("eval_periods", "tune_periods")},
    )
    tables_by = f"pipelines.customer_spending.{'spark_tables' if settings.engine else 'tables'}"
    tables = FunctionExampleGen(
        **raw(paths, settings, "*.csv*"),
        function=f"{tables_by}.read_rows",
        code=source_digest(tables_by),
        splits=TABLES,
        options={MASTER: settings.engine} if settings.engine else None,
    ).with_id("SpendingTables")
    nodes = spine(PROJECT, paths, settings, example_gen, tune_split="tune")
    last = report(PROJECT, settings, nodes, evaluation=True)
    return assemble(PROJECT, paths, settings, [*nodes, tables, last])
