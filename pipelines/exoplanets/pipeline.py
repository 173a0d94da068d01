"""exoplanets' pipeline: curves as one feature each, then the spine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from pipelines.base.spine import assemble, raw, report, spine
from pipelines.base.tabular import forests
from pipelines.exoplanets.project import PROJECT
from pipelines.exoplanets.rows import SPLITS

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """Trees grow on `train`, boosting stops by `tune`, the Evaluator judges on `eval`."""
    from components.function_example_gen.component import FunctionExampleGen

    example_gen = FunctionExampleGen(
        **raw(paths, settings, "*.csv*"),
        function="pipelines.exoplanets.rows.read_rows",
        code=source_digest("pipelines.exoplanets.rows"),
        splits=SPLITS,
    )
    nodes = spine(
        PROJECT,
        paths,
        settings,
        example_gen,
        tune_split="tune",
        evaluator_module=forests.__name__,
    )
    return assemble(PROJECT, paths, settings, [*nodes, report(PROJECT, settings, nodes)])
