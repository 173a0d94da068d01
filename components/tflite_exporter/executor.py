"""The work of TFLiteExporter: read rows, convert twice, compare, write the files and the figures."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tfx import types
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components import progress
from components.tflite_exporter import conversion
from components.tflite_exporter.parity import Limits, Parity, ParityError, measure
from components.user_code import import_function
from pipelines.base import whole

INPUTS_FN_KEY, OPTIONS_KEY, CUSTOM_CONFIG_KEY = "inputs_fn", "options", "custom_config"
MODEL_KEY, EXAMPLES_KEY, BLESSING_KEY, TFLITE_KEY = "model", "examples", "model_blessing", "tflite_model"
INTEGER_INPUTS = ("int8", "uint8", "float32")
FLOAT_FILE, INT8_FILE, PARITY_FILE = "float.tflite", "int8.tflite", "parity.json"
STEPS = 4


@dataclass(frozen=True)
class Options:
    """The exporter's settings as they travel in the execution property `options`."""

    output: str
    signature: str
    calibration_split: str
    calibration_rows: int
    evaluation_split: str
    evaluation_rows: int
    integer_inputs: str
    limits: Limits

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Options:
        values = json.loads(text)
        return cls(**{**values, "limits": Limits(**values["limits"])})


class Executor(base_executor.BaseExecutor):
    """Idempotent: the same inputs give the same files."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises ParityError with every limit that was not kept; parity.json is there to be read then too."""
        artifact = artifact_utils.get_single_instance(output_dict[TFLITE_KEY])
        folder = Path(artifact.uri)
        folder.mkdir(parents=True, exist_ok=True)
        blessing = input_dict.get(BLESSING_KEY)
        if blessing and not model_utils.is_model_blessed(blessing[0]):
            logging.info("The model was not blessed; nothing is exported.")
            artifact.set_int_custom_property("exported", 0)
            return
        options = Options.from_json(exec_properties[OPTIONS_KEY])
        model = artifact_utils.get_single_instance(input_dict[MODEL_KEY])
        saved_model = Path(path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model)))
        examples = artifact_utils.get_single_instance(input_dict[EXAMPLES_KEY])
        parity = export(
            saved_model,
            lambda split: artifact_utils.get_split_uri([examples], split),
            import_function(exec_properties[INPUTS_FN_KEY]),
            options,
            folder,
        )
        for name, value in parity.figures().items():
            if isinstance(value, int):
                artifact.set_int_custom_property(name, value)
            else:
                artifact.set_float_custom_property(name, value)
        artifact.set_int_custom_property("exported", 1)
        lost = parity.losses(options.limits)
        if lost:
            raise ParityError(f"TFLiteExporter: {'; '.join(lost)}. See {folder / PARITY_FILE}.")


def export(
    saved_model: Path,
    split_uri: Callable[[str], str],
    inputs_fn: Callable[[np.ndarray], Any],
    options: Options,
    folder: Path,
) -> Parity:
    """Writes both files and parity.json to `folder` and returns the comparison, good or bad."""
    progress.report(0, STEPS, "steps", force=True)
    calibration, _ = inputs_fn(read_rows(split_uri(options.calibration_split), options.calibration_rows))
    inputs, labels = inputs_fn(read_rows(split_uri(options.evaluation_split), options.evaluation_rows))
    as_float = conversion.to_float(saved_model, options.signature)
    progress.report(1, STEPS, "steps", force=True)
    as_int8 = conversion.to_int8(saved_model, options.signature, calibration, options.integer_inputs)
    progress.report(2, STEPS, "steps", force=True)
    original = conversion.run_original(saved_model, options.signature, inputs, options.output)
    progress.report(3, STEPS, "steps", force=True)
    of_float = conversion.run(as_float, inputs, options.output, options.signature)
    of_int8 = conversion.run(as_int8, inputs, options.output, options.signature)
    parity = measure(np.asarray(labels).ravel(), original, of_float, of_int8, len(as_float), len(as_int8))
    for name, content in ((FLOAT_FILE, as_float), (INT8_FILE, as_int8)):
        whole.write(folder / name, content)
    whole.write(folder / PARITY_FILE, json.dumps(parity.figures(), indent=1))
    progress.report(STEPS, STEPS, "steps", force=True)
    return parity


def read_rows(folder: str, count: int) -> np.ndarray:
    """The first `count` serialized tf.Examples of a split's gz TFRecord files, as an object array."""
    import tensorflow as tf

    files = sorted(str(path) for path in Path(folder).iterdir() if path.is_file())
    rows = tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()
    first = list(itertools.islice(rows, count))
    if not first:
        raise ValueError(
            f"TFLiteExporter: {folder} holds no rows; the exporter needs some to calibrate and compare."
        )
    return np.array(first, dtype=object)
