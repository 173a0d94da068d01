"""stock_prices's pipeline: a table per stock through the project's reader, then the spine.

Splits follow time: `eval` is the years over which the forecasts' origin rolls, `train` what came before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.project import Settings
from pipelines.base.spine import assemble, input_base, input_config, range_config, spine
from pipelines.stock_prices.project import PROJECT

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """The Trainer sees all years: it forecasts each with what was known before it, as the backtest demands."""
    from components.function_example_gen.component import FunctionExampleGen

    example_gen = FunctionExampleGen(
        input_base=input_base(paths, settings),
        input_config=input_config(paths, settings, "*.csv"),
        range_config=range_config(settings),
        function="pipelines.stock_prices.data.read_rows",
        code=source_digest("pipelines.stock_prices.data"),
        splits=("train", "eval"),
        options={"backtest_years": settings.parameters["backtest_years"]},
    )
    return assemble(PROJECT, paths, settings, spine(PROJECT, paths, settings, example_gen))
