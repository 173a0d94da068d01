"""sentiment's pipeline: sentences from a function of rows.py, the spine, and the export for browsers if asked for."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.project import Settings
from pipelines.base.spine import assemble, input_base, input_config, range_config, spine
from pipelines.sentiment import features
from pipelines.sentiment.model import KERAS_FILE
from pipelines.sentiment.project import PROJECT
from pipelines.sentiment.rows import SPLITS

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """The fit sees `train`, the choice of the epoch `tune`, the Evaluator `eval`."""
    from components.function_example_gen.component import FunctionExampleGen
    from components.report_gen.component import ReportGen

    example_gen = FunctionExampleGen(
        input_base=input_base(paths, settings),
        input_config=input_config(paths, settings, "*.txt"),
        function="pipelines.sentiment.rows.read_rows",
        code=source_digest("pipelines.sentiment.rows"),
        splits=SPLITS,
        range_config=range_config(settings),
    )
    nodes = spine(PROJECT, paths, settings, example_gen, tune_split="tune")
    by_id = {node.id: node for node in nodes}
    report_gen = ReportGen(
        report_fn="pipelines.sentiment.report.report",
        model=by_id["Trainer"].outputs["model"],
        examples=example_gen.outputs["examples"],
        model_run=by_id["Trainer"].outputs["model_run"],
        custom_config={"code": source_digest("pipelines.sentiment.report")},
    )
    nodes = [*nodes, report_gen]
    if settings.parameters["tfjs"]:
        nodes.append(_browser_export(paths, by_id))
    return assemble(PROJECT, paths, settings, nodes)


def _browser_export(paths: Paths, by_id: dict[str, Any]) -> Any:
    """The blessed model as the page of web/, with the vocabulary and the tokenisation's rules beside it."""
    from components.tfjs_exporter.component import TfjsExporter

    return TfjsExporter(
        model_run=by_id["Trainer"].outputs["model_run"],
        keras_file=KERAS_FILE,
        page="pipelines/sentiment/web",
        environment=str(paths.home / "tfjs-venv"),
        code=_digest_of(paths.source / "web"),
        transform_graph=by_id["Transform"].outputs["transform_graph"],
        model_blessing=by_id["Evaluator"].outputs["blessing"],
        vocabularies={"words": features.VOCABULARY},
        assets=features.page_settings(),
    )


def _digest_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
