"""book_scripts's pipeline: paragraphs in the order of the book, then the spine. Three splits, see below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.project import Settings
from pipelines.base.spine import assemble, input_base, input_config, range_config, spine
from pipelines.book_scripts.project import PROJECT

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """The fit sees `train`; learning curves and the trigram model's weights `tune`; both are judged on `eval`."""
    from components.function_example_gen.component import FunctionExampleGen

    example_gen = FunctionExampleGen(
        input_base=input_base(paths, settings),
        input_config=input_config(paths, settings, "*.txt"),
        range_config=range_config(settings),
        function="pipelines.book_scripts.data.read_rows",
        code=source_digest("pipelines.book_scripts.data"),
        splits=("train", "tune", "eval"),
    )
    return assemble(PROJECT, paths, settings, spine(PROJECT, paths, settings, example_gen, tune_split="tune"))
