"""recommendations' pipeline: events in the order of time, split where the evaluation period begins, then the spine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from pipelines.base.spine import assemble, raw, report, spine
from pipelines.recommendations.project import PROJECT
from pipelines.recommendations.rows import SPLITS

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """The Trainer is given both splits by the spine and opens `train` only; it cuts its tuning period out of that."""
    from components.function_example_gen.component import FunctionExampleGen

    example_gen = FunctionExampleGen(
        **raw(paths, settings, "events*.csv*"),
        function="pipelines.recommendations.rows.read_rows",
        code=source_digest("pipelines.recommendations.rows"),
        splits=SPLITS,
    )
    nodes = spine(PROJECT, paths, settings, example_gen)
    return assemble(PROJECT, paths, settings, [*nodes, report(PROJECT, settings, nodes, evaluation=True)])
