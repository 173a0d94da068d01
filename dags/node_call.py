"""One node's call from an Airflow task: through the warm host of this machine, or as a process of its own.

Both ways run in the background while the task streams the node's log, can be cancelled, and end in a summary or a
CallError. Standard library only; what Airflow makes of the outcome is node_operator.py's.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dags.run_folder import RunFolder
from pipelines.base import host_client
from pipelines.base.host_client import Call, CallError, Request
from pipelines.base.paths import CHECKOUT, Paths
from pipelines.base.project import ProjectError

POLL_S = 0.1
TERM_GRACE_S = 6.0
PROCESS_VARIABLE = "VIADUCT_NODE_PROCESS"


def use_host(executor: str) -> bool:
    """Whether tasks hand nodes to a warm host. VIADUCT_NODE_PROCESS (1 or 0) decides; else Celery's and Kubernetes'
    workers get processes, because a pod ends with its task and a Celery worker may not leave daemons behind."""
    chosen = os.environ.get(PROCESS_VARIABLE, "")
    if chosen:
        return chosen.lower() in ("0", "false", "no")
    return not any(name in executor for name in ("Celery", "Kubernetes"))


def warm_host(paths: Paths, say: Callable[[str], None]) -> None:
    """A host that answers. Started by a process in between, so that it is no child of the task and outlives it."""
    socket = host_client.socket_path(paths.home)
    if host_client.answers(socket):
        return
    say("No warm host yet: importing TFX, TensorFlow and Beam once (10-20 s).")
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "host", "start"],
        env=environment(paths),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    if done.returncode != 0:
        raise ProjectError(f"The warm host could not start: {done.stderr.strip() or done.stdout.strip()}")


def environment(paths: Paths) -> dict[str, str]:
    """The task's environment for child processes, with the checkout importable."""
    path = os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "VIADUCT_HOME": str(paths.home), "PYTHONPATH": path, "TF_USE_LEGACY_KERAS": "1"}


def request(run: RunFolder, name: str, function: str, kwargs: dict[str, Any]) -> Request:
    """A call whose log, progress and result lie in the run's folder."""
    env = {**environment(run.paths), "VIADUCT_PROGRESS": str(run.path / f"{name}.progress.json")}
    return Request(function, kwargs, run.log(name), run.path / f"{name}.result.json", env)


class NodeCall:
    """A started call. `follow` blocks and gives each new line of the log to `say`; `cancel` ends it."""

    def __init__(self, asked: Request, command: list[str] | None = None) -> None:
        """Through the host of the request's HOME; with `command`, as that process instead."""
        asked.result.unlink(missing_ok=True)
        asked.log.touch()
        self._read_from = asked.log.stat().st_size
        self._asked, self._outcome = asked, []  # type: ignore[var-annotated]
        self._call = (
            None if command else Call(host_client.socket_path(Path(asked.env["VIADUCT_HOME"])), asked)
        )
        self._process = _start(command, asked) if command else None
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        return self._call.pid if self._call else self._process.pid  # type: ignore[union-attr]

    def _wait(self) -> None:
        try:
            self._outcome.append((self._call.wait() if self._call else self._process_result(), None))
        except BaseException as error:
            self._outcome.append((None, error))

    def _process_result(self) -> Any:
        assert self._process is not None
        code = self._process.wait()
        with self._asked.log.open("r", encoding="utf-8", errors="replace") as log:
            log.seek(self._read_from)
            text = log.read()
        answer = last_json(text) if code == 0 else None
        if answer is not None:
            return answer
        causes = re.findall(r"^viaduct: (.+)$", text, re.MULTILINE)
        if causes and code > 0:
            raise CallError(causes[-1], self._asked.log, code)
        return host_client.read_result(self._asked, code or 1)

    def follow(self, say: Callable[[str], None]) -> Any:
        """The call's value once it ended; raises CallError. What it logged has been said by then."""
        with self._asked.log.open("r", encoding="utf-8", errors="replace") as log:
            log.seek(self._read_from)
            rest = ""
            while True:
                alive = self._thread.is_alive()
                rest = _say_lines(rest + log.read(), say)
                if not alive:
                    break
                self._thread.join(POLL_S)
            if rest:
                say(rest)
        value, error = self._outcome[0]
        if error is not None:
            raise error
        return value

    def cancel(self) -> None:
        """Ends the node: SIGTERM, then SIGKILL after a few seconds; returns when it has ended."""
        if self._call is not None:
            self._call.cancel()
        elif self._process is not None:
            _end_group(self._process)
        self._thread.join(TERM_GRACE_S + 2)


def last_json(text: str) -> Any:
    """The last JSON object in `text` that begins a line: the answer of `viaduct node` after all that was logged."""
    for found in reversed(list(re.finditer(r"^\{", text, re.MULTILINE))):
        with contextlib.suppress(ValueError):
            return json.JSONDecoder().raw_decode(text, found.start())[0]
    return None


def _say_lines(text: str, say: Callable[[str], None]) -> str:
    *whole, rest = text.split("\n")
    for line in whole:
        say(line)
    return rest


def _start(command: list[str], asked: Request) -> subprocess.Popen[bytes]:
    """`viaduct node ...`: its answer comes last in the log, after whatever the node printed."""
    with asked.log.open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=asked.env,
            cwd=CHECKOUT,
            start_new_session=True,
            preexec_fn=_die_with_task,
        )


def _die_with_task() -> None:
    from pipelines.base.host import die_with_parent

    die_with_parent()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM and a few seconds for the process, then SIGKILL for whatever its group still holds."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(TERM_GRACE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
