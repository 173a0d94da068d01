"""card_fraud's pipeline: CSV files through the Arrow ExampleGen, then the spine. Three splits, see below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.paths import Paths
from pipelines.base.project import Settings
from pipelines.base.spine import assemble, input_base, input_config, range_config, spine, split_config
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
    )
    nodes = spine(PROJECT, paths, settings, example_gen)
    trainer = next(node for node in nodes if node.id == "Trainer")
    trainer.spec.exec_properties["eval_args"] = '{"splits": ["tune"]}'
    return assemble(PROJECT, paths, settings, nodes)
