"""shoe_bags' pipeline: two sets of pictures through the project's reader, then the spine and a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from pipelines.base.spine import assemble, raw, report, spine
from pipelines.shoe_bags.project import PROJECT
from pipelines.shoe_bags.rows import SETS, SPLITS

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """The fit sees `train`, pictures of `tune` are watched while it lasts, the Evaluator has `eval`."""
    from components.function_example_gen.component import FunctionExampleGen

    example_gen = FunctionExampleGen(
        **raw(paths, settings, pattern_of(Path(settings.data or paths.data))),
        function="pipelines.shoe_bags.rows.read_rows",
        code=source_digest("pipelines.shoe_bags.rows"),
        splits=SPLITS,
    )
    nodes = spine(PROJECT, paths, settings, example_gen, tune_split="tune")
    return assemble(PROJECT, paths, settings, [*nodes, report(PROJECT, settings, nodes)])


def pattern_of(base: Path) -> str:
    """Which files of the raw data (also in spans) are read: pairs in folders, else files that lie side by side."""
    folders = any((place / name).is_dir() for name in SETS for place in (base, *base.glob("span-*")))
    return "*/*/*.jpg" if folders else "*"
