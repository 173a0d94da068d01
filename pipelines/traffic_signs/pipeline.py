"""traffic_signs's pipeline: signs and their tracks through the project's reader, then the spine and a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from pipelines.base.spine import assemble, raw, report, spine
from pipelines.traffic_signs.project import PROJECT
from pipelines.traffic_signs.rows import SPLITS

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """The fit sees `train`, its curves `tune`, the Evaluator `eval`: three sets of physical signs."""
    from components.function_example_gen.component import FunctionExampleGen

    classes = has_class_folders(settings.data or str(paths.data))
    example_gen = FunctionExampleGen(
        **raw(paths, settings, "*/*" if classes else "*"),
        function="pipelines.traffic_signs.rows.read_rows",
        code=source_digest("pipelines.traffic_signs.rows"),
        splits=SPLITS,
    )
    nodes = spine(PROJECT, paths, settings, example_gen, tune_split="tune")
    return assemble(PROJECT, paths, settings, [*nodes, report(PROJECT, settings, nodes)])


def has_class_folders(base: str) -> bool:
    """Whether the raw data are the official archive's class folders (also in spans) and not archives."""
    return any(Path(base).glob("[0-9]*/GT-*.csv")) or any(Path(base).glob("span-*/[0-9]*/GT-*.csv"))
