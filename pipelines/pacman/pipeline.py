"""pacman's pipeline: a plan of episodes, played, then the spine and a report.

The rows come from FunctionExampleGen: its function plays what a plan says, and a plan, which is a file, gives spans,
cache and lineage what to hold on to. A component of our own would have been that one with another name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from pipelines.base.spine import assemble, raw, report, spine
from pipelines.pacman.plan import FILE, SPLITS
from pipelines.pacman.project import PROJECT

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """The replay begins with `train`, `tune` watches the training, and on the starts of `eval` all are judged."""
    from components.function_example_gen.component import FunctionExampleGen

    example_gen = FunctionExampleGen(
        **raw(paths, settings, FILE),
        function="pipelines.pacman.rows.read_rows",
        code=source_digest("pipelines.pacman.rows"),
        splits=SPLITS,
    )
    nodes = spine(PROJECT, paths, settings, example_gen, tune_split="tune")
    return assemble(PROJECT, paths, settings, [*nodes, report(PROJECT, settings, nodes, evaluation=True)])
