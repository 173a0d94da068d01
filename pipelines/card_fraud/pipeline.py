"""card_fraud's pipeline: CSV files through the Arrow ExampleGen, the spine, and a report of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.project import Settings
from pipelines.base.spine import (
    assemble,
    input_base,
    input_config,
    range_config,
    reviewed_schema,
    spine,
    split_config,
)
from pipelines.card_fraud.project import PROJECT

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """The fit sees `train`, the threshold `tune`, the Evaluator `eval`: nobody marks their own homework."""
    from components.arrow_example_gen.component import ArrowExampleGen
    from components.report_gen.component import ReportGen

    example_gen = ArrowExampleGen(
        input_base=input_base(paths, settings),
        input_config=input_config(paths, settings),
        output_config=split_config(train=3, tune=1, eval=1),
        range_config=range_config(settings),
        # The schema fixes the types: a Time written as 1e+05, as in the official file, is still a number.
        schema_path=reviewed_schema(paths),
    )
    nodes = spine(PROJECT, paths, settings, example_gen, tune_split="tune")
    trainer = next(node for node in nodes if node.id == "Trainer")

    # Pictures of what was learned; beside the spine, so that a push does not wait for them.
    report_gen = ReportGen(
        report_fn="pipelines.card_fraud.report.report",
        model=trainer.outputs["model"],
        examples=example_gen.outputs["examples"],
        model_run=trainer.outputs["model_run"],
        custom_config={"code": source_digest("pipelines.card_fraud.report")},
    )
    return assemble(PROJECT, paths, settings, [*nodes, report_gen])
