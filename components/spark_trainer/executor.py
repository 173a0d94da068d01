"""The executor under TFX's Trainer that has `run_fn` run by several workers at once, on a Spark cluster.

Each worker is a process that runs the same `run_fn` under TensorFlow's MultiWorkerMirroredStrategy: every step's
gradients are averaged over all. The first worker writes the model and its logs where the Trainer's artifacts are, the
others aside. HOME has to lie on storage that all machines see, at the same path; so do Python and the code.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from absl import logging
from tfx import types
from tfx.components.trainer.executor import GenericExecutor

from bridges.errors import BridgeError
from bridges.spark import driver
from bridges.spark import training as barrier
from pipelines.base import whole
from pipelines.base.errors import ProjectError

# Flags of the executor: the master's address, and how many workers.
MASTER_FLAG, WORKERS_FLAG = "--spark_master=", "--spark_workers="
RUN_FN = "run_fn"
LOG_LINES = 60
# What of TFX's FnArgs a worker is told; the rest holds functions.
TOLD = (
    "working_dir",
    "train_files",
    "eval_files",
    "train_steps",
    "eval_steps",
    "schema_path",
    "schema_file",
    "transform_graph_path",
    "transform_output",
    "serving_model_dir",
    "eval_model_dir",
    "model_run_dir",
    "base_model",
    "hyperparameters",
    "custom_config",
)


def spark_flags(master: str, workers: int) -> list[str]:
    """What the executor is told; like every flag a part of the node's cache key."""
    return [f"{MASTER_FLAG}{master}", f"{WORKERS_FLAG}{workers}"]


class Executor(GenericExecutor):
    """TFX's `run_fn` contract, but for `data_accessor`, which no worker has. Raises ProjectError for what a worker
    was refused, and for a cluster that is not there or too small."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        fn_args = self._GetFnArgs(input_dict, output_dict, exec_properties)
        master, workers = self._flag(MASTER_FLAG), int(self._flag(WORKERS_FLAG))
        folder = Path(fn_args.model_run_dir).with_name(Path(fn_args.model_run_dir).name + "-workers")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        call = {
            RUN_FN: exec_properties[RUN_FN],
            "fn_args": {name: getattr(fn_args, name, None) for name in TOLD},
            "folder": str(folder),
        }
        whole.write(folder / "call.json", json.dumps(call))
        command = (sys.executable, "-u", "-m", "components.spark_trainer.worker", str(folder / "call.json"))
        plan = barrier.Plan(command, str(folder), os.environ.get(barrier.PROGRESS, ""))
        logging.info("Training on %s with %d workers; their logs: %s", master, workers, folder)
        try:
            driver.drive(master, workers, plan, logging.info)
            if not Path(fn_args.serving_model_dir).exists():
                raise ProjectError(f"{exec_properties[RUN_FN]} ended, but wrote no model.")
            _keep_logs(folder, Path(fn_args.model_run_dir))
        except BridgeError as error:
            _tell_logs(folder)
            raise ProjectError(str(error)) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _flag(self, name: str) -> str:
        return next(f.removeprefix(name) for f in self._extra_flags or () if f.startswith(name))


def _keep_logs(folder: Path, model_run: Path) -> None:
    """The workers' logs beside the training's own."""
    model_run.mkdir(parents=True, exist_ok=True)
    for log in folder.glob("attempt-*/worker-*.log"):
        shutil.copyfile(log, model_run / f"{log.parent.name}-{log.name}")


def _tell_logs(folder: Path) -> None:
    """The ends of the workers' logs, in the node's."""
    for log in sorted(folder.glob("attempt-*/worker-*.log")):
        lines = log.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
        logging.error("%s, %s:\n%s", log.parent.name, log.stem, "\n".join(lines))
