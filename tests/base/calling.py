"""What tests have called in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pipelines.base.errors import ProjectError
from pipelines.base.paths import Paths
from pipelines.base.run_folder import alone


def answer(**kwargs: Any) -> dict[str, Any]:
    print("one {")
    print("two", file=sys.stderr)
    return kwargs


def fail(cause: str) -> None:
    raise ValueError(cause)


def end(code: int) -> None:
    sys.stdout.flush()
    os._exit(code)


def kill() -> None:
    os.kill(os.getpid(), 9)


def sleep_with_a_child(told: str) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    child = subprocess.Popen(sleep, start_new_session=True)
    Path(f"{told}.tmp").write_text(f"{os.getpid()} {child.pid}")
    os.replace(f"{told}.tmp", told)
    time.sleep(60)


def hold_the_turn(home: str) -> None:
    with alone(Paths.of("p", home), "mark", lambda: None):
        print("held", flush=True)
        time.sleep(60)


def refuse(cause: str, *, wrapped: bool) -> None:
    """Raises ProjectError, as it is or as a component's runner passes it on."""
    try:
        raise ProjectError(cause)
    except ProjectError as error:
        if not wrapped:
            raise
        raise RuntimeError("while running a step") from error


def surroundings() -> dict[str, Any]:
    """What a node's code finds: its interpreter and its environment."""
    return {"python": sys.executable, "environment": dict(os.environ)}
