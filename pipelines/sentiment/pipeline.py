"""sentiment's pipeline: sentences from a function of rows.py, the spine, and the export for browsers if asked for."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from pipelines.base.spine import Spine, assemble, raw, report, spine
from pipelines.sentiment import features
from pipelines.sentiment.model import KERAS_FILE
from pipelines.sentiment.project import PROJECT
from pipelines.sentiment.rows import SPLITS

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """The fit sees `train`, what is chosen (penalty, epoch, scale) `tune`, the Evaluator `eval`."""
    from components.function_example_gen.component import FunctionExampleGen

    example_gen = FunctionExampleGen(
        **raw(paths, settings, "*.txt"),
        function="pipelines.sentiment.rows.read_rows",
        code=source_digest("pipelines.sentiment.rows"),
        splits=SPLITS,
    )
    nodes = spine(PROJECT, paths, settings, example_gen, tune_split="tune")
    beside = [report(PROJECT, settings, nodes)]
    if settings.parameters["tfjs"]:
        beside.append(_browser_export(paths, nodes))
    return assemble(PROJECT, paths, settings, [*nodes, *beside])


def _browser_export(paths: Paths, nodes: Spine) -> Any:
    """The blessed model as the page of web/, with the vocabulary and the tokenisation's rules beside it."""
    from components.tfjs_exporter.component import TfjsExporter

    return TfjsExporter(
        model_run=nodes.trainer.outputs["model_run"],
        keras_file=KERAS_FILE,
        page="pipelines/sentiment/web",
        environment=str(paths.home / "tfjs-venv"),
        code=_digest_of(paths.source / "web"),
        transform_graph=nodes.transform.outputs["transform_graph"],
        model_blessing=nodes.evaluator.outputs["blessing"],
        vocabularies={"words": features.VOCABULARY},
        assets=features.page_settings(),
    )


def _digest_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
