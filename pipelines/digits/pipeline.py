"""digits' pipeline: idx files through the image ExampleGen, the spine, a report and an export for phones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.project import Settings
from pipelines.base.spine import assemble, input_base, input_config, range_config, spine
from pipelines.digits.project import PROJECT

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """Training images are MNIST's train-*, the judge's are its t10k-*; nothing is shuffled between them."""
    from components.image_example_gen.component import ImageExampleGen, idx_splits
    from components.report_gen.component import ReportGen
    from components.tflite_exporter.component import TFLiteExporter

    # Where base finds spans, their pattern goes before MNIST's file names.
    prefix = input_config(paths, settings).splits[0].pattern.removesuffix("*")
    example_gen = ImageExampleGen(
        input_base=input_base(paths, settings),
        input_config=idx_splits(prefix),
        range_config=range_config(settings),
        encoding="raw",
    )
    nodes = spine(PROJECT, paths, settings, example_gen)
    by_id = {node.id: node for node in nodes}
    trainer = by_id["Trainer"]

    # Pictures of what was learned; beside the spine, so that a push does not wait for them.
    report_gen = ReportGen(
        report_fn="pipelines.digits.report.report",
        model=trainer.outputs["model"],
        examples=example_gen.outputs["examples"],
        model_run=trainer.outputs["model_run"],
        custom_config={"code": source_digest("pipelines.digits.report")},
    )
    nodes.append(report_gen)
    if settings.variant == "cnn":
        # A blessed network, as TensorFlow Lite in float and in integers that take pixels as they are.
        exporter = TFLiteExporter(
            model=trainer.outputs["model"],
            examples=example_gen.outputs["examples"],
            model_blessing=by_id["Evaluator"].outputs["blessing"],
            signature="float_pixels",
            inputs_fn="pipelines.digits.features.signature_inputs",
            output="probabilities",
            integer_inputs="uint8",
            custom_config={"code": source_digest("pipelines.digits.features")},
        )
        nodes.append(exporter)
    return assemble(PROJECT, paths, settings, nodes)
