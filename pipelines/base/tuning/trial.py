"""One trial, in a process of its own: the project's run_fn with its parameters, then its metric on the tune split.

The model is thrown away; what stays in the trial's folder is its result, its steps and its log. A trial that was
killed goes on from its last checkpoint. The rows that the Evaluator judges by are not opened here.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.base import whole
from pipelines.base.errors import ProjectError
from pipelines.base.training import PARAMETERS_KEY
from pipelines.base.tuning import steps

RESULT, LOCK, WORK, SEED_KEY = "result.json", ".lock", "work", "seed"
COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"


def result_in(folder: Path) -> dict[str, Any]:
    """What the trial of `folder` came to; {} if it has not come to an end."""
    try:
        told: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        return told
    except (OSError, ValueError):
        return {}


def run(
    folder: str, given: dict[str, Any], parameters: dict[str, Any], watch: str, threads: int
) -> dict[str, Any]:
    """Trains and measures; returns and keeps {'state', 'value', 'seconds'}. Called by its import path.

    `given` is what the Tuner's executor gathered, `parameters` all that run_fn is given; `watch` is '' where the trial
    is not to be ended early. Raises what run_fn raises; ProjectError if the metric is no number.
    """
    place = Path(folder)
    with _alone(place):
        known = result_in(place)
        if known:
            return known
        started = time.time()
        limit_threads(threads)
        try:
            with steps.trial(place, watch):
                model = train(place / WORK, given, parameters)
            told = {"state": COMPLETE, "value": measure(model, given, parameters)}
        except steps.Pruned:
            told = {"state": PRUNED, "value": None}
        told["seconds"] = round(time.time() - started, 2)
        shutil.rmtree(place / WORK, ignore_errors=True)
        whole.write(place / RESULT, json.dumps(told))
        return told


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits for a process that was told to end and still works in `folder`."""
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def limit_threads(threads: int) -> None:
    """Trials side by side share the cores. Without effect once TensorFlow has run an operation."""
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def train(work: Path, given: Mapping[str, Any], parameters: Mapping[str, Any]) -> Path:
    """Calls run_fn as TFX's Trainer does; returns the folder of the SavedModel that it exported."""
    from tfx.components.trainer import fn_args_utils
    from tfx.utils import json_utils

    from components.user_code import import_function

    config = {**given["custom_config"], PARAMETERS_KEY: dict(parameters)}
    properties = {
        "train_args": json.dumps({"splits": given["train_splits"]}),
        "eval_args": json.dumps({"splits": given["tune_splits"]}),
        "custom_config": json_utils.dumps(config),
    }
    fn_args = fn_args_utils.get_common_fn_args(json_utils.loads(given["inputs"]), properties)
    # As deep as a Model artifact: what training keeps beside that folder stays within the trial's.
    model = work / "model" / "trial" / "Format-Serving"
    fn_args.transform_output, fn_args.schema_file = fn_args.transform_graph_path, fn_args.schema_path
    fn_args.serving_model_dir, fn_args.eval_model_dir = str(model), str(model.with_name("Format-TFMA"))
    fn_args.model_run_dir = str(work / "model_run")
    import_function(given["run_fn"])(fn_args)
    if not model.exists():
        raise ProjectError(f"{given['run_fn']} exported no model to fn_args.serving_model_dir.")
    return model


def measure(model: Path, given: Mapping[str, Any], parameters: Mapping[str, Any]) -> float:
    """The search's metric of a SavedModel on the raw rows of the tune split."""
    metric = given["search"]["metric"]
    found = _of_function(model, given, parameters) if given["function"] else _of_rows(model, given)
    if metric not in found:
        raise ProjectError(f"The search's metric {metric!r} was not measured; there are {sorted(found)}.")
    if not math.isfinite(found[metric]):
        raise ProjectError(f"The search's metric {metric!r} is {found[metric]} on the tune split.")
    return found[metric]


def _of_rows(model: Path, given: Mapping[str, Any]) -> dict[str, float]:
    """TFMA's metrics, as the Evaluator measures them in process."""
    import numpy as np
    import tensorflow_model_analysis as tfma
    from tfx.utils import io_utils, proto_utils

    from components.evaluator import straight

    config = tfma.EvalConfig()
    proto_utils.json_to_proto(given["evaluation"], config)
    config = tfma.utils.update_eval_config_with_defaults(config, has_baseline=False)
    schema = io_utils.SchemaReader().read(given["schema"])
    files = [file for split in given["tune_splits"] for file in given["raw"][split]]
    _, measured = straight.evaluate(files, {config.model_specs[0].name: str(model)}, config, schema)
    numbers = {
        key.name: np.asarray(value) for key, value in measured.slices[()].items() if hasattr(key, "name")
    }
    return {
        name: float(value) for name, value in numbers.items() if value.ndim == 0 and value.dtype.kind in "fiu"
    }


def _of_function(model: Path, given: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, float]:
    """What the project's own evaluation function says; it is given no split but those of the training."""
    from components.function_evaluator import sampling
    from components.function_evaluator.measuring import Given
    from components.user_code import import_function

    splits = tuple(given["tune_splits"])
    asked = Given(model, given["raw"], splits, Path(given["transform_graph"]), dict(parameters))
    told = import_function(given["function"])(asked)
    measured = told.measure(_ones(told.units)) if isinstance(told, sampling.Sampled) else told
    return {name: float(value) for name, value in measured[()].items()}


def _ones(units: int) -> Any:
    import numpy as np

    return np.ones(units, np.int64)
