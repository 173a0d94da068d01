"""The straight way through an evaluation: models, rows, metrics, files. In one process, without Beam."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_model_analysis.proto import config_pb2

from components.evaluator import predicting
from components.evaluator.measuring import computing
from components.evaluator.measuring.computing import Measurement
from components.evaluator.measuring.rows import Rows

Load = Callable[[str, config_pb2.ModelSpec], Any]


def evaluate(
    files: Sequence[str],
    models: Mapping[str, str],
    config: config_pb2.EvalConfig,
    schema: schema_pb2.Schema | None,
    load: Load = predicting.load,
) -> tuple[Rows, Measurement]:
    """The rows of `files` asked of `models` (paths by the names in `config`, which has its defaults), and measured.

    Raises NotProven before anything is read where only TFMA's Beam path is known to do it, as far as that can be told.
    """
    computing.computations(config)
    several = len(config.model_specs) > 1
    asked = [
        predicting.Asked(spec.name if several else "", load(models[spec.name], spec), spec)
        for spec in config.model_specs
    ]
    rows = predicting.ask(files, asked, config, schema)
    return rows, computing.measure(rows, config)
