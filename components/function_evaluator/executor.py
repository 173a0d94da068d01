"""The node FunctionEvaluator: calls `evaluating.evaluate` on what the node was given, here or on a Beam worker.

The artifacts are those of TFX's Evaluator, property by property, so that nothing downstream can tell them apart.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import path_utils

from components import engine
from components.confidence.blessing import bless
from components.function_evaluator.evaluating import evaluate
from components.shards import folder_aside

FUNCTION_KEY = "function"
BARS_KEY = "bars"
SLICES_KEY = "slices"
SLICE_ROWS_KEY = "slice_rows"
PARAMETERS_KEY = "parameters"
CODE_KEY = "code"
TRANSFORM_GRAPH_KEY = standard_component_specs.TRANSFORM_GRAPH_KEY
# Why there is no comparison with the last blessed model although there is one.
NO_COMPARISON = "viaduct_no_comparison"


class Executor(base_beam_executor.BaseBeamExecutor):
    """Where a Beam runner is named, one of its workers calls the function and writes the evaluation."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises what `evaluating.evaluate` raises; on a worker, WorkerError with the text of what it tells people.

        A blessed model that the function cannot measure (an older signature, say) is named in a warning and in the
        evaluation's property `viaduct_no_comparison`; the absolute bars still count.
        """
        evaluation = artifact_utils.get_single_instance(output_dict[standard_component_specs.EVALUATION_KEY])
        blessing = artifact_utils.get_single_instance(output_dict[standard_component_specs.BLESSING_KEY])
        model = artifact_utils.get_single_instance(input_dict[standard_component_specs.MODEL_KEY])
        last = next(iter(input_dict.get(standard_component_specs.BASELINE_MODEL_KEY) or []), None)
        arguments = {
            "function": exec_properties[FUNCTION_KEY],
            "given": _given(input_dict, exec_properties, model),
            "last": None if last is None else _saved_model(last),
            "bars": json.loads(exec_properties[BARS_KEY]),
            "slices": json.loads(exec_properties[SLICES_KEY]),
            "slice_rows": int(exec_properties.get(SLICE_ROWS_KEY) or 0),
            "folder": evaluation.uri,
        }
        choice = engine.choose(self._beam_pipeline_args)
        choice.note("FunctionEvaluator", [evaluation])
        if choice.is_beam:
            with folder_aside(evaluation.uri) as folder:
                told = engine.on_worker(self._make_beam_pipeline, folder, evaluate, **arguments)
        else:
            told = evaluate(**arguments)
        if told["no_comparison"]:
            logging.warning("No comparison with the last blessed model: %s", told["no_comparison"])
            evaluation.set_string_custom_property(NO_COMPARISON, told["no_comparison"])
        bless(blessing, told["blessed"], model, last)


def _saved_model(artifact: types.Artifact) -> str:
    return str(path_utils.serving_model_path(artifact.uri, path_utils.is_old_model_artifact(artifact)))


def _given(
    input_dict: dict[str, list[types.Artifact]], exec_properties: dict[str, Any], model: types.Artifact
) -> dict[str, Any]:
    """The fields of a `Given` as JSON has them."""
    examples = artifact_utils.get_single_instance(input_dict[standard_component_specs.EXAMPLES_KEY])
    files = {
        split: [str(p) for p in sorted(Path(artifact_utils.get_split_uri([examples], split)).glob("*.gz"))]
        for split in artifact_utils.decode_split_names(examples.split_names)
    }
    splits = json.loads(exec_properties[standard_component_specs.EXAMPLE_SPLITS_KEY])
    unknown = [split for split in splits if split not in files]
    if unknown:
        raise ValueError(f"Evaluator: no split {unknown[0]!r}; the examples have {sorted(files)}.")
    graph = input_dict.get(TRANSFORM_GRAPH_KEY)
    return {
        "model": _saved_model(model),
        "examples": files,
        "splits": splits,
        "transform_graph": graph[0].uri if graph else None,
        "parameters": json.loads(exec_properties.get(PARAMETERS_KEY) or "{}"),
    }
