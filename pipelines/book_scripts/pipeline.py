"""book_scripts's pipeline: paragraphs in the order of the book, then the spine. Three splits, see below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from pipelines.base.spine import assemble, raw, report, spine
from pipelines.book_scripts.project import PROJECT
from pipelines.book_scripts.rows import SPLITS

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """The fit sees `train`; learning curves and the mixtures' weights `tune`; both are judged on `eval`."""
    from components.function_example_gen.component import FunctionExampleGen

    example_gen = FunctionExampleGen(
        **raw(paths, settings, "*.txt"),
        function="pipelines.book_scripts.rows.read_rows",
        code=source_digest("pipelines.book_scripts.rows"),
        splits=SPLITS,
    )
    nodes = spine(PROJECT, paths, settings, example_gen, tune_split="tune")
    return assemble(PROJECT, paths, settings, [*nodes, report(PROJECT, settings, nodes, evaluation=True)])
