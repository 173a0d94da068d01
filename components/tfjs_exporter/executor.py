"""The work of TfjsExporter: finds the Keras file and the vocabularies, makes the environment, converts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.tfjs_exporter import conversion, environment

MODEL_RUN_KEY = "model_run"
TRANSFORM_GRAPH_KEY = "transform_graph"
BLESSING_KEY = "model_blessing"
TFJS_KEY = "tfjs_model"
OPTIONS_KEY = "options"
ENVIRONMENT_KEY = "environment"
CODE_KEY = "code"
# A folder of a user's own projects, whose pages go before the platform's.
WORKSPACE = "VIADUCT_WORKSPACE"


class Executor(base_executor.BaseExecutor):
    """Idempotent: the folder is made aside and renamed."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises FileNotFoundError without the Keras file, EnvironmentFailed if installing or converting fails."""
        from absl import logging

        output = artifact_utils.get_single_instance(output_dict[TFJS_KEY])
        blessings = input_dict.get(BLESSING_KEY) or []
        if blessings and not blessings[0].get_int_custom_property("blessed"):
            logging.info("The model is not blessed, so it is not exported.")
            output.set_int_custom_property("exported", 0)
            return
        options = json.loads(exec_properties[OPTIONS_KEY])
        keras_file = Path(artifact_utils.get_single_uri(input_dict[MODEL_RUN_KEY])) / options["keras_file"]
        if not keras_file.exists():
            there = sorted(path.name for path in keras_file.parent.glob("*"))
            raise FileNotFoundError(
                f"The Trainer left no {keras_file.name} in {keras_file.parent} (there: {there}); its run_fn should "
                "call model.save(fn_args.model_run_dir + '/keras.h5', save_format='h5')."
            )
        assets = {**options["assets"], **read_vocabularies(input_dict, options["vocabularies"])}
        venv = environment.ensure(environment.location(Path(exec_properties[ENVIRONMENT_KEY])), logging.info)
        places = [Path(os.environ.get(WORKSPACE) or environment.CHECKOUT), environment.CHECKOUT]
        page = next((p / options["page"] for p in places if (p / options["page"]).exists()), places[-1])
        files = conversion.export(keras_file, page, assets, venv, Path(output.uri))
        output.set_int_custom_property("exported", 1)
        output.set_string_custom_property("files", json.dumps(list(files)))


def read_vocabularies(
    input_dict: dict[str, list[types.Artifact]], names: dict[str, str]
) -> dict[str, list[str]]:
    """Words in order of their number, of each vocabulary file of Transform: {asset name: words}."""
    if not names:
        return {}
    import tensorflow_transform as tft

    output = tft.TFTransformOutput(artifact_utils.get_single_uri(input_dict[TRANSFORM_GRAPH_KEY]))
    return {
        asset: [word.decode("utf-8", "replace") for word in output.vocabulary_by_name(name)]
        for asset, name in names.items()
    }
