"""clothing's pipeline: idx files through the image ExampleGen, the spine, a report and an export for phones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base import idx
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from pipelines.base.spine import assemble, report, spine, tflite
from pipelines.clothing.project import PROJECT

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """Training pictures are the set's train-*, the judge's are its t10k-*; nothing is shuffled between them."""
    example_gen = idx.example_gen(paths, settings)
    nodes = spine(PROJECT, paths, settings, example_gen)
    beside = [report(PROJECT, settings, nodes)]
    if settings.variant == "efficient":
        # Blessed capsules without their decoder, as TensorFlow Lite in float and in integers that take the pixels.
        beside.append(
            tflite(PROJECT, nodes, signature="float_pixels", output="lengths", integer_inputs="uint8")
        )
    return assemble(PROJECT, paths, settings, [*nodes, *beside])
