"""card_fraud's pipeline: CSV files through the Arrow ExampleGen, then the spine. Three splits, see below."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

    example_gen = ArrowExampleGen(
        input_base=input_base(paths, settings),
        input_config=input_config(paths, settings),
        output_config=split_config(train=3, tune=1, eval=1),
        range_config=range_config(settings),
        # The schema fixes the types: a Time written as 1e+05, as in the official file, is still a number.
        schema_path=reviewed_schema(paths),
    )
    nodes = spine(PROJECT, paths, settings, example_gen, tune_split="tune")
    return assemble(PROJECT, paths, settings, nodes)
