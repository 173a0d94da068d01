"""card_fraud's pipeline: CSV files or a query through an ExampleGen of ours, the spine, and a report of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from pipelines.base.spine import assemble, report, reviewed_schema, spine, split_config, table_example_gen
from pipelines.base.tabular import forests
from pipelines.card_fraud.boosting import BOOSTED
from pipelines.card_fraud.features import LABEL_KEY
from pipelines.card_fraud.project import PROJECT

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """The fit sees `train`, the threshold `tune`, the Evaluator `eval`: nobody marks their own homework."""
    example_gen = table_example_gen(
        paths,
        settings,
        split_config(train=3, tune=1, eval=1),
        label=LABEL_KEY,
        # The schema fixes the types: a Time written as 1e+05, as in the official file, is still a number.
        schema_path=reviewed_schema(paths),
    )
    # Trees need their ops where they are loaded.
    ops = forests.__name__ if settings.variant == BOOSTED else ""
    nodes = spine(PROJECT, paths, settings, example_gen, tune_split="tune", evaluator_module=ops)
    return assemble(PROJECT, paths, settings, [*nodes, report(PROJECT, settings, nodes)])
