"""vehicles' pipeline: photographs through the project's reader, the spine with an extractor inside, a report."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pipelines.base import hub
from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from pipelines.base.spine import assemble, raw, report, spine
from pipelines.vehicles.project import PROJECT
from pipelines.vehicles.rows import SPLITS

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """The head is fitted to `train` and judged on `eval`; the extractor's digest and licence are the Trainer's to keep.

    Raises ProjectError where a variant needs an extractor and `extractor` names none that is there.
    """
    from components.function_example_gen.component import FunctionExampleGen

    if settings.variant != "own":
        facts = hub.facts(str(settings.parameters["extractor"]))
        settings = dataclasses.replace(settings, parameters={**settings.parameters, **facts})
    example_gen = FunctionExampleGen(
        **raw(paths, settings, "*/*"),
        function="pipelines.vehicles.rows.read_rows",
        code=source_digest("pipelines.vehicles.rows"),
        splits=SPLITS,
    )
    nodes = spine(PROJECT, paths, settings, example_gen)
    return assemble(PROJECT, paths, settings, [*nodes, report(PROJECT, settings, nodes)])
