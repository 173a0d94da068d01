"""digits' pipeline: idx files through the image ExampleGen, which keeps MNIST's own two splits, then the spine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.paths import Paths
from pipelines.base.project import Settings
from pipelines.base.spine import assemble, input_base, input_config, range_config, spine
from pipelines.digits.project import PROJECT

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """Training images are MNIST's train-*, the judge's are its t10k-*; nothing is shuffled between them."""
    from components.image_example_gen.component import ImageExampleGen, idx_splits

    # Where base finds spans, their pattern goes before MNIST's file names.
    prefix = input_config(paths, settings).splits[0].pattern.removesuffix("*")
    example_gen = ImageExampleGen(
        input_base=input_base(paths, settings),
        input_config=idx_splits(prefix),
        range_config=range_config(settings),
        encoding="raw",
    )
    return assemble(PROJECT, paths, settings, spine(PROJECT, paths, settings, example_gen))
