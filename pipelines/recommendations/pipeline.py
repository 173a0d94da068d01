"""recommendations' pipeline: events in the order of time, split where the evaluation period begins, then the spine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.project import Settings
from pipelines.base.spine import assemble, input_base, input_config, range_config, spine, training_config
from pipelines.base.training import PARAMETERS_KEY
from pipelines.recommendations.project import PROJECT

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """The Trainer is given both splits by the spine and opens `train` only; it cuts its tuning period out of that."""
    from components.function_example_gen.component import FunctionExampleGen
    from components.report_gen.component import ReportGen

    example_gen = FunctionExampleGen(
        input_base=input_base(paths, settings),
        input_config=input_config(paths, settings, "events*.csv*"),
        range_config=range_config(settings),
        function="pipelines.recommendations.data.read_rows",
        code=source_digest("pipelines.recommendations.data"),
        splits=("train", "eval"),
    )
    nodes = spine(PROJECT, paths, settings, example_gen)
    made = {node.id: node for node in nodes}

    # Pictures beside the spine, so that a push does not wait for them.
    report_gen = ReportGen(
        report_fn="pipelines.recommendations.report.report",
        model=made["Trainer"].outputs["model"],
        examples=example_gen.outputs["examples"],
        evaluation=made["Evaluator"].outputs["evaluation"],
        model_run=made["Trainer"].outputs["model_run"],
        custom_config={
            "code": source_digest("pipelines.recommendations.report"),
            "parameters": training_config(PROJECT, settings)[PARAMETERS_KEY],
        },
    )
    return assemble(PROJECT, paths, settings, [*nodes, report_gen])
