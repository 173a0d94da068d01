"""clothing's pipeline: idx files through the image ExampleGen, the spine, a report and an export for phones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base import idx
from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from pipelines.base.spine import assemble, report, spine
from pipelines.clothing.project import PROJECT

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """Training pictures are the set's train-*, the judge's are its t10k-*; nothing is shuffled between them."""
    from components.tflite_exporter.component import TFLiteExporter

    example_gen = idx.example_gen(paths, settings)
    nodes = spine(PROJECT, paths, settings, example_gen)
    beside = [report(PROJECT, settings, nodes)]
    if settings.variant == "efficient":
        # Blessed capsules without their decoder, as TensorFlow Lite in float and in integers that take the pixels.
        exporter = TFLiteExporter(
            model=nodes.trainer.outputs["model"],
            examples=example_gen.outputs["examples"],
            model_blessing=nodes.evaluator.outputs["blessing"],
            signature="float_pixels",
            inputs_fn="pipelines.clothing.features.signature_inputs",
            output="lengths",
            integer_inputs="uint8",
            custom_config={"code": source_digest("pipelines.clothing.features")},
        )
        beside.append(exporter)
    return assemble(PROJECT, paths, settings, [*nodes, *beside])
