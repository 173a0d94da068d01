"""The work of FunctionEvaluator: measures candidate and baseline on the same data, writes evaluation and blessing.

The artifacts are those of TFX's Evaluator, property by property, so that nothing downstream can tell them apart.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, path_utils

from components.function_evaluator import results
from components.function_evaluator.measuring import Given, Measure, Measured
from components.function_example_gen.executor import import_function

FUNCTION_KEY = "function"
BARS_KEY = "bars"
SLICES_KEY = "slices"
PARAMETERS_KEY = "parameters"
CODE_KEY = "code"
TRANSFORM_GRAPH_KEY = standard_component_specs.TRANSFORM_GRAPH_KEY
# Why there is no comparison with the last blessed model although there is one.
NO_COMPARISON = "viaduct_no_comparison"


class Executor(base_executor.BaseExecutor):
    """Calls the function once for the candidate and once for the last blessed model, if there is one."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises what the function raises for the candidate, and MeasureError for a result without its bars.

        A blessed model that the function cannot measure (an older signature, say) is named in a warning and in the
        evaluation's property `viaduct_no_comparison`; the absolute bars still count.
        """
        evaluation = artifact_utils.get_single_instance(output_dict[standard_component_specs.EVALUATION_KEY])
        blessing = artifact_utils.get_single_instance(output_dict[standard_component_specs.BLESSING_KEY])
        model = artifact_utils.get_single_instance(input_dict[standard_component_specs.MODEL_KEY])
        last = next(iter(input_dict.get(standard_component_specs.BASELINE_MODEL_KEY) or []), None)
        measure: Measure = import_function(exec_properties[FUNCTION_KEY])
        given = _given(input_dict, exec_properties, model)
        candidate = measure(given)
        baseline = None if last is None else self._measure_last(measure, given, last, evaluation)
        config = results.eval_config(
            json.loads(exec_properties[BARS_KEY]), json.loads(exec_properties[SLICES_KEY])
        )
        locations = {results.CANDIDATE if baseline else "": str(given.model)}
        if last is not None and baseline:
            locations[results.BASELINE] = str(_saved_model(last))
        os.makedirs(evaluation.uri, exist_ok=True)
        validation = results.write(
            Path(evaluation.uri), config, candidate, baseline, locations, ",".join(given.files)
        )
        for name, value in sorted(candidate[()].items()):
            logging.info("%s = %.6g", name, value)
        _bless(blessing, validation.validation_ok, model, last)

    def _measure_last(
        self, measure: Measure, given: Given, last: types.Artifact, evaluation: types.Artifact
    ) -> Measured | None:
        try:
            measured = measure(replace(given, model=_saved_model(last)))
        except Exception as error:
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            logging.warning("No comparison with the last blessed model %s: %s", last.uri, reason)
            evaluation.set_string_custom_property(NO_COMPARISON, reason)
            return None
        return {key: _finite(metrics) for key, metrics in measured.items()}


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _saved_model(artifact: types.Artifact) -> Path:
    return Path(path_utils.serving_model_path(artifact.uri, path_utils.is_old_model_artifact(artifact)))


def _given(
    input_dict: dict[str, list[types.Artifact]], exec_properties: dict[str, Any], model: types.Artifact
) -> Given:
    examples = artifact_utils.get_single_instance(input_dict[standard_component_specs.EXAMPLES_KEY])
    files = {
        split: [str(p) for p in sorted(Path(artifact_utils.get_split_uri([examples], split)).glob("*.gz"))]
        for split in artifact_utils.decode_split_names(examples.split_names)
    }
    splits = tuple(json.loads(exec_properties[standard_component_specs.EXAMPLE_SPLITS_KEY]))
    unknown = [split for split in splits if split not in files]
    if unknown:
        raise ValueError(f"Evaluator: no split {unknown[0]!r}; the examples have {sorted(files)}.")
    graph = input_dict.get(TRANSFORM_GRAPH_KEY)
    return Given(
        model=_saved_model(model),
        examples=files,
        splits=splits,
        transform_graph=Path(graph[0].uri) if graph else None,
        parameters=json.loads(exec_properties.get(PARAMETERS_KEY) or "{}"),
    )


def _bless(
    blessing: types.Artifact, blessed: bool, model: types.Artifact, last: types.Artifact | None
) -> None:
    """The properties and the file that Pusher, resolver and lineage look for."""
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    if last is not None:
        blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY, last.uri)
        blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, last.id)
    name = constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME
    io_utils.write_string_file(os.path.join(blessing.uri, name), "")
    value = constants.BLESSED_VALUE if blessed else constants.NOT_BLESSED_VALUE
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, value)
