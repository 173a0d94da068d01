"""traffic_signs's pipeline: signs and their tracks through the project's reader, then the spine and a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.project import Settings
from pipelines.base.spine import assemble, input_base, input_config, range_config, spine
from pipelines.traffic_signs.project import PROJECT
from pipelines.traffic_signs.rows import SPLITS

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """The fit sees `train`, its curves `tune`, the Evaluator `eval`: three sets of physical signs."""
    from components.function_example_gen.component import FunctionExampleGen
    from components.report_gen.component import ReportGen

    base = input_base(paths, settings)
    example_gen = FunctionExampleGen(
        input_base=base,
        input_config=input_config(paths, settings, "*/*" if has_class_folders(base) else "*"),
        function="pipelines.traffic_signs.rows.read_rows",
        code=source_digest("pipelines.traffic_signs.rows"),
        splits=SPLITS,
        range_config=range_config(settings),
    )
    nodes = spine(PROJECT, paths, settings, example_gen, tune_split="tune")
    trainer = next(node for node in nodes if node.id == "Trainer")
    # Pictures beside the spine, so that a push does not wait for them.
    report_gen = ReportGen(
        report_fn="pipelines.traffic_signs.report.report",
        model=trainer.outputs["model"],
        examples=example_gen.outputs["examples"],
        model_run=trainer.outputs["model_run"],
        custom_config={"code": source_digest("pipelines.traffic_signs.report")},
    )
    return assemble(PROJECT, paths, settings, [*nodes, report_gen])


def has_class_folders(base: str) -> bool:
    """Whether the raw data are the official archive's class folders (also in spans) and not archives."""
    return any(Path(base).glob("[0-9]*/GT-*.csv")) or any(Path(base).glob("span-*/[0-9]*/GT-*.csv"))
