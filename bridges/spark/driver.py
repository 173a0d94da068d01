"""`python -m bridges.spark.driver TASK.json`: the driver of a distributed training, in a process of its own.

Spark's driver forks its JVM with Python's own fork, which ends badly now and then in a process where gRPC has threads,
as in every process that has imported TFX. What the driver has to say is printed; an error for people is `error.json`
beside the task.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bridges.errors import BridgeError
from bridges.spark import training
from pipelines.base import whole

ERROR = "error.json"


def drive(master: str, workers: int, plan: training.Plan, say: Callable[[str], None]) -> None:
    """`training.train` in a process of its own; `say` is given its lines. Raises BridgeError."""
    folder = Path(plan.folder)
    task = folder / "task.json"
    whole.write(task, json.dumps({"master": master, "workers": workers, "plan": dataclasses.asdict(plan)}))
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "bridges.spark.driver", str(task)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            say(line.rstrip())
    if process.returncode:
        raise BridgeError(
            _error(folder) or f"Spark's driver ended with {process.returncode}; the log has its last lines."
        )


def _error(folder: Path) -> str:
    try:
        return str(json.loads((folder / ERROR).read_text(encoding="utf-8"))["text"])
    except (OSError, ValueError, KeyError):
        return ""


def main() -> int:
    file = Path(sys.argv[1])
    task = json.loads(file.read_text(encoding="utf-8"))
    plan = training.Plan(**{**task["plan"], "command": tuple(task["plan"]["command"])})
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    try:
        attempts = training.train(task["master"], task["workers"], plan, print)
    except BridgeError as error:
        whole.write(file.with_name(ERROR), json.dumps({"text": str(error)}))
        return 1
    print(f"{task['workers']} workers trained the model; their stage began {attempts} times.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
