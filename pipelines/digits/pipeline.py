"""digits' pipeline: idx files through the image ExampleGen, the spine, a report and an export for phones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base import idx
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from pipelines.base.spine import assemble, report, spine, tflite
from pipelines.digits.project import PROJECT

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """Training images are MNIST's train-*, one in ten of them kept for `tune`; the judge's are its t10k-*.

    Nothing is shuffled between the two.
    """
    example_gen = idx.example_gen(paths, settings, tune_one_in=10)
    nodes = spine(PROJECT, paths, settings, example_gen, tune_split="tune")
    beside = [report(PROJECT, settings, nodes)]
    if settings.variant == "cnn":
        # A blessed network, as TensorFlow Lite in float and in integers that take pixels as they are.
        beside.append(
            tflite(PROJECT, nodes, signature="float_pixels", output="probabilities", integer_inputs="uint8")
        )
    return assemble(PROJECT, paths, settings, [*nodes, *beside])
