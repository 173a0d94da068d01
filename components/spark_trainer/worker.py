"""One worker of a distributed training: `python -m components.spark_trainer.worker CALL.json`, with TF_CONFIG set.

Runs the call's `run_fn` inside the strategy's scope, so that a project's code needs no word about it. Its exit code is
0 when the model is trained; 1 otherwise, after writing `refused.json` where beginning again would be of no use.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from bridges.spark.training import REFUSED
from pipelines.base import whole
from pipelines.base.forkserver import containment
from pipelines.base.ir import describe
from pipelines.base.training import CHECKPOINTS

LOST = ("UnavailableError", "AbortedError", "CancelledError", "DeadlineExceededError", "InternalError")


def main() -> int:
    call = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    cluster = json.loads(os.environ["TF_CONFIG"])
    rank = int(cluster["task"]["index"])
    containment.die_with_parent()
    try:
        _train(call, rank)
    except BaseException as error:
        traceback.print_exc()
        if type(error).__name__ not in LOST and not isinstance(error, KeyboardInterrupt | SystemExit):
            _refuse(call, error)
        return 1
    return 0


def _train(call: dict[str, Any], rank: int) -> None:
    import tensorflow as tf
    from tfx.components.trainer.fn_args_utils import FnArgs

    options = tf.distribute.experimental.CommunicationOptions(
        implementation=tf.distribute.experimental.CommunicationImplementation.RING
    )
    # Before any op: the cluster's collective operations are set up once, when the program starts.
    strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    fn_args = FnArgs(**call["fn_args"])
    os.environ[CHECKPOINTS] = str(Path(fn_args.serving_model_dir).parents[2])
    if rank:
        aside = Path(call["folder"]) / f"worker-{rank}"
        fn_args.serving_model_dir = str(aside / "model" / "Format-Serving")
        fn_args.model_run_dir = str(aside / "run")
    module, _, function = call["run_fn"].rpartition(".")
    with strategy.scope():
        getattr(importlib.import_module(module), function)(fn_args)


def _refuse(call: dict[str, Any], error: BaseException) -> None:
    folder = max(Path(call["folder"]).glob("attempt-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    whole.write(folder / REFUSED, json.dumps({"text": describe(error)}))


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main())
