"""stock_prices's pipeline: a table per stock through the project's reader, then the spine.

Splits follow time: `eval` is the years over which the forecasts' origin rolls, `train` what came before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.project import Settings
from pipelines.base.spine import assemble, input_base, input_config, range_config, spine, training_config
from pipelines.base.training import PARAMETERS_KEY
from pipelines.stock_prices.project import PROJECT

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """The Trainer sees all years: it forecasts each with what was known before it, as the backtest demands."""
    from components.function_example_gen.component import FunctionExampleGen
    from components.report_gen.component import ReportGen

    example_gen = FunctionExampleGen(
        input_base=input_base(paths, settings),
        input_config=input_config(paths, settings, "*.csv"),
        range_config=range_config(settings),
        function="pipelines.stock_prices.data.read_rows",
        code=source_digest("pipelines.stock_prices.data"),
        splits=("train", "eval"),
        options={"backtest_years": settings.parameters["backtest_years"]},
    )
    nodes = spine(PROJECT, paths, settings, example_gen)
    made = {node.id: node for node in nodes}

    # Pictures beside the spine, so that a push does not wait for them.
    report_gen = ReportGen(
        report_fn="pipelines.stock_prices.report.report",
        model=made["Trainer"].outputs["model"],
        examples=example_gen.outputs["examples"],
        evaluation=made["Evaluator"].outputs["evaluation"],
        model_run=made["Trainer"].outputs["model_run"],
        custom_config={
            "code": source_digest("pipelines.stock_prices.report"),
            "parameters": training_config(PROJECT, settings)[PARAMETERS_KEY],
        },
    )
    return assemble(PROJECT, paths, settings, [*nodes, report_gen])
