"""exoplanets' pipeline: curves as one feature each, then the spine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.project import Settings
from pipelines.base.spine import assemble, input_base, input_config, range_config, spine
from pipelines.exoplanets.project import PROJECT
from pipelines.exoplanets.rows import SPLITS

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """Trees grow on `train`, boosting stops by `tune`, the Evaluator judges on `eval`."""
    from components.function_example_gen.component import FunctionExampleGen
    from components.report_gen.component import ReportGen

    example_gen = FunctionExampleGen(
        input_base=input_base(paths, settings),
        input_config=input_config(paths, settings, "*.csv*"),
        function="pipelines.exoplanets.rows.read_rows",
        code=source_digest("pipelines.exoplanets.rows"),
        splits=SPLITS,
        range_config=range_config(settings),
    )
    nodes = spine(
        PROJECT,
        paths,
        settings,
        example_gen,
        tune_split="tune",
        evaluator_module="pipelines.exoplanets.evaluating",
    )
    by_id = {node.id: node for node in nodes}
    report_gen = ReportGen(
        report_fn="pipelines.exoplanets.report.report",
        model=by_id["Trainer"].outputs["model"],
        examples=example_gen.outputs["examples"],
        model_run=by_id["Trainer"].outputs["model_run"],
        custom_config={"code": source_digest("pipelines.exoplanets.report")},
    )
    return assemble(PROJECT, paths, settings, [*nodes, report_gen])
