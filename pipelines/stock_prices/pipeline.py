"""stock_prices's pipeline: a table per stock through the project's reader, then the spine.

Splits follow time: `eval` is the years over which the forecasts' origin rolls, `train` what came before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from pipelines.base.spine import assemble, raw, report, spine
from pipelines.stock_prices.project import PROJECT
from pipelines.stock_prices.rows import SPLITS

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """The Trainer sees all years: it forecasts each with what was known before it, as the backtest demands."""
    from components.function_example_gen.component import FunctionExampleGen

    example_gen = FunctionExampleGen(
        **raw(paths, settings, "*.csv"),
        function="pipelines.stock_prices.rows.read_rows",
        code=source_digest("pipelines.stock_prices.rows"),
        splits=SPLITS,
        options={"backtest_years": settings.parameters["backtest_years"]},
    )
    nodes = spine(PROJECT, paths, settings, example_gen)
    return assemble(PROJECT, paths, settings, [*nodes, report(PROJECT, settings, nodes, evaluation=True)])
