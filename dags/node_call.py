"""One node's call from an Airflow task: in a child of this machine's fork server, or in a process of its own.

The call runs in the background while the task streams the node's log, can be cancelled, and ends in a summary or a
CallError. Standard library only; what Airflow makes of the outcome is node_operator.py's.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from typing import Any

from pipelines.base import callers
from pipelines.base.callers import Caller
from pipelines.base.errors import ViaductError
from pipelines.base.forkserver import client as forkserver
from pipelines.base.paths import Paths, working_folder
from pipelines.base.run_folder import RunFolder

# How often the log is looked at; the end of a call is noticed at once.
POLL_S = 0.25
LARGEST_SAID = 1 << 15
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
    socket = forkserver.socket_path(paths.home)
    if forkserver.answers(socket):
        return
    say("No warm host yet: importing TFX, TensorFlow and Beam once (10-20 s).")
    done = subprocess.run(
        [forkserver.interpreter(), "-m", "pipelines", "host", "start"],
        env={**forkserver.environment(), "VIADUCT_HOME": str(paths.home)},
        cwd=working_folder(),
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    if done.returncode != 0:
        raise ViaductError(f"The warm host could not start: {done.stderr.strip() or done.stdout.strip()}")


def caller_of(run: RunFolder, with_host: bool) -> Caller:
    """Makes the calls of a task of `run`."""
    return Caller(run, callers.warm if with_host else callers.process)


class FollowedCall:
    """A call in a thread of its own. `follow` gives new lines of its log to `say`; `cancel` ends it.

    Lines that came together are one text: Airflow carries each through two processes, and a run writes thousands.
    """

    def __init__(
        self, caller: Caller, run: RunFolder, name: str, function: str, kwargs: dict[str, Any]
    ) -> None:
        run.make()
        self._caller, self._log = caller, run.log(name)
        self._log.touch()
        self._read_from = self._log.stat().st_size
        self._outcome: list[tuple[Any, BaseException | None]] = []
        self._thread = threading.Thread(target=self._wait, args=(name, function, kwargs), daemon=True)
        self._thread.start()

    def _wait(self, name: str, function: str, kwargs: dict[str, Any]) -> None:
        try:
            self._outcome.append((self._caller.call(name, function, kwargs), None))
        except BaseException as error:
            self._outcome.append((None, error))

    def follow(self, say: Callable[[str], None]) -> Any:
        """The call's value once it ended; raises CallError. What it logged has been said by then."""
        with self._log.open("r", encoding="utf-8", errors="replace") as log:
            log.seek(self._read_from)
            rest = ""
            while True:
                alive = self._thread.is_alive()
                while text := log.read(LARGEST_SAID):
                    rest = _say_lines(rest + text, say)
                    if len(rest) >= LARGEST_SAID:
                        say(rest)
                        rest = ""
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
        self._caller.cancel()
        self._thread.join(callers.TERM_GRACE_S + 3)


def _say_lines(text: str, say: Callable[[str], None]) -> str:
    """Says the lines that are whole; returns what is left."""
    lines, newline, rest = text.rpartition("\n")
    if newline:
        say(lines)
    return rest
