"""speech_commands' pipeline: recordings through the project's reader, the spine, a report; int8 for small boards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from pipelines.base.spine import assemble, raw, report, spine, tflite
from pipelines.speech_commands.project import PROJECT
from pipelines.speech_commands.rows import SPLITS

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """The fit sees `train`, its curves `tune`, the Evaluator `eval`; who is in which says rows.py."""
    from components.function_example_gen.component import FunctionExampleGen
    from components.tflite_exporter.parity import Limits

    example_gen = FunctionExampleGen(
        **raw(paths, settings, "**/*"),
        function="pipelines.speech_commands.rows.read_rows",
        code=source_digest("pipelines.speech_commands.rows"),
        splits=SPLITS,
        options={key: settings.parameters[key] for key in ("left_out", "held_out")},
    )
    nodes = spine(PROJECT, paths, settings, example_gen, tune_split="tune")
    beside = [report(PROJECT, settings, nodes)]
    if settings.variant == "tiny_conv":
        # From spectra on: TensorFlow Lite's integers have no Fourier transform, a board's own front end has.
        exporter = tflite(
            PROJECT,
            nodes,
            "exporter_inputs",
            signature="log_mel",
            output="probabilities",
            calibration_rows=1_500,
            # Of the few hundred judged rows one is a quarter of a point; the exporter's 0.3 points would be one row.
            limits=Limits(accuracy_loss=0.01),
        )
        beside.append(exporter)
    return assemble(PROJECT, paths, settings, [*nodes, *beside])
