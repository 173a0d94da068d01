"""The work of Tuner: gathers what trials need, calls the function that searches, keeps what it chose and found.

Both artifacts say for which served name, variant and profile the parameters were found, by which metric and how well.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, json_utils

from components.tuner import drawing
from components.user_code import import_function
from pipelines.base import data_state, whole

TUNE_FN_KEY, TASK_KEY, CUSTOM_CONFIG_KEY = "tune_fn", "task", "custom_config"
EXAMPLES_KEY, RAW_KEY = "examples", "raw_examples"
TRANSFORM_GRAPH_KEY, SCHEMA_KEY = "transform_graph", "schema"
BEST_KEY, RESULTS_KEY = "best_hyperparameters", "tuner_results"
# As TFX's Tuner calls it: its Trainer reads the only file of that artifact.
BEST_FILE, RESULTS_FILE, PICTURE = "best_hyperparameters.txt", "results.json", "tuning.png"
# Of the results, in the artifacts' custom properties.
TOLD = ("served", "variant", "profile", "metric")


class Executor(base_executor.BaseExecutor):
    """Runs the function in this process; an exception of the function fails the node."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises what the function raises, ImportError for a wrong path."""
        best = artifact_utils.get_single_instance(output_dict[BEST_KEY])
        kept = artifact_utils.get_single_instance(output_dict[RESULTS_KEY])
        results = import_function(exec_properties[TUNE_FN_KEY])(gather(input_dict, exec_properties))
        chosen = results["chosen"]
        for folder in (best.uri, kept.uri):
            Path(folder).mkdir(parents=True, exist_ok=True)
        whole.write(Path(best.uri, BEST_FILE), json.dumps(chosen["parameters"], indent=1, sort_keys=True))
        drawing.draw(results, Path(kept.uri, PICTURE))
        whole.write(Path(kept.uri, RESULTS_FILE), json.dumps(results, indent=1))
        for artifact in (best, kept):
            for name in TOLD:
                artifact.set_string_custom_property(name, str(results[name]))
            artifact.set_float_custom_property("mean", chosen["mean"])
            artifact.set_float_custom_property("error", chosen["error"])
            artifact.set_int_custom_property("trials", len(results["trials"]))
            artifact.set_string_custom_property("results", kept.uri)


def gather(input_dict: dict[str, list[types.Artifact]], exec_properties: dict[str, Any]) -> dict[str, Any]:
    """The task and, as JSON has it: `inputs` (the Trainer's, for TFX's json_utils), `raw` (files of each split but the
    Evaluator's), `schema`, `transform_graph`, `custom_config`, `code` (the task's, or the config's), `home`, and
    `data`, the digest of the examples."""
    task = json.loads(exec_properties[TASK_KEY])
    config = json.loads(exec_properties[CUSTOM_CONFIG_KEY])
    splits = [*task["train_splits"], *task["tune_splits"]]
    raw = _files(input_dict[RAW_KEY], splits)
    files = {f"raw/{s}/{Path(f).name}": f for s, found in raw.items() for f in found}
    transformed = _files(input_dict[EXAMPLES_KEY], splits)
    files |= {f"transformed/{s}/{Path(f).name}": f for s, found in transformed.items() for f in found}
    return {
        "code": config.get("code", ""),
        **task,
        "inputs": json_utils.dumps(
            {k: input_dict[k] for k in (EXAMPLES_KEY, TRANSFORM_GRAPH_KEY, SCHEMA_KEY)}
        ),
        "raw": raw,
        "schema": io_utils.get_only_uri_in_dir(artifact_utils.get_single_uri(input_dict[SCHEMA_KEY])),
        "transform_graph": artifact_utils.get_single_uri(input_dict[TRANSFORM_GRAPH_KEY]),
        "custom_config": config,
        "home": os.environ["VIADUCT_HOME"],
        "data": data_state.of_files(files, None),
    }


def _files(artifacts: list[types.Artifact], splits: list[str]) -> dict[str, list[str]]:
    examples = artifact_utils.get_single_instance(artifacts)
    return {
        split: [str(p) for p in sorted(Path(artifact_utils.get_split_uri([examples], split)).glob("*.gz"))]
        for split in splits
    }
