"""digits' pipeline: idx files through the image ExampleGen, the spine, a report and an export for phones."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from pipelines.base.spine import assemble, raw, report, spine
from pipelines.digits import archive
from pipelines.digits.project import PROJECT

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """Training images are MNIST's train-*, one in ten of them kept for `tune`; the judge's are its t10k-*.

    Nothing is shuffled between the two.
    """
    from components.image_example_gen.component import ImageExampleGen, idx_splits
    from components.tflite_exporter.component import TFLiteExporter

    given = raw(paths, dataclasses.replace(settings, data=archive.folder_of(paths, settings.data)))
    # Where base finds spans, their pattern goes before MNIST's file names.
    prefix = given["input_config"].splits[0].pattern.removesuffix("*")
    example_gen = ImageExampleGen(
        **{**given, "input_config": idx_splits(prefix)}, encoding="raw", tune_one_in=10
    )
    nodes = spine(PROJECT, paths, settings, example_gen, tune_split="tune")
    beside = [report(PROJECT, settings, nodes)]
    if settings.variant == "cnn":
        # A blessed network, as TensorFlow Lite in float and in integers that take pixels as they are.
        exporter = TFLiteExporter(
            model=nodes.trainer.outputs["model"],
            examples=example_gen.outputs["examples"],
            model_blessing=nodes.evaluator.outputs["blessing"],
            signature="float_pixels",
            inputs_fn="pipelines.digits.features.signature_inputs",
            output="probabilities",
            integer_inputs="uint8",
            custom_config={"code": source_digest("pipelines.digits.features")},
        )
        beside.append(exporter)
    return assemble(PROJECT, paths, settings, [*nodes, *beside])
